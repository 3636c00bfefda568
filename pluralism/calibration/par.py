"""Preference as reward: the mean probability of beating reference responses."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit

from pluralism.calibration.reward_arrays import as_reference, as_rewards
from pluralism.errors import UsageError

__all__ = ["par"]


def par(rewards: ArrayLike, reference: ArrayLike, *, slope: float = 1.0) -> Float[np.ndarray, "*shape"]:
    r"""Mean probability of winning against the references, :math:`\frac1M \sum_m \sigma(s(r - r_m))` [1]_.

    Bounded, steepest near the references, 1/2 at parity; a smooth Borda score against the reference policy. As the
    slope grows it becomes the share of references beaten, that of `CDFCalibrator` without shrinkage.

    Parameters
    ----------
    rewards : array of shape (candidates,), (candidates, objectives) or (prompts, candidates, objectives)
    reference : array of shape (references,), (references, objectives) or (prompts, references, objectives)
        NaN where a prompt has fewer; without a prompt axis the references serve every prompt.
    slope : float
        Above 0.

    Returns
    -------
    array
        In (0, 1), of the shape of `rewards`.

    References
    ----------
    .. [1] J. Fu et al., "Reward shaping to mitigate reward hacking in RLHF", arXiv:2502.18770, equation 9.

    Examples
    --------
    >>> par([0.0, 4.0], [-1.0, 1.0]).round(3)
    array([0.5 , 0.973])
    """
    if not (np.isfinite(slope) and slope > 0):
        raise UsageError(f"slope={slope!r} is not possible.", fix="slope is a number above 0, 1 in the paper.")
    given = as_rewards(rewards)
    references = as_reference(reference, given)
    there = ~np.isnan(references)
    if not there.any(axis=1).all():
        raise UsageError(
            "A prompt has no reference to be compared with.",
            where=f"prompt {int(np.argwhere(~there.any(axis=1))[0, 0])}",
            fix="Draw at least one reference for each prompt and objective.",
        )
    out = np.empty_like(given.values)
    for i, r in enumerate(given.values):
        wins = expit(slope * (r[:, None, :] - np.where(there[i], references[i], 0.0)[None]))
        out[i] = np.sum(wins * there[i], axis=1) / there[i].sum(axis=0)
    return given.like_given(out)
