"""The loss of self-play preference optimisation, with soft win rates and the exact normaliser where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError
from pluralism.policy.array_kinds import Array, as_array, constant, log_sum_exp

__all__ = ["soft_win_rates", "sppo_log_partition", "sppo_loss"]


def sppo_loss(log_ratio: Array, win_rate: Any, *, eta: float, log_partition: Any = None) -> Array:
    r"""Squared distance of a log-ratio from what one round of self-play asks, :math:`(\log q/q_t - \eta P + \log Z)^2`.

    :math:`P` is the chance that a response is preferred to a draw of the last policy :math:`q_t`, and
    :math:`Z = E_{q_t} e^{\eta P}`. Left out, log Z is taken for :math:`\eta / 2` as in the paper: exact where all
    responses win equally, and too small by about :math:`\eta^2 \mathrm{Var}(P) / 2` else.

    Parameters
    ----------
    log_ratio : array or tensor of shape (..., responses)
        log q - log q_t of whole responses.
    win_rate : array or tensor of shape (..., responses)
        P in [0, 1], as from `soft_win_rates`. Rounding it to 1 for a pair's winner and 0 for its loser ("hard" targets)
        loses how close it was.
    eta : float
        Above 0; 1/beta of DPO's notation.
    log_partition : array or tensor of shape (...), optional
        log Z, as from `sppo_log_partition`.

    Returns
    -------
    array or tensor of shape (..., responses)

    References
    ----------
    Y. Wu et al., arXiv:2405.00675, equation 4.7.

    Examples
    --------
    >>> sppo_loss(np.array([0.5, -0.5]), [1.0, 0.0], eta=1.0)
    array([0., 0.])
    """
    x = as_array(log_ratio, "log_ratio")
    target = _checked_rate(eta) * constant(win_rate, x)
    offset = 0.5 * eta if log_partition is None else constant(log_partition, x)[..., None]
    return (x - target + offset) ** 2


def sppo_log_partition(log_policy: Array, win_rate: Any, *, eta: float) -> Array:
    r"""Exact :math:`\log Z = \log \sum_y q_t(y) e^{\eta P(y)}` on a list of candidates.

    Parameters
    ----------
    log_policy : array or tensor of shape (..., candidates)
        log q_t, which sums to 1 over the candidates.
    win_rate : array or tensor of shape (..., candidates)
    eta : float
    """
    x = as_array(log_policy, "log_policy")
    return log_sum_exp(x + _checked_rate(eta) * constant(win_rate, x))


def soft_win_rates(wins: ArrayLike, *, include_self: bool = True) -> Float[np.ndarray, "*prompts responses"]:
    """Each response's mean chance to be preferred to the responses drawn with it.

    Parameters
    ----------
    wins : array of shape (..., responses, responses)
        Entry (i, j) is the probability that i is preferred to j; 1/2 on the diagonal.
    include_self : bool
        Whether a response's tie with itself counts, as in the published code. Without it the estimate of the chance to
        beat another draw of the policy has no pull towards 1/2.

    Examples
    --------
    >>> soft_win_rates([[0.5, 0.9], [0.1, 0.5]])
    array([0.7, 0.3])
    >>> soft_win_rates([[0.5, 0.9], [0.1, 0.5]], include_self=False)
    array([0.9, 0.1])
    """
    matrix = np.asarray(wins, dtype=float)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or not ((matrix >= 0) & (matrix <= 1)).all():
        raise DataError(
            f"Wins of shape {matrix.shape} are no square matrix of probabilities.",
            fix="Give the chance that each response is preferred to each other.",
        )
    n = matrix.shape[-1]
    if include_self:
        return matrix.mean(axis=-1)
    if n < 2:
        raise DataError("One response has no other to be compared with.", fix="Draw two at least.")
    return (matrix.sum(axis=-1) - np.diagonal(matrix, axis1=-2, axis2=-1)) / (n - 1)


def _checked_rate(eta: float) -> float:
    if not (np.isfinite(eta) and eta > 0):
        raise UsageError(f"eta={eta!r} is not possible.", fix="It is a number above 0.")
    return float(eta)
