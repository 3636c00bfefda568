"""Bradley-Terry on frozen features, on items alone, or both: the pooled model that every group model must beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pluralism.models.base import Callback
from pluralism.models.fitting import choose_terms, learn, run_fit
from pluralism.models.linear import LinearPreferenceModel
from pluralism.models.opening import opened
from pluralism.random import RNG
from pluralism.solvers import Terms

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.data.folds import FoldBy

__all__ = ["BradleyTerry"]


class BradleyTerry(LinearPreferenceModel):
    """One reward for everybody.

    P(left preferred) = sigmoid(r(left) - r(right) + covariates), with r(item) = coef . features + item effect.

    Parameters
    ----------
    ridge : "auto" or float
        Prior precision of the coefficients (of the item effects, where there are no features). "auto" chooses it by
        the NLL of held-out blocks; 0 is no prior, and raises where the data are separable.
    item_effects : "auto", bool or float
        Each item's own departure from what its features predict: a precision, or True to choose it by marginal
        likelihood; "auto" has them where items occur five times or more on average. Without features always on.
    covariates : sequence of str
        Numeric covariates of either side carried as explicit terms, for example ``("length",)``.
    position_bias : bool
        A term for standing on the left.
    use_features : bool
        Whether rewards may depend on the features of items; False for the baselines of items, or covariates, alone.
    ties : {"half", "davidson"}
        A tie as half a win for each side, or with a probability of its own.
    blocks : {"auto", "prompt", "item", "user", "vote", "pair", "row"}
        What is held out together when the ridge is chosen.
    tol : float
        Convergence tolerance in nats an answer.
    max_iter : int
    uncertainty : bool
        Keep covariances (Laplace) for `reward_std`, and the information criteria.
    rng : int, Generator or None

    References
    ----------
    R. A. Bradley, M. E. Terry, Rank analysis of incomplete block designs, Biometrika 39 (1952).
    R. R. Davidson, On extending the Bradley-Terry model to accommodate ties, JASA 65 (1970).

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=40, n_groups=1, n_items=60, dim=4, rng=0).comparisons
    >>> model = BradleyTerry(ridge=1.0, rng=0).fit(data)
    >>> model.coef_.shape
    (1, 4)
    """

    def __init__(
        self,
        *,
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        covariates: Sequence[str] = (),
        position_bias: bool = False,
        use_features: bool = True,
        ties: Literal["half", "davidson"] = "half",
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 500,
        uncertainty: bool = True,
        rng: RNG = 0,
    ) -> None:
        self.ridge = ridge
        self.item_effects = item_effects
        self.covariates = covariates
        self.position_bias = position_bias
        self.use_features = use_features
        self.ties = ties
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
        """Fit to comparisons.

        Parameters
        ----------
        comparisons : Comparisons
        checkpoint : path, optional
            Directory for finished pieces of the fit; a killed fit called again with it goes on, to the same result.
        callback : callable, optional
            Called as (piece, iteration, objective).
        """
        with opened(self, comparisons, checkpoint, callback) as (prepared, memory, seed):
            plan = choose_terms(self, prepared, Terms(ties=self.ties == "davidson"), 1, memory, seed)
            learn(self, prepared, plan, run_fit(self, prepared, plan.terms, 1, memory, seed))
        return self
