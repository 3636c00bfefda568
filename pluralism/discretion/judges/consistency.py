"""Self-consistency of two internal rewards of a model: its implicit reward, and its verdict as a judge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from scipy.special import xlogy

from pluralism.calibration.text import json_ready
from pluralism.errors import DataError, UsageError

__all__ = ["RewardConsistency", "filter_consistent", "reward_consistency"]


@dataclass(frozen=True, eq=False, repr=False)
class RewardConsistency:
    """How two internal rewards agree.

    Attributes
    ----------
    agreement : float
        Share of the pairs on which both prefer the same item.
    symmetric_kl : float
        Mean of KL(p, q) + KL(q, p), in nats; infinite where one is certain of what the other excludes.
    brier : float
        Mean squared difference of the probabilities.
    pairs : int
    """

    agreement: float
    symmetric_kl: float
    brier: float
    pairs: int

    def to_frame(self) -> pa.Table:
        """One row."""
        return pa.table({name: [value] for name, value in self.to_dict().items()})

    def to_dict(self) -> dict[str, Any]:
        """The fields."""
        return {
            "agreement": self.agreement,
            "symmetric_kl": self.symmetric_kl,
            "brier": self.brier,
            "pairs": self.pairs,
        }

    def to_json(self) -> str:
        """The fields as JSON."""
        return json.dumps(json_ready(self.to_dict()), allow_nan=False)

    def __repr__(self) -> str:
        return (
            f"RewardConsistency({self.pairs:,} pairs: agreement {self.agreement:.3f}, symmetric KL "
            f"{self.symmetric_kl:.3f} nats)"
        )


@dataclass(frozen=True, eq=False, repr=False)
class ConsistentPairs:
    """Pairs that a filter by consistency keeps, and whom it leaves out.

    Attributes
    ----------
    keep : bool array of shape (pairs,)
    by_group : pyarrow.Table
        `group, pairs, kept, share`: a filter that keeps less of a group removes what that group says.
    """

    keep: Bool[np.ndarray, " pairs"]
    by_group: pa.Table

    def to_frame(self) -> pa.Table:
        """That of the groups."""
        return self.by_group

    def to_json(self) -> str:
        """What is kept of each group as JSON."""
        return json.dumps({"kept": int(self.keep.sum()), "groups": self.by_group.to_pylist()}, ensure_ascii=False)

    def __repr__(self) -> str:
        return f"ConsistentPairs({int(self.keep.sum()):,} of {len(self.keep):,} kept)"


def reward_consistency(implicit: ArrayLike, judged: ArrayLike) -> RewardConsistency:
    """Compare P(left) by the implicit reward, s(beta x difference of log-ratios), with that by the model as a judge.

    Parameters
    ----------
    implicit, judged : arrays of shape (pairs,)
        Probabilities in [0, 1]; the judge's balanced over both orders.

    References
    ----------
    X. Zhou et al., Self-Consistency of the Internal Reward Models, arXiv 2502.08922, 2025.

    Examples
    --------
    >>> reward_consistency([0.9, 0.4], [0.9, 0.6])
    RewardConsistency(2 pairs: agreement 0.500, symmetric KL 0.081 nats)
    """
    p, q = _probabilities(implicit, judged)
    same = np.sign(p - 0.5) == np.sign(q - 0.5)
    return RewardConsistency(
        float(same.mean()), float(_symmetric_kl(p, q).mean()), float(np.mean((p - q) ** 2)), len(p)
    )


def filter_consistent(
    implicit: ArrayLike,
    judged: ArrayLike,
    *,
    most_kl: float = np.inf,
    least_certainty: float = 0.0,
    groups: Sequence[str] | None = None,
) -> ConsistentPairs:
    """Keep the pairs on which both rewards prefer the same item.

    Parameters
    ----------
    implicit, judged : arrays of shape (pairs,)
    most_kl : float
        Leave out pairs whose symmetric KL exceeds this, in nats.
    least_certainty : float
        Leave out pairs on which one of the two is less certain of its side than this, in [0, 1].
    groups : sequence of str, optional
        Of the people who judged, to see whom the filter leaves out.
    """
    p, q = _probabilities(implicit, judged)
    if groups is not None and len(groups) != len(p):
        raise DataError(f"There are {len(groups):,} groups for {len(p):,} pairs.", fix="Give one for each pair.")
    if not most_kl >= 0 or not 0 <= least_certainty <= 1:
        raise UsageError(
            f"most_kl={most_kl!r}, least_certainty={least_certainty!r} are not possible.", fix="Use 0.5 and 0.6, say."
        )
    side = np.sign(p - 0.5)
    certain = np.minimum(np.maximum(p, 1 - p), np.maximum(q, 1 - q)) >= least_certainty
    keep = (side == np.sign(q - 0.5)) & (side != 0) & (_symmetric_kl(p, q) <= most_kl) & certain
    labels = np.array(["all"] * len(p) if groups is None else [str(group) for group in groups], dtype=object)
    names = sorted(set(labels.tolist()))
    counts = [(int((labels == name).sum()), int(keep[labels == name].sum())) for name in names]
    return ConsistentPairs(
        keep,
        pa.table(
            {
                "group": names,
                "pairs": [n for n, _ in counts],
                "kept": [k for _, k in counts],
                "share": [k / n for n, k in counts],
            }
        ),
    )


def _probabilities(implicit: ArrayLike, judged: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.asarray(implicit, dtype=np.float64), np.asarray(judged, dtype=np.float64)
    if p.ndim != 1 or p.shape != q.shape or not len(p) or not ((p >= 0) & (p <= 1) & (q >= 0) & (q <= 1)).all():
        raise DataError(
            "Both rewards have one probability in [0, 1] for each pair.", fix="Leave out pairs without one."
        )
    return p, q


def _symmetric_kl(p: Float[np.ndarray, " pairs"], q: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
    """(p - q) (logit p - logit q), where 0 log 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = xlogy(p - q, p) - xlogy(p - q, q) + xlogy(q - p, 1 - p) - xlogy(q - p, 1 - q)
    return np.where(p == q, 0.0, total)
