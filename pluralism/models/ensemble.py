"""Ensembles of reward models: several rewards, brought to one unit, and one aggregate of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int
from scipy.special import expit
from sklearn.base import clone

from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.models.base import Callback, PreferenceModel
from pluralism.models.ensemble_report import EnsembleReport, report_members
from pluralism.models.members import Columns, member_arrays, members_from, resampled, warn_once, with_columns
from pluralism.models.membership import Membership
from pluralism.models.preparation import prepare
from pluralism.models.recipes import model_from_recipe
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.state import StateSpec, require_state
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items

__all__ = ["Aggregate", "RewardEnsemble", "aggregate_members"]

Aggregate = Literal["mean", "median", "min", "mean_minus_sd"]

SPEC = StateSpec(
    arrays={
        "group_weights_": ("groups",),
        "posterior_": ("users", "groups"),
        "n_answers_": ("users",),
        "anchor_": ("members", "prompts"),
        "centre_": ("members",),
        "spread_": ("members",),
    },
    labels={"users_": "users", "anchor_prompts_": "prompts"},
    numbers=("objective_", "gradient_norm_", "scale_"),
)


class RewardEnsemble(PreferenceModel):
    r"""Several reward models in one: fitted to resampled people, on different encoders, or with different seeds.

    Rewards of different members have different zeros (one for each prompt) and scales. Each member m is anchored,

    .. math:: z_m(y \mid x) = \frac{r_m(x, y) - \bar r_m(x)}{s_m},

    with the mean over the training items of the prompt and the pooled standard deviation around it; the ensemble's
    reward is the aggregate of the z, times the mean of the s, so that it is in logits again.

    Parameters
    ----------
    base : str or PreferenceModel
        A recipe's name, or an unfitted model of one group.
    n_members : int
    resample : {"user", "prompt"} or None
        Whose weights the members draw anew (Bayesian bootstrap [2]_). Each label has its own draw.
    feature_blocks : tuple of int, optional
        Widths of the blocks of feature columns that belong to different encoders (see `stack_spaces`); member m sees
        block m, in turn. All columns by default.
    feature_share : float
        Share of its columns that each member sees, drawn at random; in (0, 1].
    aggregate : {"mean", "median", "min", "mean_minus_sd"}
    k : float
        For "mean_minus_sd": how many standard deviations between members are taken off.
    rng : int, Generator or None

    Attributes
    ----------
    members_ : list of PreferenceModel
    columns_ : list of array or None
        Feature columns of each member; None for all.
    anchor_prompts_ : pyarrow.LargeStringArray of shape (prompts,)
        Prompts of the training items; "" for those without.
    anchor_ : array of shape (members, prompts)
        Mean reward of their items.
    centre_, spread_ : array of shape (members,)
        Mean reward of all training items, which anchors prompts never seen; pooled standard deviation.
    scale_ : float
        Mean of the spreads.

    Notes
    -----
    A convex model has one optimum: fitted to the same data on the same features, members of different seeds are one
    and the same. Members that differ by encoder disagree most usefully; what all of them get wrong no aggregate mends
    [1]_, and `report` says how much that is.

    References
    ----------
    .. [1] J. Eisenstein et al., "Helping or herding? Reward model ensembles mitigate but do not eliminate reward
       hacking", arXiv:2312.09244.
    .. [2] D. B. Rubin, "The Bayesian bootstrap", Annals of Statistics 9, 1981.

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> from pluralism.models import BradleyTerry
    >>> data = simulate_mixture(n_users=40, n_groups=1, n_items=60, dim=4, rng=0).comparisons
    >>> ensemble = RewardEnsemble(base=BradleyTerry(ridge=1.0), n_members=3).fit(data)
    >>> ensemble.disagreement(data.items).shape
    (60,)
    """

    spec = SPEC

    def __init__(
        self,
        *,
        base: str | PreferenceModel = "bt",
        n_members: int = 5,
        resample: Literal["user", "prompt"] | None = "user",
        feature_blocks: tuple[int, ...] | None = None,
        feature_share: float = 1.0,
        aggregate: Aggregate = "mean",
        k: float = 1.0,
        rng: RNG = 0,
    ) -> None:
        self.base = base
        self.n_members = n_members
        self.resample = resample
        self.feature_blocks = feature_blocks
        self.feature_share = feature_share
        self.aggregate = aggregate
        self.k = k
        self.rng = rng

    @property
    def draws_by_label(self) -> bool:
        """Whether a user of another name draws another weight."""
        return self.resample == "user"

    @classmethod
    def of(
        cls,
        members: Sequence[PreferenceModel],
        reference: Items,
        *,
        aggregate: Aggregate = "mean",
        k: float = 1.0,
    ) -> Self:
        """An ensemble of models that are fitted already, on one encoder or on several.

        Parameters
        ----------
        members : sequence of PreferenceModel
            Of one group each. Members of different feature spaces see, in order of first appearance, their block of
            the columns that `stack_spaces` makes.
        reference : Items
            What anchors the members: items like those to be rewarded, with the stacked features.
        aggregate, k
            As in the constructor.
        """
        model = cls(n_members=len(members), resample=None, aggregate=aggregate, k=k)
        model._check_settings()
        spaces: dict[tuple[str | None, int], int] = {}
        offset = 0
        for member in members:
            member._check_fitted()
            _check_member(member)
            if member.dim_ is not None and (member.feature_space_, member.dim_) not in spaces:
                spaces[member.feature_space_, member.dim_] = offset
                offset += member.dim_
        columns: list[Columns] = []
        for member in members:
            start = None if member.dim_ is None else spaces[member.feature_space_, member.dim_]
            alone = start is None or len(spaces) == 1
            columns.append(None if alone else np.arange(start or 0, (start or 0) + member.dim_, dtype=np.int64))
        if offset and reference.dim != offset:
            raise DataError(
                f"The reference items have {reference.dim} dimensions, the members were fitted on {offset} in "
                f"{len(spaces)} space(s).",
                fix="Stack the features of the members' encoders with stack_spaces, in order of the members.",
            )
        model.dim_ = offset or None
        model.feature_space_ = reference.feature_space if offset else None
        answers: dict[str, int] = {}
        for member in members:
            for user, n in zip(member.users_.to_pylist(), member.n_answers_.tolist(), strict=True):
                answers[user] = max(n, answers.get(user, 0))
        model._learn(
            list(members), columns, pa.array(list(answers), pa.large_string()), np.array(list(answers.values()))
        )
        model._anchor(reference, np.arange(len(reference)))
        return model

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit each member; parameters as in `BradleyTerry.fit`."""
        self._forget()
        self._check_settings()
        base = model_from_recipe(self.base) if isinstance(self.base, str) else self.base
        prepared = prepare(comparisons, (), position_bias=False)
        seed = as_seed(self.rng)
        features = comparisons.items.features
        self.dim_ = None if features is None else features.shape[1]
        self.feature_space_ = comparisons.items.feature_space
        columns = self._draw_columns(seed)
        members = []
        with warn_once():
            for number, seen in enumerate(columns):
                member = clone(base)
                if "rng" in member.get_params(deep=False):
                    member.set_params(rng=seed + number)
                data = resampled(comparisons, self.resample, f"{seed}/{number}")
                data = data._replace(items=with_columns(data.items, seen))
                members.append(member.fit(data, checkpoint=checkpoint, callback=_named(callback, number)))
        for member in members:
            _check_member(member)
        self._learn(members, columns, prepared.users, prepared.n)
        self._anchor(comparisons.items, np.flatnonzero(prepared.problem.played > 0))
        if len(members) > 1 and float(self.disagreement(comparisons.items).max()) <= 1e-9 * self.scale_:
            warnings.warn(
                "All members are the same, so their agreement says nothing. Let them differ: resample people or "
                "prompts, or give them different encoders (feature_blocks) or features (feature_share).",
                DataWarning,
                stacklevel=2,
            )
        return self

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """The aggregate of the anchored rewards, in logits at the mean scale of the members."""
        return aggregate_members(self.member_rewards(items), self.aggregate, self.k)[:, None]

    def member_rewards(self, items: Items) -> Float[np.ndarray, "members items"]:
        """The anchored reward of each member, at the mean scale of the members."""
        return self._anchored(self._raw(items), items)

    def _anchored(self, raw: Float[np.ndarray, "members items"], items: Items) -> Float[np.ndarray, "members items"]:
        place = pc.index_in(_prompts(items), value_set=self.anchor_prompts_)
        where = pc.fill_null(place, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        anchor = np.where(where >= 0, self.anchor_[:, where], self.centre_[:, None])
        return self.scale_ * (raw - anchor) / self.spread_[:, None]

    def disagreement(self, items: Items) -> Float[np.ndarray, " items"]:
        """Standard deviation between members of each item's anchored reward, in logits; 0 for a single member.

        It is what the draws of people, encoders or seeds move the reward by, and not the whole uncertainty: members
        that share their encoder share its blind spots.
        """
        return _spread(self.member_rewards(items))

    def report(self, comparisons: Comparisons) -> EnsembleReport:
        """Accuracy and NLL of each member, correlation of their errors, and how often all are wrong together.

        Members are scored at their common scale, with covariates and position each as it has them.
        """
        z, beside = self._parts(comparisons)
        difference = z[:, comparisons.left] - z[:, comparisons.right]
        return report_members(
            expit(difference + beside),
            self.predict_proba(comparisons),
            _spread(difference),
            comparisons.outcome,
            comparisons.weight,
        )

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred, given a decision), from the aggregated reward; one column.

        What stands beside the rewards of a member (covariates, position, the place that ties take, moderation) is added
        as it is on average over all members: a member without a covariate counts with nothing.
        """
        z, beside = self._parts(comparisons)
        reward = aggregate_members(z, self.aggregate, self.k)
        return expit(reward[comparisons.left] - reward[comparisons.right] + beside.mean(axis=0))[:, None]

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred, given a decision), the same for all users."""
        self._check_fitted()
        self._placed(comparisons, membership)
        return self.predict_group_proba(comparisons)[:, 0]

    def adapt(self, comparisons: Comparisons) -> Membership:
        """All users are in the one group; counts their answers."""
        self._check_fitted()
        if self.dim_ is not None:
            self._features(comparisons.items)
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        return self._membership(comparisons.users, np.ones((comparisons.n_users, 1)), n)

    def _raw(self, items: Items) -> Float[np.ndarray, "members items"]:
        """Rewards of the members as they are."""
        self._check_fitted()
        if self.dim_ is not None:
            self._features(items)
        parts = zip(self.members_, self.columns_, strict=True)
        return np.stack([m.reward(with_columns(items, seen, m.feature_space_))[:, 0] for m, seen in parts])

    def _parts(
        self, comparisons: Comparisons
    ) -> tuple[Float[np.ndarray, "members items"], Float[np.ndarray, "members pairs"]]:
        """Anchored rewards, and each member's logit less the difference of its rewards, both at the common scale."""
        items, left, right = comparisons.items, comparisons.left, comparisons.right
        raw = self._raw(items)
        beside = np.empty((len(self.members_), len(comparisons)))
        for m, (member, seen) in enumerate(zip(self.members_, self.columns_, strict=True)):
            own = comparisons._replace(items=with_columns(items, seen, member.feature_space_))
            beside[m] = member._decision_logits(own)[:, 0] - (raw[m, left] - raw[m, right])
        return self._anchored(raw, items), self.scale_ / self.spread_[:, None] * beside

    def _learn(
        self, members: list[PreferenceModel], columns: list[Columns], users: pa.Array, n: Int[np.ndarray, " users"]
    ) -> None:
        self.members_, self.columns_ = members, columns
        self.users_, self.n_answers_ = users, n.astype(np.int64)
        self.group_weights_, self.posterior_ = np.ones(1), np.ones((len(users), 1))
        self.objective_ = float(sum(member.objective_ for member in members))
        self.gradient_norm_ = float(max(member.gradient_norm_ for member in members))
        self.n_iter_ = int(max(member.n_iter_ for member in members))
        self.converged_ = all(member.converged_ for member in members)

    def _anchor(self, items: Items, rows: Int[np.ndarray, " reference"]) -> None:
        """Learn each member's zero in each prompt and its scale from reference items."""
        raw = self._raw(items)[:, rows]
        labels = _prompts(items).take(pa.array(rows))
        self.anchor_prompts_ = pc.unique(labels)
        code = pc.index_in(labels, value_set=self.anchor_prompts_).to_numpy(zero_copy_only=False)
        count = np.bincount(code, minlength=len(self.anchor_prompts_))
        self.anchor_ = np.stack([np.bincount(code, r, len(count)) for r in raw]) / count
        self.centre_ = raw.mean(axis=1)
        within = len(rows) - len(count)
        # where each prompt has a single item, only the spread across prompts says anything of the scale
        centred = raw - (self.anchor_[:, code] if within else self.centre_[:, None])
        spread = np.sqrt(np.sum(centred**2, axis=1) / max(within or len(rows) - 1, 1))
        self.spread_ = np.where(spread > 1e-12 * (1 + np.abs(raw).max(axis=1)), spread, 1.0)
        self.scale_ = float(self.spread_.mean())

    def _draw_columns(self, seed: int) -> list[Columns]:
        if self.dim_ is None:
            if self.feature_blocks is not None or self.feature_share < 1:
                raise DataError(
                    "The items have no features for members to share out.",
                    fix="Embed the items, or leave feature_blocks=None and feature_share=1.",
                )
            return [None] * self.n_members
        widths = (self.dim_,) if self.feature_blocks is None else self.feature_blocks
        if sum(widths) != self.dim_:
            raise UsageError(
                f"feature_blocks={self.feature_blocks!r} add up to {sum(widths)}; the items have {self.dim_} columns.",
                fix="Give the width of each encoder's block of columns.",
            )
        if len(widths) == 1 and self.feature_share == 1:
            return [None] * self.n_members
        start = np.concatenate([[0], np.cumsum(widths)])
        drawn: list[Columns] = []
        for number in range(self.n_members):
            block = number % len(widths)
            own = np.arange(start[block], start[block + 1], dtype=np.int64)
            size = max(1, round(self.feature_share * len(own)))
            rng = np.random.default_rng([seed, 5, number])
            drawn.append(own if size == len(own) else np.sort(rng.choice(own, size, replace=False)))
        return drawn

    def _check_settings(self) -> None:
        if not is_whole(self.n_members):
            refuse(self, "n_members", "an integer of at least 1")
        if not isinstance(self.base, (str, PreferenceModel)):
            refuse(self, "base", "the name of a recipe, or an unfitted model")
        if self.resample not in ("user", "prompt", None):
            refuse(self, "resample", '"user", "prompt" or None')
        if self.aggregate not in ("mean", "median", "min", "mean_minus_sd"):
            refuse(self, "aggregate", '"mean", "median", "min" or "mean_minus_sd"')
        if not (is_number(self.k) and self.k >= 0):
            refuse(self, "k", "a number of standard deviations, at least 0")
        if not (is_number(self.feature_share) and 0 < self.feature_share <= 1):
            refuse(self, "feature_share", "a share in (0, 1]")
        blocks = self.feature_blocks
        if blocks is not None and (len(blocks) == 0 or not all(isinstance(w, int) and w >= 1 for w in blocks)):
            refuse(self, "feature_blocks", "None, or the widths of the blocks, such as (384, 768)")

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        document, arrays = super()._state()
        members, more = member_arrays(self.members_, self.columns_)
        return document | {"members": members}, arrays | more

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        own = {name: value for name, value in arrays.items() if not name.startswith(("member", "columns"))}
        extents = self.spec.give(self, document, own)
        self.members_, self.columns_ = members_from(document["members"], arrays, self.dim_)
        require_state(len(self.members_) == extents["members"] == self.n_members, "the number of members differs")
        require_state(extents["groups"] == 1, "an ensemble has one group")
        require_state(bool((self.spread_ > 0).all()) and self.scale_ > 0, "a spread is not positive")


