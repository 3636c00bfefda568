"""How far the members of a reward ensemble come apart on what is chosen by them, against what they were fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table
from pluralism.diagnostics.budget_curve import ROUNDING
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, POOLED, group_colour, own_axes, tidy, tidy_legend
from pluralism.models.ensemble import Aggregate, aggregate_members
from pluralism.policy.best_of_n import check_n
from pluralism.social_choice.utilities import normalised_log_reference
from pluralism.solvers.best_of_n import best_of_n_policy
from pluralism.solvers.log_policies import expectation, kl_divergence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.data import Items
    from pluralism.models.ensemble import RewardEnsemble

__all__ = ["EnsembleDisagreement", "ensemble_disagreement", "ensemble_disagreement_of_model"]

Points = Float[np.ndarray, " points"]


@dataclass(frozen=True, eq=False, repr=False)
class EnsembleDisagreement(InstrumentResult):
    """Members of an ensemble along best-of-n, in standard deviations of a member's reward under the reference.

    Attributes
    ----------
    n : array of shape (points,)
    kl : array of shape (points,)
        Of best-of-n by the aggregate from the reference, in nats; mean over prompts.
    spread : array of shape (points,)
        Mean standard deviation between members of what is chosen; its growth from n = 1 says that choices lie where
        the members know least.
    claimed : array of shape (points,)
        Reward of what the aggregate of the other members chooses, by that aggregate; mean over the member left out.
    left_out : array of shape (points,)
        Reward of the same choices by the member left out.
    agreement : array of shape (members, members)
        Share of the pairs of a prompt's candidates that two members order alike, ties half.
    aggregate : str
    """

    n: Points
    kl: Points
    spread: Points
    claimed: Points
    left_out: Points
    agreement: Float[np.ndarray, "members members"]
    aggregate: str

    @property
    def overstated(self) -> Points:
        """Claimed less left-out reward: what of the gain a judge that was not optimised does not see."""
        return self.claimed - self.left_out

    @property
    def mean_agreement(self) -> float:
        """Mean of `agreement` over pairs of members."""
        return float(self.agreement[np.triu_indices(len(self.agreement), 1)].mean())

    def _columns(self) -> dict[str, Any]:
        names = ("n", "kl", "spread", "claimed", "left_out", "overstated")
        return {name: getattr(self, name) for name in names}

    def to_frame(self) -> pa.Table:
        """One row for each n."""
        return pa.table(self._columns())

    def to_dict(self) -> dict[str, Any]:
        """The aggregate, the agreement of members, and the rows of `to_frame`."""
        return {"aggregate": self.aggregate, "agreement": self.agreement, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        columns = {name.replace("_", " "): values for name, values in self._columns().items()}
        columns["n"] = [f"{n:g}" for n in self.n]
        return (
            f"EnsembleDisagreement({len(self.agreement)} members, by their {self.aggregate}; they order "
            f"{self.mean_agreement:.3f} of the pairs alike)\n{format_table(columns, digits=3)}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw claimed and left-out reward and the spread of the members against KL."""
        ax = own_axes(ax, 5.2, 3.3)
        shown = (
            ("claimed", self.claimed, "o-", FOCUS),
            ("by the member left out", self.left_out, "s-", group_colour(1)),
            ("spread of members", self.spread, "D--", POOLED),
        )
        for name, values, style, colour in shown:
            ax.plot(self.kl, values, style, color=colour, markersize=4.5, linewidth=1.2, label=name)
        tidy(ax, grid="both", xlabel="KL from the reference, nats", ylabel="reward, standard deviations")
        tidy_legend(ax, loc="best")
        return ax


