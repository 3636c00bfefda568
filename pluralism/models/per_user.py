"""A reward of everybody's own: the baseline that shares nothing between people but a prior."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.special import expit

from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.models.base import Callback, Places
from pluralism.models.fitting import (
    Memory,
    Plan,
    choose_terms,
    feature_unit,
    held_out_blocks,
    learn,
    run_fit,
)
from pluralism.models.linear import SPEC, LinearPreferenceModel
from pluralism.models.membership import Membership
from pluralism.models.opening import opened
from pluralism.models.preparation import Prepared
from pluralism.models.settings import is_number, refuse
from pluralism.models.state import extended, require_state
from pluralism.random import RNG
from pluralism.solvers import FeatureMatrix, MixtureObjective, PairProblem, Terms, fit_mixture
from pluralism.solvers.user_ridge import fit_user_heads

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.data.folds import FoldBy

__all__ = ["PerUserRidge"]

LOWEST, HIGHEST = -3.0, 6.0
MOST_ITEMS = 4096
SELECTION_TOL = 1e-6


class PerUserRidge(LinearPreferenceModel):
    """A Bradley-Terry reward for each person, fitted to that person's answers alone.

    P(left preferred) = sigmoid(r_0(left) - r_0(right) + covariates + (features(left) - features(right)) . h_u), where
    the head h_u of person u has a Gaussian prior around zero and r_0 is the pooled Bradley-Terry reward
    (``around="pooled"``) or nothing (``around="zero"``). Without features, h_u is an effect of u's on each item.
    People without answers have the pooled reward.

    Parameters
    ----------
    around : {"pooled", "zero"}
        What a person's reward is shrunk to.
    user_ridge : "auto" or float
        Prior precision of each person's head; "auto" chooses it, one for all people, by the NLL of held-out blocks.
    ridge, item_effects, covariates, position_bias, blocks, tol, max_iter, uncertainty, rng
        As in `BradleyTerry`, for the pooled reward. Covariates are everybody's in either case.

    Attributes
    ----------
    position_ : float array of shape (users, dim)
        The heads of the training users.
    user_ridge_ : float
    user_ridge_path_ : list of [ridge, NLL] or None
        What was tried.

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=20, n_groups=2, n_items=60, dim=4, rng=0).comparisons
    >>> model = PerUserRidge(ridge=1.0, item_effects=False, user_ridge=1.0).fit(data)
    >>> model.membership().position.shape
    (20, 4)
    """

    places: Places = "factors"
    ties: ClassVar[str] = "half"
    spec = extended(
        SPEC,
        arrays={"position_": ("users", "positions")},
        numbers=("user_ridge_",),
        plain=("user_ridge_path_",),
    )

    def __init__(
        self,
        *,
        around: Literal["pooled", "zero"] = "pooled",
        user_ridge: float | Literal["auto"] = "auto",
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        covariates: Sequence[str] = (),
        position_bias: bool = False,
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 500,
        uncertainty: bool = True,
        rng: RNG = 0,
    ) -> None:
        self.around = around
        self.user_ridge = user_ridge
        self.ridge = ridge
        self.item_effects = item_effects
        self.covariates = covariates
        self.position_bias = position_bias
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.uncertainty = uncertainty
        self.rng = rng

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons; parameters as in `BradleyTerry.fit`."""
        with opened(self, comparisons, checkpoint, callback) as (prepared, memory, seed):
            plan = choose_terms(self, prepared, Terms(), 1, memory, seed)
            if prepared.problem.features is None and prepared.problem.n_items > MOST_ITEMS:
                raise DataError(
                    f"{prepared.problem.n_items:,} items without features are too many for everybody's own effects.",
                    where=f"at most {MOST_ITEMS:,}",
                    fix="Embed the items, drop those nobody judged with .compact(), or use BradleyTerry.",
                )
            learn(self, prepared, plan, run_fit(self, prepared, plan.terms, 1, memory, seed))
            self.user_ridge_, self.user_ridge_path_ = self._choose_ridge(prepared, plan, memory, seed)
            memory.tell("users", 0, float("nan"))
            problem = prepared.problem
            z = self._offset(comparisons)[prepared.order]
            found = fit_user_heads(problem, self._axes(comparisons.items), z, self.user_ridge_)
        self.position_ = found.heads
        if not found.converged:
            self.converged_ = False
            warnings.warn(
                "The heads of some users did not converge; the last state is kept. Raise user_ridge.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred, given a decision) for the user of each row; people without answers have the pooled reward.

        Users in `membership` (from `adapt`) are predicted by it, users of the training data by their heads.
        """
        self._check_fitted()
        placed = self._placed(comparisons, membership)
        heads = self._heads(placed)
        axes, user = self._axes(comparisons.items), comparisons.user
        own = np.empty(len(comparisons))
        for start in range(0, len(own), 65_536):
            rows = slice(start, start + 65_536)
            difference = axes.rows(comparisons.left[rows]) - axes.rows(comparisons.right[rows])
            own[rows] = np.einsum("ij,ij->i", difference, heads[user[rows]])
        known = placed.n[user] > 0
        z = np.where(known, self._offset(comparisons), self._logits(comparisons)[:, 0]) + own
        return expit(z)

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Fit the heads of the users of `comparisons` to these answers alone, around the pooled reward or nothing."""
        self._check_fitted()
        problem = self._new_problem(comparisons)
        order = np.argsort(comparisons.user, kind="stable")
        found = fit_user_heads(
            problem, self._axes(comparisons.items), self._offset(comparisons)[order], self.user_ridge_
        )
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        return self._membership(comparisons.users, np.ones((comparisons.n_users, 1)), n, found.heads)

    def user_reward(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items users"]:
        """Reward of each item for each person, in logits; as in `PreferenceModel.user_reward`."""
        self._check_fitted()
        placed = self._own(membership)
        shared = self.reward(items)
        kept = (placed.n == 0) | (self.around == "pooled")
        return shared * kept + self._axes(items).matmul(self._heads(placed).T)

    def _trained(self) -> Membership:
        return self._membership(self.users_, self.posterior_, self.n_answers_, self.position_)

    def _prior(self) -> Membership:
        nobody = pa.array([""], pa.large_string())
        position = np.zeros((1, self.position_.shape[1]))
        return self._membership(nobody, np.ones((1, 1)), np.zeros(1, np.int64), position)

    def _heads(self, placed: Membership) -> Float[np.ndarray, "users dim"]:
        if placed.position is None or placed.position.shape[1] != self.position_.shape[1]:
            raise UsageError(
                "The membership holds no heads of this model.", fix="Use what this model's adapt() returned."
            )
        return placed.position

    def _axes(self, items: Items) -> FeatureMatrix:
        """What heads are multiplied with: the features, or one axis for each item that was judged in training."""
        if self.coef_ is not None:
            return self._features(items)
        known, where = self._known_items(items)
        axes = np.zeros((len(items), len(self.item_ids_)))
        axes[known, where] = 1.0
        return FeatureMatrix(axes)

    def _offset(self, comparisons: Comparisons) -> Float[np.ndarray, " pairs"]:
        """Logits that a person's own head is added to."""
        if self.around == "pooled":
            return self._logits(comparisons)[:, 0]
        return self._design(comparisons) @ self.covariate_effects_[0]

    def _choose_ridge(
        self, prepared: Prepared, plan: Plan, memory: Memory, seed: int
    ) -> tuple[float, list[list[float]] | None]:
        """Hill-climb over half decades by the NLL of held-out answers, each fold with a pooled reward of its own."""
        unit = feature_unit(prepared)
        if self.user_ridge != "auto":
            return float(self.user_ridge), None
        # a person's effect of one item says nothing of another, so without features single answers are held out
        blocks = "row" if self.blocks == "auto" and prepared.problem.features is None else self.blocks
        masks, _ = held_out_blocks(prepared, blocks, seed)
        if masks is None:
            return 10.0 * unit, None
        axes = self._axes(prepared.comparisons.items)
        folds = [self._fold(prepared, plan, f, masks[f], memory, seed) for f in range(len(masks))]
        tried: dict[float, float] = {}

        def loss(exponent: float) -> float:
            if exponent not in tried:

                def one() -> dict[str, np.ndarray]:
                    sums = [_held_out(axes, unit * 10.0**exponent, *fold) for fold in folds]
                    return {"loss": np.sum(sums, axis=0)}

                total, mass = memory.piece(f"users/{exponent}", one)["loss"]
                tried[exponent] = float(total / max(mass, 1e-12))
            return tried[exponent]

        best = 1.0
        for step in (1.0, 0.5):
            while True:
                options = [e for e in (best, best + step, best - step) if LOWEST <= e <= HIGHEST]
                better = min(options, key=loss)
                if better == best:
                    break
                best = better
        return unit * 10.0**best, [[unit * 10.0**e, value] for e, value in sorted(tried.items())]

    def _fold(
        self,
        prepared: Prepared,
        plan: Plan,
        number: int,
        masks: tuple[np.ndarray, np.ndarray],
        memory: Memory,
        seed: int,
    ) -> tuple[PairProblem, PairProblem, np.ndarray, np.ndarray, np.ndarray]:
        """The training and the held-out problem of a fold, their offsets, and the pooled logits of the latter."""
        train, held = prepared.subset(masks[0]), prepared.subset(masks[1])

        def one() -> dict[str, np.ndarray]:
            rng = np.random.default_rng([seed, 21, number])
            return {"vector": fit_mixture(train, 1, plan.terms, rng=rng, tol=SELECTION_TOL).vector}

        vector = memory.piece(f"users/pooled/{number}", one)["vector"]
        objective = MixtureObjective(train, 1, plan.terms)
        p = objective.unpack(vector)
        scores = objective.scores(p)[:, 0]

        def pooled(problem: PairProblem) -> np.ndarray:
            return scores[problem.left] - scores[problem.right] + problem.design @ p.covariate_effects[:, 0]

        def offset(problem: PairProblem) -> np.ndarray:
            return pooled(problem) if self.around == "pooled" else problem.design @ p.covariate_effects[:, 0]

        return train, held, offset(train), offset(held), pooled(held)

    def _check_own_settings(self) -> None:
        if self.around not in ("pooled", "zero"):
            refuse(self, "around", '"pooled" or "zero"')
        if self.user_ridge != "auto" and not (is_number(self.user_ridge) and self.user_ridge > 0):
            refuse(self, "user_ridge", '"auto" or a positive number')

    def _set_state(self, document: Any, arrays: Any) -> None:
        super()._set_state(document, arrays)
        width = len(self.item_ids_) if self.coef_ is None else self.coef_.shape[1]
        require_state(self.position_.shape[1] == width, "the heads of users do not fit the model")


def _held_out(
    axes: FeatureMatrix,
    ridge: float,
    train: PairProblem,
    held: PairProblem,
    offset: np.ndarray,
    held_offset: np.ndarray,
    pooled: np.ndarray,
) -> tuple[float, float]:
    """Total NLL of held-out rows under heads fitted to the training rows, and their weight."""
    heads = fit_user_heads(train, axes, offset, ridge, tol=SELECTION_TOL).heads
    x = axes.rows(held.left) - axes.rows(held.right)
    known = train.voters[held.user] > 0
    z = np.where(known, held_offset, pooled) + np.einsum("ij,ij->i", x, heads[held.user])
    return float(held.weight @ (np.logaddexp(0.0, z) - held.outcome * z)), float(held.weight.sum())
