r"""What a single reward costs each group: how far its preferences are from the groups', and what its policy loses.

With :math:`F_u(\pi) = E_x [E_\pi r_u - \beta\,KL(\pi \| p)]` and its optimum :math:`\pi^*_u`, a policy :math:`\pi` that
follows one reward for all loses :math:`F_u(\pi^*_u) - F_u(\pi) = \beta\,E_x KL(\pi \| \pi^*_u)` for group u, exactly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import UsageError
from pluralism.policy.kl_optimal import check_beta, weighted_reward
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.alignment_gap import alignment_gap
from pluralism.solvers.tilt import tilt

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.models.base import PreferenceModel

__all__ = ["SingleRewardGap", "single_reward_gap", "single_reward_gap_of_model"]


@dataclass(frozen=True, eq=False)
class SingleRewardGap:
    r"""How far one reward for all is from what each group wants.

    Distances are total variations of preferences: means of :math:`|P_i(a \succ b) - P_j(a \succ b)|` over comparisons.

    Attributes
    ----------
    groups : tuple of str
    shares : float array of shape (groups,)
    beta : float
        Price of a nat of KL, in units of reward.
    n_comparisons : int
        Comparisons behind the distances.
    diversity : float array of shape (groups, groups)
        Distance between the preferences of two groups, in [0, 1].
    distance_to_population : float array of shape (groups,)
        Distance of each group from the mixture of all, weighted by shares. With two groups it is the share of the
        other times their diversity.
    distance_to_pooled : float array of shape (groups,)
        Distance of each group from the preferences of the single reward.
    gap : float array of shape (groups,)
        What the policy of the single reward loses against the best policy of the group, in units of its reward.
    attainable : float array of shape (groups,)
        What the group's best policy gains over the reference policy.
    margin_distance : float array of shape (groups,)
        Mean absolute difference between the margins of the group and of the single reward, in logits; at least four
        times `distance_to_pooled`, since the logistic function is no steeper than 1/4.
    head_distance, head_bound : float arrays of shape (groups,), optional
        Where rewards are linear in features: the distance between the coefficients of the group and of the single
        reward, and the least that it can be, (2 / D) times `distance_to_pooled`, D being the largest norm of a
        compared item's features.
    """

    groups: tuple[str, ...]
    shares: Float[np.ndarray, " groups"]
    beta: float
    n_comparisons: int
    diversity: Float[np.ndarray, "groups groups"]
    distance_to_population: Float[np.ndarray, " groups"]
    distance_to_pooled: Float[np.ndarray, " groups"]
    gap: Float[np.ndarray, " groups"]
    attainable: Float[np.ndarray, " groups"]
    margin_distance: Float[np.ndarray, " groups"]
    head_distance: Float[np.ndarray, " groups"] | None = None
    head_bound: Float[np.ndarray, " groups"] | None = None

    @property
    def share_lost(self) -> Float[np.ndarray, " groups"]:
        """Part of what the group could gain that the single reward loses; above 1, the reference is better for it.

        NaN for a group that has nothing to gain.
        """
        some = self.attainable > 0
        return np.where(some, self.gap / np.where(some, self.attainable, 1.0), np.nan)

    @property
    def worst_group(self) -> str:
        """The group that loses most, in units of its reward."""
        return self.groups[int(np.argmax(self.gap))]

    def to_frame(self) -> pa.Table:
        """One row for each group."""
        return pa.table(self._columns())

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain Python values."""
        rows = self.to_frame().to_pylist()
        document = {"beta": self.beta, "n_comparisons": self.n_comparisons, "diversity": self.diversity, "groups": rows}
        return json_ready(document)

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        shown = ("group", "share", "distance_to_population", "distance_to_pooled", "gap", "attainable", "share_lost")
        columns = {name.replace("_", " "): self._columns()[name] for name in shown}
        head = f"SingleRewardGap(beta={self.beta:g}, {self.n_comparisons:,} comparisons)"
        lines = [head, format_table(columns, digits=3)]
        if len(self.groups) > 1:
            i, j = np.unravel_index(int(np.argmax(self.diversity)), self.diversity.shape)
            lines.append(
                f"{self.groups[i]} and {self.groups[j]} differ most, by {self.diversity[i, j]:.3f}; "
                f"{self.worst_group} loses most"
            )
        return "\n".join(lines)

    def _columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "group": list(self.groups),
            "share": self.shares,
            "distance_to_population": self.distance_to_population,
            "distance_to_pooled": self.distance_to_pooled,
            "gap": self.gap,
            "attainable": self.attainable,
            "share_lost": self.share_lost,
            "margin_distance": self.margin_distance,
        }
        if self.head_distance is not None and self.head_bound is not None:
            columns |= {"head_distance": self.head_distance, "head_bound": self.head_bound}
        return columns


