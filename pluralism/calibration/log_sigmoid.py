"""Log-sigmoid centred rewards: the log probability of being good enough, and their sums as AND and OR."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import log_expit, logsumexp

from pluralism.calibration.reward_arrays import Rewards, as_reference, as_rewards, as_weights
from pluralism.errors import UsageError

__all__ = ["log_sigmoid_centred", "lsc_and", "lsc_or", "reference_levels"]

TINY = -30.0


def reference_levels(
    reference: ArrayLike, *, quantile: float = 0.85, shrinkage: float = 5.0
) -> Float[np.ndarray, "*shape"]:
    """What counts as good enough for each prompt: a quantile of the rewards of a reference policy.

    Parameters
    ----------
    reference : array of shape (references,), (references, objectives) or (prompts, references, objectives)
        NaN where a prompt has fewer references.
    quantile : float
        In [0, 1]; interpolated linearly.
    shrinkage : float
        As many references' worth of weight go to the pooled quantile (of rewards less their prompt's mean, put back
        around that mean): the quantile of few samples is noisy. Makes no difference with one prompt.

    Returns
    -------
    array
        The reference without its axis of references: one level, (objectives,) or (prompts, objectives).

    Examples
    --------
    >>> float(reference_levels([0.0, 1.0, 2.0, 3.0], quantile=0.5))
    1.5
    """
    if not 0 <= quantile <= 1 or not (np.isfinite(shrinkage) and shrinkage >= 0):
        raise UsageError(
            f"quantile={quantile!r}, shrinkage={shrinkage!r} is not possible.",
            fix="quantile lies in [0, 1], and shrinkage is a number of references of at least 0.",
        )
    values = as_reference(reference)
    n = (~np.isnan(values)).sum(axis=1)
    if (n == 0).any():
        raise UsageError(
            "A prompt has no reference, so nothing says what is good enough there.",
            where=f"prompt {int(np.argwhere(n == 0)[0, 0])}",
            fix="Draw at least one reference for each prompt and objective.",
        )
    own, mean = np.nanquantile(values, quantile, axis=1), np.nanmean(values, axis=1)
    pooled = mean + np.nanquantile(values - mean[:, None], quantile, axis=(0, 1))
    levels = own if len(values) == 1 else (n * own + shrinkage * pooled) / (n + shrinkage)
    ndim = np.ndim(reference)
    return levels if ndim == 3 else levels[0] if ndim == 2 else np.asarray(levels[0, 0])


def log_sigmoid_centred(rewards: ArrayLike, levels: ArrayLike) -> Float[np.ndarray, "*shape"]:
    r"""Log probability of beating the reference, :math:`u = \log \sigma(r - r_{ref})`, below 0 [1]_.

    Below the reference u grows as fast as r, above it hardly at all: improving what is poor counts, improving what is
    good enough does not. Rewards must be in logits: a model that is too sure moves the point of saturation, so
    calibrate first.

    Parameters
    ----------
    rewards : array of shape (candidates,), (candidates, objectives) or (prompts, candidates, objectives)
    levels : number, or array of shape (objectives,) or (prompts, objectives)
        The reference rewards, as from `reference_levels`.

    Returns
    -------
    array
        Of the shape of `rewards`.

    References
    ----------
    .. [1] Z. Wang et al., "Transforming and combining rewards for aligning large language models", arXiv:2402.00742.

    Examples
    --------
    >>> log_sigmoid_centred([0.0, 2.0], 0.0).round(3)
    array([-0.693, -0.127])
    """
    given = as_rewards(rewards)
    return given.like_given(log_expit(_centred(given, levels)))


def lsc_and(rewards: ArrayLike, levels: ArrayLike, *, weights: ArrayLike | None = None) -> Float[np.ndarray, "*shape"]:
    r"""Log probability that a response is good by every objective, :math:`\sum_k w_k \log \sigma(r_k - r_k^{ref})`.

    Exact where the objectives are independent given the response. Correlated objectives are counted twice; weights are
    exponents, with which that can be taken back.

    Parameters
    ----------
    rewards, levels
        As in `log_sigmoid_centred`.
    weights : array of shape (objectives,), optional
        At least 0; 1 each by default.

    Returns
    -------
    array of shape (candidates,) or (prompts, candidates)

    Examples
    --------
    >>> lsc_and([[0.0, 0.0], [3.0, -3.0]], 0.0).round(2)
    array([-1.39, -3.1 ])
    """
    given = as_rewards(rewards)
    w = as_weights(weights, given.values.shape[2], 1.0)
    return given.per_candidate(log_expit(_centred(given, levels)) @ w)


def lsc_or(rewards: ArrayLike, levels: ArrayLike, *, weights: ArrayLike | None = None) -> Float[np.ndarray, "*shape"]:
    r"""Log probability that a response is good by some objective, :math:`\log[1 - \prod_k (1 - \sigma_k)^{w_k}]`.

    Parameters and result as of `lsc_and`.

    Examples
    --------
    >>> lsc_or([[0.0, 0.0], [3.0, -3.0]], 0.0).round(2)
    array([-0.29, -0.05])
    """
    given = as_rewards(rewards)
    w = as_weights(weights, given.values.shape[2], 1.0)
    d = _centred(given, levels)
    # log of softplus(d) = -log(1 - sigma(d)), which is d itself where softplus would underflow
    log_softplus = np.where(d < TINY, d, np.log(np.logaddexp(0.0, np.maximum(d, TINY))))
    log_miss = logsumexp(log_softplus, axis=2, b=w)
    return given.per_candidate(
        np.where(log_miss < TINY, log_miss, np.log(-np.expm1(-np.exp(np.maximum(log_miss, TINY)))))
    )


def _centred(given: Rewards, levels: ArrayLike) -> Float[np.ndarray, "prompts candidates objectives"]:
    n_prompts, _, n_objectives = given.values.shape
    level = np.asarray(levels, dtype=float)
    if level.shape not in ((), (n_objectives,), (n_prompts, n_objectives)) or not np.isfinite(level).all():
        raise UsageError(
            f"levels of shape {level.shape} do not fit {n_prompts} prompt(s) and {n_objectives} objective(s), or are "
            "not finite.",
            fix="Pass one number, one for each objective, or one for each prompt and objective.",
        )
    return given.values - (level[:, None, :] if level.ndim == 2 else level)
