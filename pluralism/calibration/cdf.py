"""Calibrate rewards by their place among rewards of a reference policy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.calibration.reward_arrays import as_reference, as_rewards
from pluralism.errors import DataWarning, NotFittedError, UsageError

__all__ = ["CDFCalibrator", "weighted_midrank"]


class CDFCalibrator:
    r"""The share of reference responses to the same prompt that a response beats, ties counted half.

    .. math:: C(r \mid x) = \Pr_{z \sim p(\cdot \mid x)}[r_z < r] + \tfrac12 \Pr[r_z = r]

    is the win rate against the reference policy p [1]_: in [0, 1] with mean 1/2 over the references, and unmoved by any
    increasing transform of the rewards of a prompt. So rewards of different prompts, objectives or groups of people
    come to one unit. Increasing transforms leave the best of a prompt's candidates what it is: what changes is averages
    over objectives or people, soft policies, and budgets across prompts.

    Parameters
    ----------
    shrinkage : float
        With few references the empirical C is coarse. The pooled distribution of all prompts (each reward less its
        prompt's mean) counts as this many references more of each prompt. 0 gives the empirical C, which alone is
        invariant to increasing transforms; with shrinkage C is invariant to a shift of each prompt and a common scale.

    Attributes
    ----------
    reference_ : array of shape (prompts, references, objectives)
        NaN where there is none.
    n_references_ : int array of shape (prompts, objectives)

    References
    ----------
    .. [1] A. Balashankar et al., "InfAlign: Inference-aware language model alignment", arXiv:2412.19792, section 4.

    Examples
    --------
    >>> calibrator = CDFCalibrator(shrinkage=0).fit([0.0, 1.0, 1.0, 5.0])
    >>> calibrator.transform([-1.0, 1.0, 3.0, 9.0])
    array([0.  , 0.5 , 0.75, 1.  ])
    """

    reference_: Float[np.ndarray, "prompts references objectives"]
    n_references_: Int[np.ndarray, "prompts objectives"]
    _mean: Float[np.ndarray, "prompts objectives"]

    def __init__(self, *, shrinkage: float = 5.0) -> None:
        self.shrinkage = shrinkage

    def __repr__(self) -> str:
        fitted = ""
        if hasattr(self, "reference_"):
            fitted = f", {len(self.reference_):,} prompts of {self.n_references_.mean():.3g} references"
        return f"CDFCalibrator(shrinkage={self.shrinkage}{fitted})"

    def fit(self, reference: ArrayLike) -> CDFCalibrator:
        """Keep the reference rewards.

        Parameters
        ----------
        reference : array of shape (references,), (references, objectives) or (prompts, references, objectives)
            Rewards of responses drawn from the reference policy; NaN where a prompt has fewer.
        """
        if not (np.isfinite(self.shrinkage) and self.shrinkage >= 0):
            raise UsageError(
                f"shrinkage={self.shrinkage!r} is not possible.", fix="It is a number of references, at least 0."
            )
        self.reference_ = as_reference(reference)
        there = ~np.isnan(self.reference_)
        self.n_references_ = there.sum(axis=1)
        total = np.where(there, self.reference_, 0.0).sum(axis=1)
        self._mean = total / np.maximum(self.n_references_, 1)
        return self

    def transform(self, rewards: ArrayLike, prompt: ArrayLike | None = None) -> Float[np.ndarray, "*shape"]:
        """Calibrated rewards, in [0, 1], of the shape of `rewards`.

        Parameters
        ----------
        rewards : array of shape (candidates,), (candidates, objectives) or (prompts, candidates, objectives)
        prompt : int array of shape (prompts,), optional
            For each prompt of `rewards` its row among the references, -1 if it has none. By default the prompts are
            the same, or the references serve all. Prompts without references are placed among all reference rewards,
            with a `DataWarning`.
        """
        if not hasattr(self, "reference_"):
            raise NotFittedError("This calibrator has not been fitted.", fix="Call fit(reference) first.")
        given = as_rewards(rewards)
        n_prompts, _, n_objectives = given.values.shape
        rows = self._rows(n_prompts, n_objectives, prompt)
        out = np.empty_like(given.values)
        for k in range(n_objectives):
            values = self.reference_[:, :, k]
            there = ~np.isnan(values)
            everything = np.sort(values[there])
            centred = np.sort((values - self._mean[:, k : k + 1])[there])
            for i, row in enumerate(rows):
                r = given.values[i, :, k]
                n = 0 if row < 0 else int(self.n_references_[row, k])
                if n == 0:
                    out[i, :, k] = midrank(everything, r)
                    continue
                own = midrank(np.sort(values[row][there[row]]), r)
                if self.shrinkage == 0:
                    out[i, :, k] = own
                    continue
                pooled = midrank(centred, r - self._mean[row, k])
                out[i, :, k] = (n * own + self.shrinkage * pooled) / (n + self.shrinkage)
        return given.like_given(out)

    def fit_transform(self, rewards: ArrayLike) -> Float[np.ndarray, "*shape"]:
        """Each reward's place among the rewards of its own prompt."""
        return self.fit(rewards).transform(rewards)

    def to_dict(self) -> dict[str, Any]:
        """How many references each prompt has."""
        return {"shrinkage": self.shrinkage, "n_references": self.n_references_.tolist()}

    def _rows(self, n_prompts: int, n_objectives: int, prompt: ArrayLike | None) -> Int[np.ndarray, " prompts"]:
        if n_objectives != self.reference_.shape[2]:
            raise UsageError(
                f"The rewards have {n_objectives} objectives, the reference has {self.reference_.shape[2]}.",
                fix="Calibrate by references of the same objectives.",
            )
        if prompt is None:
            if len(self.reference_) not in (1, n_prompts):
                raise UsageError(
                    f"The rewards are of {n_prompts} prompts, the references of {len(self.reference_)}.",
                    fix="Pass prompt=, the row of each prompt among the references.",
                )
            rows = np.arange(n_prompts) if len(self.reference_) == n_prompts else np.zeros(n_prompts, np.int64)
        else:
            rows = np.asarray(prompt)
            if (
                rows.shape != (n_prompts,)
                or rows.dtype.kind not in "iu"
                or rows.max() >= len(self.reference_)
                or rows.min() < -1
            ):
                raise UsageError(
                    f"prompt must be {n_prompts} row(s) from -1 to {len(self.reference_) - 1}.",
                    fix="Use -1 for unknown prompts.",
                )
        without = int(np.sum((rows < 0) | (self.n_references_[rows] == 0).any(axis=1)))
        if without:
            warnings.warn(
                f"{without} prompt(s) have no reference and are placed among the references of all prompts.",
                DataWarning,
                stacklevel=3,
            )
        return rows.astype(np.int64)


def midrank(ascending: Float[np.ndarray, " references"], r: Float[np.ndarray, " candidates"]) -> np.ndarray:
    """Share of the references below r, plus half of those equal to it."""
    below, upto = (np.searchsorted(ascending, r, side=side) for side in ("left", "right"))
    return 0.5 * (below + upto) / len(ascending)


def weighted_midrank(
    values: Float[np.ndarray, "prompts candidates groups"], weights: Float[np.ndarray, "prompts candidates"]
) -> Float[np.ndarray, "prompts candidates groups"]:
    """Weight of a prompt's candidates below each one, plus half of that of its equals; its weighted mean is 1/2.

    Parameters
    ----------
    weights : array of shape (prompts, candidates)
        Probabilities, 0 where there is no candidate.
    """
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    mass = np.take_along_axis(np.broadcast_to(weights[..., None], values.shape), order, axis=1)
    upto = np.cumsum(mass, axis=1)
    starts = np.ones(values.shape, dtype=bool)
    starts[:, 1:] = ordered[:, 1:] > ordered[:, :-1]
    ends = np.ones(values.shape, dtype=bool)
    ends[:, :-1] = starts[:, 1:]
    below = np.maximum.accumulate(np.where(starts, upto - mass, 0.0), axis=1)
    through = np.minimum.accumulate(np.where(ends, upto, np.inf)[:, ::-1], axis=1)[:, ::-1]
    out = np.empty(values.shape)
    np.put_along_axis(out, order, 0.5 * (below + through), axis=1)
    return out