def single_reward_gap(
    utilities: Utilities, *, beta: float = 1.0, pooled_reward: ArrayLike | None = None
) -> SingleRewardGap:
    """What one reward for all costs each group, from the groups' rewards.

    Preferences are those of Bradley and Terry on all pairs of candidates of each prompt, prompts weighted as in the
    utilities.

    Parameters
    ----------
    utilities : Utilities
        Rewards in logits: in the unit "raw", "gain" or "regret".
    beta : float
        Price of a nat of KL, in units of reward; 0 for policies that always choose the best.
    pooled_reward : array of shape (prompts, candidates), optional
        The single reward; left out, the mean of the groups' rewards, weighted by their shares.

    Returns
    -------
    SingleRewardGap

    References
    ----------
    S. Chakraborty et al., MaxMin-RLHF: Alignment with diverse human preferences, ICML 2024 (arXiv:2402.08925), which
    bounds what is computed here from below.
    """
    beta = check_beta(beta)
    if utilities.unit not in ("raw", "gain", "regret"):
        raise UsageError(
            f"Utilities in the unit {utilities.unit!r} are no rewards in logits.",
            fix="Use the rewards in the unit 'gain'.",
        )
    reward = weighted_reward(utilities, None) if pooled_reward is None else np.asarray(pooled_reward, dtype=float)
    if reward.shape != utilities.log_reference.shape or not np.isfinite(reward[utilities.mask]).all():
        raise UsageError(
            f"pooled_reward is finite and has shape {utilities.log_reference.shape}.",
            fix="Give one for each candidate.",
        )
    first, second = np.triu_indices(utilities.log_reference.shape[1], 1)
    there = utilities.mask[:, first] & utilities.mask[:, second]
    margins = (utilities.values[:, first] - utilities.values[:, second])[there]
    pooled = (reward[:, first] - reward[:, second])[there]
    weights = _pair_weights(utilities.prompt_weights, there)
    return _result(utilities, reward, beta, expit(margins), expit(pooled), margins, pooled, weights)


def single_reward_gap_of_model(
    model: PreferenceModel,
    comparisons: Comparisons,
    *,
    pooled: PreferenceModel | None = None,
    items: Items | None = None,
    log_reference: ArrayLike | None = None,
    beta: float = 1.0,
) -> SingleRewardGap:
    """What a pooled model costs each group of a fitted model.

    Parameters
    ----------
    model : PreferenceModel
        With groups, such as `MixtureBradleyTerry`.
    comparisons : Comparisons
        On which preferences are compared; a row counts by its weight.
    pooled : PreferenceModel, optional
        A fitted model of one group; left out, the pooled control that the model itself was fitted with (`control_`).
    items : Items, optional
        Candidates that policies choose among, within each prompt; the items of the comparisons, if left out.
    log_reference : array of shape (items,), optional
        Log-probabilities of the reference policy; left out, the candidates of a prompt are equally likely.
    beta : float
        Price of a nat of KL, in logits.

    Returns
    -------
    SingleRewardGap

    Raises
    ------
    UsageError
        If there is no pooled model, it has several groups, or there are no comparisons that count.
    """
    beta = check_beta(beta)
    control = pooled if pooled is not None else getattr(model, "control_", None)
    if control is None or control.n_groups_ != 1:
        raise UsageError(
            f"The {type(model).__name__} has no pooled model of one group beside it.",
            fix="Pass pooled=BradleyTerry().fit(comparisons).",
        )
    weight = np.asarray(comparisons.weight, dtype=float)
    if not weight.any():
        raise UsageError("There are no comparisons that count.", fix="Pass comparisons with positive weights.")
    candidates = comparisons.items if items is None else items
    utilities = model.utilities(candidates, log_reference=log_reference)
    rewards = control.reward(candidates)[:, 0]
    reward = np.where(utilities.mask, rewards[utilities.items], 0.0)
    probabilities, single = model.predict_group_proba(comparisons), control.predict_group_proba(comparisons)[:, 0]
    margins, margin = logit(probabilities), logit(single)
    bounds = _heads(model, control, comparisons, weight > 0)
    return _result(utilities, reward, beta, probabilities, single, margins, margin, weight / weight.sum(), bounds)


