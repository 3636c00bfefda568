"""Expected calibration error of pairwise probabilities."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import ndtr

from pluralism.calibration._inputs import Rows, as_n_bins, as_rows, check_values, refuse
from pluralism.calibration._kernels import confidence_gaps, confidence_table, mirrored_gaps, sum_over_blocks
from pluralism.errors import DataWarning

__all__ = ["debiased_ece", "ece"]


def ece(
    p: ArrayLike, y: ArrayLike, *, n_bins: int = 15, mirrored: bool = False, weight: ArrayLike | None = None
) -> float:
    r"""Expected calibration error: how far, on average, stated confidence lies from the observed share of hits.

    The confidence of a row is max(p, 1 - p); it is right with the outcome's mass on the side it favours (half right
    at p = 0.5). Confidences fall into `n_bins` equal right-closed bins of [0.5, 1] and

    .. math:: \mathrm{ECE} = \frac{1}{\sum_i w_i} \sum_b \Big| \sum_{i \in b} w_i (\text{confidence}_i -
              \text{correct}_i) \Big|.

    Which item stood on the left makes no difference. A perfectly calibrated model does not score 0 on a finite
    sample: compare with `ece_null_band`.

    Parameters
    ----------
    p : array of shape (pairs,)
        Probability that the left item is preferred, in [0, 1].
    y : array of shape (pairs,)
        Outcome in [0, 1]; values between are soft labels.
    n_bins : int
        Number of bins, of [0.5, 1] or, if mirrored, of [0, 1].
    mirrored : bool
        Enter each pair in both orders, as (p, y) and (1 - p, 1 - y), into `n_bins` bins of [0, 1] [1]_. With an even
        number of bins this equals the default with half as many, unless a probability lies on a bin edge. With an
        odd number the two orders cancel in the middle bin, which hides errors there: a `DataWarning` says so.
    weight : array of shape (pairs,), optional
        Weights, at least 0.

    Returns
    -------
    float
        In [0, 1].

    References
    ----------
    .. [1] D. Zeng et al., "On diversified preferences of large language model alignment", arXiv:2312.07401.

    Examples
    --------
    >>> round(ece([0.9, 0.9, 0.1, 0.6], [1, 0, 0, 1]), 4)
    0.275
    """
    rows, n_bins = as_rows(p, y, weight), as_n_bins(n_bins)
    if mirrored and n_bins % 2:
        warnings.warn(
            f"With {n_bins} mirrored bins the middle one cancels to 0 and hides the errors of near-even pairs; "
            "use an even number.",
            DataWarning,
            stacklevel=2,
        )
    kernel = mirrored_gaps if mirrored else confidence_gaps
    edges = np.linspace(0.0, 1.0, n_bins + 1) if mirrored else confidence_edges(n_bins)
    sums = sum_over_blocks(
        lambda s: kernel(rows.p[s], rows.y[s], None if rows.weight is None else rows.weight[s], edges), len(rows.p)
    )
    if sums[-1]:
        refuse(rows)
    return float(np.abs(sums[:-1]).sum() / (rows.total * (2 if mirrored else 1)))


def debiased_ece(p: ArrayLike, y: ArrayLike, *, n_bins: int = 15, weight: ArrayLike | None = None) -> float:
    """ECE less most of what chance alone adds to it at this sample size.

    The gap of a bin with observed share a is taken as normal with variance a(1 - a) / n, and the amount by which
    such noise inflates the absolute gap is subtracted in closed form [1]_. Where bins are far from calibrated the bias
    is gone; where they are calibrated some 41 % of it goes, so the comparison with `ece_null_band` remains the test
    of calibration.

    Parameters
    ----------
    p, y, n_bins, weight
        As in `ece`; bins are those of [0.5, 1].

    References
    ----------
    .. [1] A. Kumar, P. Liang and T. Ma, "Verified uncertainty calibration", NeurIPS 2019, section 5.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=2000)
    >>> y = rng.random(2000) < p
    >>> debiased_ece(p, y) < ece(p, y)
    True
    """
    rows = check_values(as_rows(p, y, weight))
    _, w, w2, confidence, correct = bin_table(rows, confidence_edges(as_n_bins(n_bins)))
    full = w > 0
    w, w2, confidence, correct = w[full], w2[full], confidence[full], correct[full]
    gap, share = np.abs(confidence - correct) / w, np.clip(correct / w, 0, 1)
    sd = np.sqrt(share * (1 - share) * w2) / w
    return float(w @ (2 * gap - folded_normal_mean(gap, sd)) / w.sum())


def folded_normal_mean(mean: Float[np.ndarray, " bins"], sd: Float[np.ndarray, " bins"]) -> Float[np.ndarray, " bins"]:
    """Mean of the absolute value of a normal variable."""
    z = np.divide(mean, sd, out=np.full_like(mean, np.inf), where=sd > 0)
    return sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * z**2) + mean * (1 - 2 * ndtr(-z))


def confidence_edges(n_bins: int) -> Float[np.ndarray, " edges"]:
    """Edges of `n_bins` equal bins of [0.5, 1]."""
    return np.linspace(0.5, 1.0, n_bins + 1)


def bin_table(rows: Rows, edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, "5 bins"]:
    """Per bin: rows, weight, weight squared, weighted confidence, weighted correctness."""
    return sum_over_blocks(
        lambda s: confidence_table(rows.p[s], rows.y[s], None if rows.weight is None else rows.weight[s], edges),
        len(rows.p),
    )
