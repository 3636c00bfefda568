"""Whether an attribute of what a policy says follows the angle at which a direction asks for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError

__all__ = ["Trend", "direction_trend", "elevation"]


@dataclass(frozen=True)
class Trend:
    """How an attribute moves as directions turn towards it.

    Attributes
    ----------
    attribute : str
    spearman, spearman_low, spearman_high : float
        Rank correlation of the angle and the mean attribute over directions; 1 is monotone.
    slope, slope_low, slope_high : float
        Of the least-squares line, in units of the attribute a degree.
    n_directions, n_prompts : int
        The intervals are of a bootstrap over prompts.
    """

    attribute: str
    spearman: float
    spearman_low: float
    spearman_high: float
    slope: float
    slope_low: float
    slope_high: float
    n_directions: int
    n_prompts: int

    def __repr__(self) -> str:
        return (
            f"{self.attribute}: Spearman {self.spearman:+.3f} ({self.spearman_low:+.3f} to {self.spearman_high:+.3f}), "
            f"slope {self.slope:+.4f} a degree ({self.slope_low:+.4f} to {self.slope_high:+.4f}), "
            f"{self.n_directions} directions, {self.n_prompts} prompts"
        )


def elevation(directions: Float[np.ndarray, "directions attributes"], k: int) -> Float[np.ndarray, " directions"]:
    """Angle in degrees by which unit directions rise towards attribute k, from -90 to 90.

    For two attributes, of which the first has a positive weight, it is the angle of the direction in the plane.

    Examples
    --------
    >>> elevation(np.array([[1.0, 0.0], [np.sqrt(0.5), -np.sqrt(0.5)]]), 1).round(6).tolist()
    [0.0, -45.0]
    """
    return np.rad2deg(np.arcsin(np.clip(directions[:, k], -1.0, 1.0)))


def direction_trend(
    taken: Float[np.ndarray, "directions prompts"],
    angle: Float[np.ndarray, " directions"],
    counts: Float[np.ndarray, "draws prompts"],
    *,
    attribute: str,
    level: float = 0.95,
) -> Trend:
    """Rank correlation and slope of an attribute's mean over prompts against the angle, with bootstrap intervals.

    Parameters
    ----------
    taken : array of shape (directions, prompts)
        Mean attribute of the responses to each prompt under each direction.
    angle : array of shape (directions,)
        In degrees, as from `elevation`; two different ones at least.
    counts : array of shape (draws, prompts)
        Weight of each prompt in each bootstrap draw; rows sum to 1.
    """
    from scipy.stats import rankdata

    if len(np.unique(angle)) < 2:
        raise UsageError(
            f"All directions stand at one angle to {attribute!r}, so nothing can follow it.",
            fix="Show two directions at least that weigh it differently.",
        )
    means = np.vstack([taken.mean(axis=1)[None], counts @ taken.T])
    x, x_ranks = angle - angle.mean(), rankdata(angle) - (len(angle) + 1) / 2
    ranks = rankdata(means, axis=1) - (len(angle) + 1) / 2
    scale = np.linalg.norm(ranks, axis=1) * np.linalg.norm(x_ranks)
    # means that are all equal follow nothing
    spearman = np.where(scale > 0, ranks @ x_ranks / np.where(scale > 0, scale, 1.0), 0.0)
    slope = means @ x / (x @ x)
    tail = [(1 - level) / 2, (1 + level) / 2]
    rho_low, rho_high = np.quantile(spearman[1:], tail)
    slope_low, slope_high = np.quantile(slope[1:], tail)
    return Trend(
        attribute,
        float(spearman[0]),
        float(rho_low),
        float(rho_high),
        float(slope[0]),
        float(slope_low),
        float(slope_high),
        len(angle),
        taken.shape[1],
    )
