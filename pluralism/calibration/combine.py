"""Several rewards of a candidate into one, and which changes of the rewards leave the ranking alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.cdf import midrank
from pluralism.calibration.log_sigmoid import lsc_and, lsc_or
from pluralism.calibration.reward_arrays import as_reference, as_rewards, as_weights
from pluralism.errors import UsageError

__all__ = ["INVARIANCES", "PROPERTIES", "combine"]

How = Literal["linear", "chebyshev", "min", "median", "lsc_and", "lsc_or", "nash", "borda"]
Values = Float[np.ndarray, "prompts candidates objectives"]
References = Float[np.ndarray, "prompts references objectives"]

GOOD_ENOUGH = 0.85

PROPERTIES: dict[str, str] = {
    "common shift": "the same constant is added to all objectives",
    "shift": "each objective has a constant of its own added",
    "common scale": "all objectives are multiplied by one positive constant",
    "scale": "each objective is multiplied by a positive constant of its own",
    "common monotone": "all objectives go through one strictly increasing function",
    "monotone": "each objective goes through a strictly increasing function of its own",
    "anonymity": "the objectives change places",
    "objective clone": "an objective is entered twice",
    "candidate clone": "a candidate is entered twice (ranking of the others and of the original)",
    "other candidates": "a candidate is left out (ranking of those that stay)",
    "weak pareto": "better by every objective is ranked strictly higher",
    "pareto": "better by one objective and worse by none is ranked strictly higher",
}
"""What `INVARIANCES` speaks of: changes that leave the ranking of a prompt's candidates alone, and what else holds."""

_HOLDS = {
    "linear": "common shift, shift, common scale, anonymity, candidate clone, other candidates, weak pareto, pareto",
    "chebyshev": "common shift, shift, common scale, anonymity, objective clone, candidate clone, weak pareto",
    "min": "common shift, common scale, common monotone, anonymity, objective clone, candidate clone, "
    "other candidates, weak pareto",
    "median": "common shift, common scale, anonymity, candidate clone, other candidates, weak pareto",
    "lsc_and": "common shift, shift, anonymity, weak pareto, pareto",
    "lsc_or": "common shift, shift, anonymity, weak pareto, pareto",
    "nash": "common shift, shift, common scale, scale, anonymity, candidate clone, weak pareto",
    "borda": "common shift, shift, common scale, scale, common monotone, monotone, anonymity, weak pareto, pareto",
}

INVARIANCES: dict[str, dict[str, bool]] = {
    how: {name: name in holds.split(", ") for name in PROPERTIES} for how, holds in _HOLDS.items()
}
"""For each rule, which of the `PROPERTIES` hold, with equal weights and the candidates as reference."""


