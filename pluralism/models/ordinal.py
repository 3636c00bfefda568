"""Preferences with strengths (slightly better, better, much better): an ordinal Bradley-Terry, and its rivals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from pluralism.errors import UsageError
from pluralism.models.base import Callback
from pluralism.models.diagnosis import refuse_separable
from pluralism.models.fitting import Memory, check_settings, choose_terms
from pluralism.models.linear import SPEC, LinearPreferenceModel
from pluralism.models.membership import Membership
from pluralism.models.ordinal_fit import OrdinalSettings, learn_ordinal
from pluralism.models.ordinal_rows import levels_of, ordinal_rows
from pluralism.models.pooled_control import pooled_control
from pluralism.models.preparation import prepare
from pluralism.models.ratings_prior import ratings_direction
from pluralism.models.settings import is_whole, refuse
from pluralism.random import RNG, as_seed
from pluralism.solvers import Terms, suitable_threads

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Ratings
    from pluralism.data.folds import FoldBy

__all__ = ["OrdinalBradleyTerry"]

LIKELIHOODS = ("ordinal", "scaled", "margin", "plain")
TIES = ("middle", "davidson", "half")


class OrdinalBradleyTerry(LinearPreferenceModel):
    """One reward for everybody, learnt from how much better the preferred item is.

    The signed strength of a comparison is an ordered category whose cumulative logit is linear in the reward
    difference, with thresholds symmetric about zero; P(left preferred) stays that of Bradley-Terry. Without strengths
    the model is Bradley-Terry.

    Parameters
    ----------
    likelihood : {"ordinal", "scaled", "margin", "plain"}
        "scaled" weights each row's Bradley-Terry loss by its strength (over the mean strength), "margin" asks the
        preferred item to lead by its strength, "plain" looks at the winner alone.
    ties : {"middle", "davidson", "half"}
        A tie as the category between both sides, with a probability of its own (strengths are then those of
        decisions), or as half a win for each side.
    recalibrate : bool or None
        Divide all logits by a temperature fitted to predictions of held-out blocks. None: for "scaled" and
        "margin", whose optimum is not a probability's.
    n_levels : int
        Levels that strengths of more than seven distinct values are cut into, about as many rows in each.
    rating : str or None
        Which attribute of the `ratings` given to `fit` stands for the reward; None for the mean of all, each in
        units of its standard deviation.
    ridge, item_effects, covariates, position_bias, blocks, tol, max_iter, uncertainty, rng
        As in `BradleyTerry`; the ridge is chosen by this likelihood.

    Attributes
    ----------
    levels_ : array of shape (levels,)
        Lower edges of the levels of strength.
    cuts_ : array of shape (levels,)
        Thresholds c_0 <= c_1 < ... in logits; c_0 is half the width of the tie category, 0 without one.
    temperature_ : float
        What the logits were divided by.
    prior_coef_ : array of shape (1, dim) or None
        Prior mean of the head, from ratings.

    References
    ----------
    Z. Wang et al., HelpSteer2-Preference: complementing ratings with preferences, arXiv:2410.01257.
    P. McCullagh, Regression models for ordinal data, JRSS B 42 (1980).
    P. V. Rao, L. L. Kupper, Ties in paired-comparison experiments, JASA 62 (1967).

    Examples
    --------
    >>> from pluralism.data import Comparisons
    >>> data = Comparisons.from_arrays(["a", "a", "b", "c"], ["b", "c", "c", "a"], strength=[1, 3, 1, 1])
    >>> model = OrdinalBradleyTerry(ridge=1.0).fit(data)
    >>> bool(np.diff(model.reward(data.items)[:, 0]).max() < 0)
    True
    """

    spec = replace(
        SPEC,
        arrays={
            **SPEC.arrays,
            "levels_": ("levels",),
            "cuts_": ("cuts",),
            "prior_coef_": ("groups", "dim"),
        },
        optional=SPEC.optional | {"prior_coef_"},
        numbers=(*SPEC.numbers, "temperature_"),
    )

    def __init__(
        self,
        *,
        likelihood: Literal["ordinal", "scaled", "margin", "plain"] = "ordinal",
        ties: Literal["middle", "davidson", "half"] = "middle",
        recalibrate: bool | None = None,
        n_levels: int = 5,
        rating: str | None = None,
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
        self.likelihood = likelihood
        self.ties = ties
        self.recalibrate = recalibrate
        self.n_levels = n_levels
        self.rating = rating
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
        ratings: Ratings | None = None,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons.

        Parameters
        ----------
        comparisons : Comparisons
            With `strength` where it is known.
        ratings : Ratings, optional
            Of items with the same kind of features: the regression of the ratings on the features, scaled to logits
            by the comparisons, is the prior mean of the head. (The likelihood of a linear head is concave, so a
            mere starting point would change nothing.)
        checkpoint, callback
            As in `BradleyTerry.fit`.
        """
        self._forget()
        self._check()
        control = pooled_control(self, ties="half")
        check_settings(control)
        prepared = prepare(comparisons, self.covariates, position_bias=self.position_bias)
        if self.ridge == 0:
            refuse_separable(prepared)
        seed = as_seed(self.rng)
        direction = None if ratings is None else ratings_direction(ratings, comparisons.items, self.rating, seed)
        levels = levels_of(prepared, self.n_levels)
        rows, middle = ordinal_rows(prepared, levels, self.likelihood, self.ties)
        settings = OrdinalSettings(
            rows=rows,
            middle=middle,
            direction=direction,
            recalibrate=self.likelihood in ("scaled", "margin") if self.recalibrate is None else self.recalibrate,
            uncertainty=self.uncertainty,
        )
        also = [rows.low, rows.high, rows.margin, rows.weight, *([] if direction is None else [direction])]
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in also)).hexdigest()
        memory = Memory(checkpoint, f"{type(self).__name__}/{seed}/{self!r}/{digest}", prepared, callback)
        with suitable_threads(prepared.problem):
            plan = choose_terms(control, prepared, Terms(), 1, memory, seed)
            plan = replace(plan, terms=plan.terms.but(ties=self.ties == "davidson"))
            learn_ordinal(self, prepared, plan, settings, memory, seed)
        self.levels_ = levels
        return self

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred, given a decision); the same for all users."""
        return self.predict_group_proba(comparisons)[:, 0]

    def predict_tie_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(tie).

        Raises
        ------
        UsageError
            If the model has no probability of a tie.
        """
        z = self._checked_logits(comparisons)[:, 0]
        if self.tie_ > 0:
            half = np.exp(-0.5 * np.abs(z))
            return self.tie_ * half / (1.0 + half * half + self.tie_ * half)
        if self.cuts_[0] > 0:
            return 1.0 - expit(z - self.cuts_[0]) - expit(-z - self.cuts_[0])
        raise UsageError(
            "This model has no probability of a tie.",
            fix='Fit comparisons with ties, with ties="middle" or ties="davidson".',
        )

    def predict_strength_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs categories"]:
        """Probabilities of all categories, given a decision: right preferred most strongly first, left last.

        The columns are the levels of `levels_` from the highest to the lowest for the right side, then from the
        lowest to the highest for the left side; rows sum to 1.

        Raises
        ------
        UsageError
            If the likelihood is not the ordinal one.
        """
        z = self._checked_logits(comparisons)
        if self.likelihood != "ordinal":
            raise UsageError(
                f'The likelihood "{self.likelihood}" has no probabilities of strengths.',
                fix='Fit with likelihood="ordinal".',
            )
        cuts = np.append(self.cuts_, np.inf)
        left = expit(z - cuts[:-1]) - expit(z - cuts[1:])
        right = expit(-z - cuts[:-1]) - expit(-z - cuts[1:])
        whole = np.concatenate([right[:, ::-1], left], axis=1)
        return whole / whole.sum(axis=1, keepdims=True)

    def _checked_logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        self._check_fitted()
        return self._logits(comparisons)

    def _decision_logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """A tie takes the middle: sigmoid(z - c) against sigmoid(- z - c)."""
        z = self._checked_logits(comparisons)
        return np.logaddexp(0.0, z + self.cuts_[0]) - np.logaddexp(0.0, self.cuts_[0] - z)

    def _check(self) -> None:
        if self.likelihood not in LIKELIHOODS:
            refuse(self, "likelihood", " or ".join(map(repr, LIKELIHOODS)))
        if self.ties not in TIES:
            refuse(self, "ties", " or ".join(map(repr, TIES)))
        if self.recalibrate not in (None, True, False):
            refuse(self, "recalibrate", "True, False or None")
        if not is_whole(self.n_levels, 2):
            refuse(self, "n_levels", "a whole number of at least 2")
        if self.rating is not None and not isinstance(self.rating, str):
            refuse(self, "rating", "the name of an attribute, or None")
