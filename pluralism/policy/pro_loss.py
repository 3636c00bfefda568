"""Losses of whole rankings: Plackett-Luce likelihood and preference ranking optimisation, for numpy and torch."""

from __future__ import annotations

from typing import Any

from pluralism.errors import UsageError
from pluralism.policy.array_kinds import (
    Array,
    as_array,
    constant,
    largest,
    log_add_exp,
    log_sum_exp,
    lowest,
    positions,
    reverse_log_cumsum_exp,
    select,
)

__all__ = ["plackett_luce_nll", "pro_loss"]


def plackett_luce_nll(scores: Array, *, n_ranked: Any = None, n_candidates: Any = None) -> Array:
    r"""Negative log-likelihood of rankings, :math:`\sum_k [\log \sum_{i \ge k} e^{s_i} - s_k]`, in nats.

    Each place is a choice among what is left (Plackett 1975). Of a partial ranking, in which only the first places are
    known, only those choices count. Two candidates are Bradley-Terry.

    Parameters
    ----------
    scores : array or tensor of shape (..., candidates)
        In order of the ranking, the best first.
    n_ranked : int, or ints of shape (...), optional
        How many places are known; the candidates after them are in no order. All by default.
    n_candidates : int, or ints of shape (...), optional
        How many candidates there are; the scores after them are not read.

    Returns
    -------
    array or tensor of shape (...)

    References
    ----------
    F. Song et al., "Preference ranking optimization for human alignment", AAAI 2024, arXiv:2306.17492.

    Examples
    --------
    >>> import numpy as np
    >>> float(plackett_luce_nll(np.zeros(3)).round(6)), round(float(np.log(6)), 6)
    (1.791759, 1.791759)
    """
    s = as_array(scores, "scores")
    there, counts = _places(s, n_ranked, n_candidates)
    s = select(there, s, lowest(s))
    return select(counts, reverse_log_cumsum_exp(s) - s, 0.0).sum(-1)


def pro_loss(
    mean_log_probs: Array,
    *,
    rewards: Any = None,
    n_ranked: Any = None,
    n_candidates: Any = None,
    best_log_prob: Any = None,
    sft_weight: float | None = None,
) -> Array:
    r"""Preference ranking optimisation: the ranking's likelihood under a policy's mean token log-probabilities.

    With rewards, the choice at place k weighs candidate i by how far it falls short [1]_:

    .. math:: -\sum_k \log \frac{e^{\pi_k \Delta_k}}{e^{\pi_k \Delta_k} + \sum_{i > k} e^{\pi_i (\rho_k - \rho_i)}},
       \qquad \Delta_k = \max_{i > k} (\rho_k - \rho_i),

    so that a candidate hardly worse than the one chosen is hardly pushed down. Without rewards it is
    `plackett_luce_nll`. With `sft_weight` w the loss has :math:`w (n - 1)^2` times minus the log-probability of the
    best.

    Parameters
    ----------
    mean_log_probs : array or tensor of shape (..., candidates)
        Mean over tokens of log pi, in order of the ranking, the best first.
    rewards : array or tensor of shape (..., candidates), optional
        Rewards rho, which must not rise along a ranking.
    n_ranked, n_candidates
        As in `plackett_luce_nll`.
    best_log_prob : array or tensor of shape (...), optional
        Log-probability of the whole best response (a sum over tokens); goes with `sft_weight`.
    sft_weight : float, optional
        At least 0; 0.05 in the paper's code.

    Returns
    -------
    array or tensor of shape (...)

    References
    ----------
    .. [1] F. Song et al., arXiv:2306.17492, equations 7 to 9. The published code takes exponentials one by one, which
       overflow; here all sums are in log space.

    Examples
    --------
    >>> import numpy as np
    >>> float(pro_loss(np.array([-1.0, -2.0]), rewards=[1.0, 0.0]).round(6)), round(float(np.log1p(np.exp(-1.0))), 6)
    (0.313262, 0.313262)
    """
    s = as_array(mean_log_probs, "mean_log_probs")
    there, counts = _places(s, n_ranked, n_candidates)
    if (best_log_prob is None) != (sft_weight is None):
        raise UsageError(
            "best_log_prob and sft_weight go together.", fix="Give both for the term of the best response, or neither."
        )
    if rewards is None:
        loss = plackett_luce_nll(s, n_ranked=n_ranked, n_candidates=n_candidates)
    else:
        loss = _weighted(s, constant(rewards, s), there, counts)
    if sft_weight is None:
        return loss
    if not sft_weight >= 0:
        raise UsageError(f"sft_weight={sft_weight!r} is not possible.", fix="It is at least 0.")
    others = constant(there.sum(-1), s) - 1.0
    return loss - sft_weight * others**2 * constant(best_log_prob, s)


def _weighted(s: Any, rho: Any, there: Any, counts: Any) -> Any:
    if rho.shape != s.shape:
        raise UsageError(
            f"rewards of shape {tuple(rho.shape)} do not fit scores of shape {tuple(s.shape)}.",
            fix="Give one reward for each candidate, in the same order.",
        )
    gap = rho[..., :, None] - rho[..., None, :]
    place = positions(s)
    after = (place[None, :] > place[:, None]) & there[..., None, :]
    if bool((select(after & counts[..., :, None], gap, 0.0) < 0).any()):
        raise UsageError("Rewards rise along a ranking.", fix="Order candidates by reward, the best first.")
    gap, s = select(after, gap, 0.0), select(there, s, 0.0)
    own = s * largest(gap)
    others = select(after, s[..., None, :] * gap, lowest(s))
    return select(counts, log_add_exp(own, log_sum_exp(others)) - own, 0.0).sum(-1)


def _places(s: Any, n_ranked: Any, n_candidates: Any) -> tuple[Any, Any]:
    """Which candidates there are, and which places are a known choice among several."""
    place, n = positions(s), s.shape[-1]
    size = _number(n if n_candidates is None else n_candidates, s, n, "n_candidates")
    ranked = _number(n if n_ranked is None else n_ranked, s, n, "n_ranked")
    there = place < size[..., None]
    return there, (place < ranked[..., None]) & (place < size[..., None] - 1) & there


def _number(given: Any, s: Any, most: int, name: str) -> Any:
    number = constant(given, s)
    if bool(((number < 1) | (number > most)).any()) or number.ndim > s.ndim - 1:
        raise UsageError(f"{name} must be from 1 to {most}, one for each ranking.", fix="Count the candidates again.")
    return number