def ensemble_disagreement(
    rewards: ArrayLike,
    *,
    log_reference: ArrayLike | None = None,
    n: Sequence[float] = (1, 2, 4, 8, 16, 32),
    aggregate: Aggregate = "mean",
    k: float = 1.0,
) -> EnsembleDisagreement:
    """Choose by an ensemble ever more strongly, and see whether its members still agree [1]_.

    Each member is centred on every prompt and divided by its standard deviation over all prompts, both under the
    reference: rewards are known up to a constant for each prompt, without which members cannot be compared. All
    policies are exact.

    Parameters
    ----------
    rewards : array of shape (members, prompts, candidates)
        Of two members or more; three, for what the others claim to be an aggregate.
    log_reference : array of shape (prompts, candidates), optional
        Log-probabilities of the reference policy, -inf where a prompt has no such candidate; left out, all candidates
        are equally likely.
    n : sequence of float
        Of best-of-n, each at least 1.
    aggregate : {"mean", "median", "min", "mean_minus_sd"}
    k : float
        How many standard deviations are taken off.

    Raises
    ------
    DataError
        If rewards have another shape or are not finite, or a member gives all candidates of each prompt the same one.
    UsageError
        If there is no such aggregate, or no n.

    References
    ----------
    .. [1] J. Eisenstein et al., "Helping or herding? Reward model ensembles mitigate but do not eliminate reward
       hacking", COLM 2024, arXiv:2312.09244. Leaving one member out as the judge is not of the paper.

    Examples
    --------
    >>> same = np.broadcast_to(np.random.default_rng(0).normal(size=(5, 8)), (3, 5, 8))
    >>> bool(np.allclose(ensemble_disagreement(same, n=[1, 4]).overstated, 0))
    True
    """
    given = np.asarray(rewards, dtype=np.float64)
    if given.ndim != 3 or len(given) < 2 or 0 in given.shape:
        raise DataError(
            f"Rewards have shape {given.shape}.", fix="Give (members, prompts, candidates), of two members or more."
        )
    if not np.isfinite(k):
        raise UsageError(f"k={k!r} is not possible.", fix="It is a finite number of standard deviations.")
    if aggregate not in ("mean", "median", "min", "mean_minus_sd"):
        raise UsageError(f"There is no aggregate {aggregate!r}.", fix="Use mean, median, min or mean_minus_sd.")
    logs = normalised_log_reference(log_reference, given.shape[1:])
    there = np.isfinite(logs)
    if not np.isfinite(given[:, there]).all():
        raise DataError("A reward is NaN or infinite.", fix="Leave such candidates out: log_reference = -inf.")
    draws = [check_n(each) for each in n]
    if not draws:
        raise UsageError("There is no n.", fix="Pass n=[1, 4, 16].")
    z = np.stack([_standardised(member, logs) for member in np.where(there, given, 0.0)])
    others = [np.delete(z, m, axis=0) for m in range(len(z))]
    whole = aggregate_members(z, aggregate, k)
    spread = z.std(axis=0, ddof=1)
    kl, apart, claims, judged = (np.zeros(len(draws)) for _ in range(4))
    for i, each in enumerate(draws):
        policy = best_of_n_policy(whole, logs, each)
        kl[i], apart[i] = kl_divergence(policy, logs).mean(), expectation(policy, spread).mean()
        for member, rest in zip(z, others, strict=True):
            reward = aggregate_members(rest, aggregate, k)
            chosen = best_of_n_policy(reward, logs, each)
            # Less its mean under the reference, so that an aggregate that is pessimistic everywhere claims no loss.
            claims[i] += (expectation(chosen, reward) - expectation(logs, reward)).mean() / len(z)
            judged[i] += expectation(chosen, member).mean() / len(z)
    return EnsembleDisagreement(
        n=np.array(draws),
        kl=kl,
        spread=apart,
        claimed=claims,
        left_out=judged,
        agreement=_agreement(z, there),
        aggregate=aggregate,
    )


def ensemble_disagreement_of_model(
    ensemble: RewardEnsemble,
    items: Items,
    *,
    log_reference: ArrayLike | None = None,
    n: Sequence[float] = (1, 2, 4, 8, 16, 32),
) -> EnsembleDisagreement:
    """Of a fitted ensemble, with its own aggregate, on items as the candidates of their prompts.

    Parameters
    ----------
    ensemble : RewardEnsemble
    items : Items
    log_reference : array of shape (items,), optional
        Log-probabilities of the reference policy; left out, the candidates of a prompt are equally likely.
    n : sequence of float
        As in `ensemble_disagreement`.

    Raises
    ------
    DataError
        If no prompt has two items, or a member gives all items of each prompt the same reward.
    UsageError
        If there is no n, or one below 1.
    """
    places = ensemble.utilities(items, log_reference=log_reference)
    rewards = np.where(places.mask, ensemble.member_rewards(items)[:, places.items], 0.0)
    return ensemble_disagreement(
        rewards, log_reference=places.log_reference, n=n, aggregate=ensemble.aggregate, k=ensemble.k
    )


def _standardised(
    reward: Float[np.ndarray, "prompts candidates"], logs: Float[np.ndarray, "prompts candidates"]
) -> Float[np.ndarray, "prompts candidates"]:
    # Large rewards are as good as small ones, and their squares must be numbers.
    largest = float(np.abs(reward).max())
    reward = reward / largest if largest > 0 else reward
    centred = reward - expectation(logs, reward)[:, None]
    scale = float(np.sqrt(expectation(logs, centred**2).mean()))
    if scale <= ROUNDING:
        raise DataError("A member gives all candidates of each prompt the same reward.", fix="Leave it out.")
    return centred / scale


def _agreement(
    z: Float[np.ndarray, "members prompts candidates"], there: np.ndarray
) -> Float[np.ndarray, "members members"]:
    """Share of pairs within prompts that are ordered alike."""
    first, second = np.triu_indices(z.shape[2], 1)
    both = there[:, first] & there[:, second]
    if not both.any():
        raise DataError("No prompt has two candidates.", fix="Give prompts with several candidates.")
    signs = np.sign(z[:, :, first] - z[:, :, second])[:, both]
    return 0.5 * (1 + signs @ signs.T / signs.shape[1])
