"""Trust-region preference approximation: pairs between levels of quality, with more weight on what is best."""

from __future__ import annotations

from typing import Any

from pluralism.errors import UsageError
from pluralism.policy.array_kinds import Array, as_array, constant, log_add_exp, select

__all__ = ["trpa_loss"]


def trpa_loss(mean_log_ratios: Array, levels: Any, *, beta: float, anisotropy: float = 2.5) -> Array:
    r"""Mean of :math:`-\log \sigma(\beta a_{ij} (\ell_i - \ell_j))` over all pairs of a better and a worse level.

    :math:`\ell` is the mean over tokens of log pi - log p. Rules sort the responses to a prompt into levels; those of
    one level are not compared. A pair whose winner has level 1 counts with a = `anisotropy`, others with 1: getting
    from good to right is worth more than from bad to less bad (the value function of prospect theory).

    Parameters
    ----------
    mean_log_ratios : array or tensor of shape (..., responses)
    levels : int array of shape (..., responses)
        1 is the best; 0 marks a place without a response, which is not read.
    beta : float
        Above 0; per token, so larger than the beta of whole responses.
    anisotropy : float
        Above 0; 2.5 in the authors' code.

    Returns
    -------
    array or tensor of shape (...)
        0 where all responses have one level.

    References
    ----------
    X. Su et al., "Trust region preference approximation", arXiv:2504.04524.

    Examples
    --------
    >>> import numpy as np
    >>> loss = trpa_loss(np.array([0.2, 0.0]), [1, 2], beta=1.0)
    >>> float(loss.round(6)), round(float(np.log1p(np.exp(-0.5))), 6)
    (0.474077, 0.474077)
    """
    x = as_array(mean_log_ratios, "mean_log_ratios")
    for name, value in (("beta", beta), ("anisotropy", anisotropy)):
        if not 0 < value < float("inf"):
            raise UsageError(f"{name}={value!r} is not possible.", fix="It is a number above 0.")
    level = constant(levels, x)
    if level.shape != x.shape or bool((level < 0).any()) or bool((level != level.round()).any()):
        raise UsageError(
            f"levels of shape {tuple(level.shape)} do not fit {tuple(x.shape)} responses, or are no levels.",
            fix="Give each response a whole number from 1, the best, and 0 to a place without a response.",
        )
    there = level > 0
    x = select(there, x, 0.0)
    wins = (level[..., :, None] < level[..., None, :]) & there[..., :, None] & there[..., None, :]
    weight = 1.0 + (anisotropy - 1.0) * constant(level == 1, x)
    gap = beta * weight[..., :, None] * (x[..., :, None] - x[..., None, :])
    loss = select(wins, log_add_exp(constant(0.0, x), -gap), 0.0)
    n_pairs = constant(wins, x).sum((-2, -1))
    return loss.sum((-2, -1)) / select(n_pairs > 0, n_pairs, 1.0)
