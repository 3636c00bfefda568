"""Mutual information between principles and responses: the loss that trains it, and the bounds that measure it."""

from __future__ import annotations

from typing import Any

from pluralism.errors import UsageError
from pluralism.policy.array_kinds import Array, as_array, constant, diagonal, log_sum_exp, transposed

__all__ = ["column_bound", "row_bound", "sami_loss"]


def sami_loss(log_probs: Array) -> Array:
    r"""Cross-entropy of finding the response of each principle, and the principle of each response, halved.

    :math:`L_{cy}` is the mean token log-probability of response y under principle c; response i was drawn under
    principle i. With n principles the loss is

    .. math:: \frac{1}{2n} \sum_i \Big[ \log \sum_y e^{L_{iy}} + \log \sum_c e^{L_{ci}} - 2 L_{ii} \Big],

    log n where the model does not heed principles at all.

    Parameters
    ----------
    log_probs : array or tensor of shape (..., principles, principles)
        Rows are principles, columns responses.

    Returns
    -------
    array or tensor of shape (...)
        In nats, at least 0.

    References
    ----------
    J.-P. Fränken et al., "Self-supervised alignment with mutual information", arXiv:2404.14313, equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> float(sami_loss(np.zeros((2, 2))).round(6)), round(float(np.log(2)), 6)
    (0.693147, 0.693147)
    """
    x = _square(log_probs)
    own = diagonal(x)
    return 0.5 * ((log_sum_exp(x) - own).mean(-1) + (log_sum_exp(transposed(x)) - own).mean(-1))


def column_bound(log_probs: Array) -> Array:
    r"""What responses say about the principle they were drawn under: :math:`\log n + E \log \hat p(c \mid y)`, in nats.

    A lower bound, in expectation, of the mutual information between a principle drawn uniformly and a response to it,
    whatever the scores (Barber and Agakov 2003). With log-probabilities of whole responses :math:`\hat p` is the exact
    posterior, and the bound is the mutual information itself.

    Parameters
    ----------
    log_probs : array or tensor of shape (..., principles, principles)
        As in `sami_loss`; any scores.

    Returns
    -------
    array or tensor of shape (...)
        At most log n; below 0 where the scores mislead.
    """
    x = _square(log_probs)
    return _log_size(x) - (log_sum_exp(transposed(x)) - diagonal(x)).mean(-1)


def row_bound(log_probs: Array) -> Array:
    r"""The same with the parts exchanged, which response is a principle's: the InfoNCE form, in nats.

    It is a lower bound where the other responses are drawn from the mean over all principles. In a square of distinct
    principles none is drawn under the same one, so it can come out above the mutual information; `column_bound` cannot.

    Parameters
    ----------
    log_probs : array or tensor of shape (..., principles, principles)
        As in `sami_loss`.

    Returns
    -------
    array or tensor of shape (...)
    """
    x = _square(log_probs)
    return _log_size(x) - (log_sum_exp(x) - diagonal(x)).mean(-1)


def _square(log_probs: Any) -> Any:
    x = as_array(log_probs, "log_probs")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or x.shape[-1] < 2:
        raise UsageError(
            f"log_probs of shape {tuple(x.shape)} have not one response for each principle, or there is only one.",
            fix="Score the response drawn under each principle under every principle: a square, of two at least.",
        )
    return x


def _log_size(x: Any) -> Any:
    return log_sum_exp(constant([0.0] * x.shape[-1], x))
