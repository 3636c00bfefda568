"""Preferences that no reward can express: a Bradley-Terry reward plus a skew-symmetric form in which choices circle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from pluralism.models.base import Callback
from pluralism.models.fitting import choose_terms, learn, run_fit
from pluralism.models.linear import LinearPreferenceModel
from pluralism.models.opening import opened
from pluralism.models.preparation import Prepared
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.skew_fit import SkewFit, choose_rank, fit_skew, linear_uncertainty
from pluralism.models.state import extended, require_state
from pluralism.random import RNG
from pluralism.solvers import Terms

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.data.folds import FoldBy

__all__ = ["GeneralPreference"]

SPEC = extended(
    LinearPreferenceModel.spec,
    arrays={
        "planes_": ("two", "plane_rows", "rank"),
        "plane_centre_": ("two", "rank"),
    },
    numbers=("skew_ridge_", "intransitivity_"),
    plain=("rank_path_",),
)


class GeneralPreference(LinearPreferenceModel):
    """One preference for everybody that may run in circles.

    P(left preferred) = sigmoid(r(left) - r(right) + d_left' (U V' - V U') d_right + covariates), where r is the reward
    of `BradleyTerry` and d an item's features less the mean of the compared items. Exchanging the sides changes the
    sign of the skew-symmetric form, and a form of rank 0 is Bradley-Terry itself. Without features the rows of U and V
    belong to the items.

    `reward` is r: because the form is centred, it averages to zero over the items compared in training, so r is an
    item's mean logit against them (its Borda score in logits), up to a constant. A lower reward may well be predicted
    to win; `preference_matrix` holds the whole preference.

    Parameters
    ----------
    rank : "auto" or int
        Planes in which preferences turn (columns of U and of V). "auto" takes the fewest whose NLL of held-out blocks
        is within two standard errors, or .003 nats, of the best, so that circles must earn their place.
    max_rank : int
        The most planes "auto" tries.
    skew_ridge : "auto" or float
        Prior precision of the entries of U and V; "auto" by held-out blocks.
    ridge, item_effects, covariates, position_bias, blocks, tol, max_iter, uncertainty, rng
        As in `BradleyTerry`. The ridge is chosen for the reward alone.

    Attributes
    ----------
    planes_ : array of shape (2, dim, rank), or (2, known items, rank) without features
        U and V.
    rank_path_ : list of [rank, skew_ridge, NLL] or None
        What was tried.
    intransitivity_ : float
        Share of the variance of the training logits that the skew-symmetric form has, in [0, 1].

    References
    ----------
    Y. Zhang et al., Beyond Bradley-Terry models: A general preference model for language model alignment (2024),
    arXiv:2410.02197. S. Chen, T. Joachims, Modeling intransitivity in matchup and comparison data, WSDM 2016.

    Examples
    --------
    >>> from pluralism.data import Comparisons
    >>> wins = Comparisons.from_arrays(
    ...     ["rock", "paper", "scissors"] * 20, ["scissors", "rock", "paper"] * 20, user=["u"] * 60
    ... )
    >>> model = GeneralPreference(rank=1, ridge=1.0, skew_ridge=0.1).fit(wins)
    >>> bool((model.predict_proba(wins) > 0.9).all())
    True
    """

    ties: ClassVar[str] = "half"
    transitive: ClassVar[bool] = False
    spec = SPEC

    def __init__(
        self,
        *,
        rank: int | Literal["auto"] = "auto",
        max_rank: int = 4,
        skew_ridge: float | Literal["auto"] = "auto",
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
        self.rank = rank
        self.max_rank = max_rank
        self.skew_ridge = skew_ridge
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
            linear = run_fit(self, prepared, plan.terms, 1, memory, seed)
            choice = choose_rank(self, prepared, plan.terms, memory, seed)
            fit = linear
            skew: SkewFit | None = None
            if choice.rank:
                skew = fit_skew(prepared.problem, plan.terms, choice, tol=self.tol, max_iter=self.max_iter, seed=seed)
                fit = skew.as_mixture_fit(linear)
            found = None if skew is None or not self.uncertainty else linear_uncertainty(prepared, plan.terms, skew)
            learn(self, prepared, plan, fit, found=found)
        self._learn_planes(prepared, skew)
        self.skew_ridge_ = float(choice.skew_ridge)
        self.rank_path_ = None if choice.tried is None else [list(row) for row in choice.tried]
        return self

    @property
    def rank_(self) -> int:
        """Number of planes."""
        self._check_fitted()
        return self.planes_.shape[2]

    def preference_matrix(self, items: Items) -> Float[np.ndarray, "items items"]:
        """P(row preferred to column) for every pair of items, without covariates; one half on the diagonal."""
        self._check_fitted()
        reward = self.reward(items)[:, 0]
        p, q = self._places(items)
        return expit(reward[:, None] - reward[None, :] + p @ q.T - q @ p.T)

    def _logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        linear = super()._logits(comparisons)
        p, q = self._places(comparisons.items)
        a, b = comparisons.left, comparisons.right
        return linear + np.sum(p[a] * q[b] - q[a] * p[b], axis=1)[:, None]

    def _places(self, items: Items) -> tuple[Float[np.ndarray, "items rank"], Float[np.ndarray, "items rank"]]:
        """Both places of each item; an unknown item without features is where the average item is, at 0."""
        rank = self.planes_.shape[2]
        both = np.zeros((len(items), 2 * rank))
        planes, centre = np.concatenate(list(self.planes_), axis=1), self.plane_centre_.ravel()
        if self.coef_ is not None:
            both = self._features(items).matmul(planes) - centre
        else:
            known, where = self._known_items(items)
            both[known] = planes[where] - centre
        return both[:, :rank], both[:, rank:]

    def _learn_planes(self, prepared: Prepared, skew: SkewFit | None) -> None:
        problem = prepared.problem
        rows = len(self.item_ids_) if problem.features is None else problem.features.dim
        self.planes_, self.plane_centre_ = np.zeros((2, rows, 0)), np.zeros((2, 0))
        self.intransitivity_ = 0.0
        if skew is None:
            return
        planes = skew.planes
        if problem.features is None:
            planes = planes[:, problem.played > 0]
        self.planes_, self.plane_centre_ = np.ascontiguousarray(planes), skew.centre
        self.intransitivity_ = skew.intransitivity

    def _check_own_settings(self) -> None:
        if self.rank != "auto" and not is_whole(self.rank, 0):
            refuse(self, "rank", '"auto" or an integer of at least 0')
        if not is_whole(self.max_rank, 1):
            refuse(self, "max_rank", "an integer of at least 1")
        if self.skew_ridge != "auto" and not (is_number(self.skew_ridge) and float(self.skew_ridge) > 0):
            refuse(self, "skew_ridge", '"auto" or a positive number')

    def _set_state(self, document: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> None:
        super()._set_state(document, arrays)
        extents = self._give_state(document, arrays)
        rows = extents["dim"] if self.coef_ is not None else extents["items"]
        require_state(extents["two"] == 2, "there are two matrices of planes")
        require_state(extents["plane_rows"] == rows, "the planes do not fit the coefficients")
        require_state(self.rank in ("auto", self.planes_.shape[2]), "the planes do not fit the parameter rank")