def _check_member(member: PreferenceModel) -> None:
    if member.n_groups_ != 1 or member.places != "groups":
        raise UsageError(
            f"A {type(member).__name__} with {member.n_groups_} groups cannot be a member: groups of different members "
            "need not be the same people.",
            fix="Use members that have one reward for everybody, such as BradleyTerry.",
        )
    if member._prior().position is not None:
        raise UsageError(
            f"This {type(member).__name__} cannot be a member: its people differ in how they answer, and an ensemble "
            "predicts all alike.",
            fix="Fit members without temperatures and lapses of users.",
        )
    if not member.transitive:
        raise UsageError(
            f"A {type(member).__name__} cannot be a member: its choices may run in circles, which rewards cannot.",
            fix="Use members whose rewards say all, such as BradleyTerry.",
        )


def _named(callback: Callback | None, number: int) -> Callback | None:
    if callback is None:
        return None
    tell: Callable[[str, int, float], None] = callback
    return lambda piece, iteration, objective: tell(f"member {number}/{piece}", iteration, objective)


def _prompts(items: Items) -> pa.Array:
    if items.prompts is None:
        return pa.array([""] * len(items), pa.large_string())
    return pc.fill_null(items.prompts, "")


def aggregate_members(
    z: Float[np.ndarray, "members ..."], aggregate: str, k: float = 1.0
) -> Float[np.ndarray, "*items"]:
    """One reward out of those of the members: their "mean", "median", "min" or "mean_minus_sd" (k of them)."""
    if aggregate == "mean":
        return z.mean(axis=0)
    if aggregate == "median":
        return np.median(z, axis=0)
    if aggregate == "min":
        return z.min(axis=0)
    return z.mean(axis=0) - k * _spread(z)


def _spread(z: Float[np.ndarray, "members ..."]) -> Float[np.ndarray, "*items"]:
    return z.std(axis=0, ddof=1) if len(z) > 1 else np.zeros(z.shape[1:])