_Heads = tuple[Float[np.ndarray, " groups"], float]


def _result(
    utilities: Utilities,
    reward: Float[np.ndarray, "prompts candidates"],
    beta: float,
    probabilities: Float[np.ndarray, "pairs groups"],
    single: Float[np.ndarray, " pairs"],
    margins: Float[np.ndarray, "pairs groups"],
    margin: Float[np.ndarray, " pairs"],
    weights: Float[np.ndarray, " pairs"],
    heads: _Heads | None = None,
) -> SingleRewardGap:
    population = probabilities @ utilities.shares
    each = probabilities.T
    to_pooled = np.abs(each - single) @ weights
    logs = utilities.log_reference
    policy = tilt(reward, logs, beta)[0]
    options: dict[str, Any] = {"beta": beta, "prompt_weights": utilities.prompt_weights}
    return SingleRewardGap(
        groups=utilities.groups,
        shares=utilities.shares,
        beta=beta,
        n_comparisons=int(np.count_nonzero(weights)),
        diversity=np.abs(each[:, None] - each[None]) @ weights,
        distance_to_population=np.abs(each - population) @ weights,
        distance_to_pooled=to_pooled,
        gap=alignment_gap(utilities.values, logs, policy, **options),
        attainable=alignment_gap(utilities.values, logs, logs, **options),
        margin_distance=np.abs(margins.T - margin) @ weights,
        head_distance=None if heads is None else heads[0],
        head_bound=None if heads is None else 2.0 / heads[1] * to_pooled,
    )


def _heads(
    model: PreferenceModel, pooled: PreferenceModel, comparisons: Comparisons, counted: Bool[np.ndarray, " pairs"]
) -> _Heads | None:
    """Distances of coefficients and the largest norm of features, where margins are differences of linear rewards."""
    from pluralism.models.linear import LinearPreferenceModel

    if not (isinstance(model, LinearPreferenceModel) and isinstance(pooled, LinearPreferenceModel)):
        return None
    if model.coef_ is None or pooled.coef_ is None or comparisons.items.features is None:
        return None
    for each in (model, pooled):
        if each.item_effects_ is not None or np.any(each.covariate_effects_):
            return None
    used = np.unique(np.concatenate([comparisons.left[counted], comparisons.right[counted]]))
    largest = float(np.linalg.norm(np.asarray(comparisons.items.features[used], dtype=float), axis=1).max())
    distance = np.linalg.norm(model.coef_ - pooled.coef_, axis=1)
    return (distance, largest) if largest > 0 else None


def _pair_weights(
    prompt_weights: Float[np.ndarray, " prompts"], there: Bool[np.ndarray, "prompts places"]
) -> Float[np.ndarray, " pairs"]:
    """The weight of each prompt, shared by its pairs; prompts of one candidate have none."""
    counts = there.sum(axis=1)
    each = np.divide(prompt_weights, counts, out=np.zeros_like(prompt_weights), where=counts > 0)
    weights = np.broadcast_to(each[:, None], there.shape)[there]
    if not weights.any():
        raise UsageError("No prompt has two candidates to compare.", fix="Give prompts with several candidates.")
    return weights / weights.sum()