def combine(
    rewards: ArrayLike,
    how: How = "linear",
    *,
    weights: ArrayLike | None = None,
    reference: ArrayLike | None = None,
) -> Float[np.ndarray, "*shape"]:
    r"""One score a candidate from its rewards by several objectives, or for several groups of people.

    With r the rewards of a candidate, w the weights, and the maximum z, the minimum d and the 85 % quantile q of the
    reference rewards of each objective:

    =============  ==========================================================================================
    how            score
    =============  ==========================================================================================
    ``linear``     :math:`\sum_k w_k r_k`, with w = 1 / objectives by default; w may be signed
    ``chebyshev``  :math:`-\max_k w_k (z_k - r_k)`; reaches also fronts that are not convex
    ``min``        :math:`\min_k r_k`
    ``median``     the median of the :math:`r_k`
    ``lsc_and``    :math:`\sum_k w_k \log \sigma(r_k - q_k)`, the log probability that all are good enough
    ``lsc_or``     the log probability that some objective is good enough
    ``nash``       :math:`\sum_k w_k \log(r_k - d_k)`, minus infinity for no gain by some objective
    ``borda``      :math:`\sum_k w_k C_k(r_k)`, C the share of the references beaten, ties half
    =============  ==========================================================================================

    `INVARIANCES` says which changes of the rewards leave the ranking alone. Bradley-Terry rewards are known up to a
    constant for each objective (and group), so ``min`` and ``median``, which a shift of one objective changes, mean
    something only after the rewards are brought to one unit: by `CDFCalibrator`, or by subtracting a reference.

    Parameters
    ----------
    rewards : array of shape (candidates, objectives) or (prompts, candidates, objectives)
    how : str
        See the table.
    weights : array of shape (objectives,), optional
        At least 0; 1 by default, 1 / objectives for ``linear`` and ``borda``. ``min`` and ``median`` take none.
    reference : array, optional
        As in `par`; the candidates themselves by default.

    Returns
    -------
    array of shape (candidates,) or (prompts, candidates)
        Higher is better. Scores of different rules have different units.

    References
    ----------
    K. Miettinen, "Nonlinear Multiobjective Optimization", 1999, chapter 3.4 (Chebyshev).
    Z. Wang et al., arXiv:2402.00742 (LSC).
    M. Kaneko and K. Nakamura, "The Nash social welfare function", Econometrica 47, 1979.

    Examples
    --------
    >>> rewards = [[3.0, 0.0], [1.5, 1.2], [0.0, 2.9]]
    >>> [int(np.argmax(combine(rewards, how))) for how in ("linear", "chebyshev", "min", "nash")]
    [0, 1, 1, 1]
    """
    if how not in _RULES:
        raise UsageError(f"how={how!r} is not possible.", fix=f"how is one of {', '.join(_RULES)}.")
    given = as_rewards(rewards)
    if given.ndim == 1:
        raise UsageError(
            "Rewards to combine need an axis of objectives.",
            fix="Pass an array of shape (candidates, objectives) or (prompts, candidates, objectives).",
        )
    n_objectives = given.values.shape[2]
    if how in ("min", "median") and weights is not None:
        raise UsageError(f'how="{how}" takes no weights.', fix="Leave weights out, or scale the rewards.")
    default = 1.0 / n_objectives if how in ("linear", "borda") else 1.0
    w = as_weights(weights, n_objectives, default, signed=how == "linear")
    references = given.values if reference is None else as_reference(reference, given)
    if not (~np.isnan(references)).any(axis=1).all():
        raise UsageError("A prompt has no reference for some objective.", fix="Draw references for each prompt.")
    return given.per_candidate(_RULES[how](given.values, references, w))


def _linear(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    return r @ w


def _chebyshev(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    return -np.max(w * (np.nanmax(references, axis=1, keepdims=True) - r), axis=2)


def _min(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    return r.min(axis=2)


def _median(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    return np.median(r, axis=2)


def _lsc_and(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    return lsc_and(r, np.nanquantile(references, GOOD_ENOUGH, axis=1), weights=w)


def _lsc_or(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    return lsc_or(r, np.nanquantile(references, GOOD_ENOUGH, axis=1), weights=w)


def _nash(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    gain = r - np.nanmin(references, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(gain, 0.0))
    return np.sum(np.where(w > 0, logs, 0.0) * np.where(w > 0, w, 0.0), axis=2)


def _borda(r: Values, references: References, w: np.ndarray) -> np.ndarray:
    score = np.zeros(r.shape[:2])
    for i in range(len(r)):
        for k in range(r.shape[2]):
            there = references[i, :, k]
            score[i] += w[k] * midrank(np.sort(there[~np.isnan(there)]), r[i, :, k])
    return score


_RULES: dict[str, Callable[[Values, References, np.ndarray], np.ndarray]] = {
    "linear": _linear,
    "chebyshev": _chebyshev,
    "min": _min,
    "median": _median,
    "lsc_and": _lsc_and,
    "lsc_or": _lsc_or,
    "nash": _nash,
    "borda": _borda,
}
