"""Whose judgements a filter takes for noise: the report without which none should be used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from pluralism.calibration.text import format_table, json_ready

if TYPE_CHECKING:
    import pyarrow as pa

    from pluralism.data import Comparisons

__all__ = ["GroupRejection", "RejectionReport", "audit"]

RATIO = 1.5
CERTAIN = 3.0
FALSE_ALARM = 0.01


@dataclass(frozen=True)
class GroupRejection:
    """What a group of people loses.

    Attributes
    ----------
    group : str
    n, users : int
        Judgements, and people who made them.
    rejected : float
        Share of the group's judgements (by weight) that are taken for noise.
    rest : float
        The same share of everybody else's.
    z : float
        Standard errors (over people) between the two; NaN for fewer than two people on either side.
    """

    group: str
    n: int
    users: int
    rejected: float
    rest: float
    z: float

    @property
    def singled_out(self) -> bool:
        """Whether the group loses at least half as much again as everybody else, beyond chance."""
        return bool(self.rejected >= RATIO * self.rest and self.z >= CERTAIN)


@dataclass(frozen=True, eq=False)
class RejectionReport:
    """The share of judgements taken for noise: for everybody, for each group and for each person.

    Attributes
    ----------
    overall : float
        Share of all judgements, by weight.
    groups : tuple of GroupRejection
        Of the data's known groups, the hardest hit first; empty where none are known.
    users : dict of str to (int, float)
        Of each person: judgements, and the share taken for noise.
    """

    overall: float
    groups: tuple[GroupRejection, ...]
    users: dict[str, tuple[int, float]]

    @property
    def singled_out_groups(self) -> list[str]:
        """Groups that lose far more than everybody else."""
        return [row.group for row in self.groups if row.singled_out]

    @property
    def singled_out_users(self) -> list[str]:
        """People who lose more than chance allows at the overall share (binomial, 1 % for all people together)."""
        if not self.users or self.overall in (0.0, 1.0):
            return []
        names = list(self.users)
        n = np.array([self.users[name][0] for name in names])
        lost = np.round(n * np.array([self.users[name][1] for name in names]))
        tail = binom.sf(lost - 1, n, self.overall)
        return [names[k] for k in np.flatnonzero((tail < FALSE_ALARM / len(names)) & (lost > RATIO * self.overall * n))]

    def __repr__(self) -> str:
        shares = np.array([share for _, share in self.users.values()])
        lines = [f"{self.overall:.1%} of all judgements are taken for noise"]
        if self.groups:
            names = ("group", "n", "users", "rejected", "rest", "z")
            lines.append(format_table({name: [getattr(row, name) for row in self.groups] for name in names}, digits=2))
        if len(shares):
            low, middle, high = np.quantile(shares, [0.1, 0.5, 0.9])
            lines.append(
                f"of a person's: 10 % {low:.1%}, median {middle:.1%}, 90 % {high:.1%}; "
                f"{len(self.singled_out_users)} of {len(shares):,} people lose more than chance allows"
            )
        return "\n".join(lines)

    def to_frame(self) -> pa.Table:
        """One row a person: `user, n, rejected`."""
        import pyarrow as pa

        return pa.table(
            {
                "user": pa.array(list(self.users), pa.large_string()),
                "n": [n for n, _ in self.users.values()],
                "rejected": [share for _, share in self.users.values()],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the report again."""
        return {
            "overall": self.overall,
            "groups": [vars(row) for row in self.groups],
            "users": {name: [n, share] for name, (n, share) in self.users.items()},
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> RejectionReport:
        """Inverse of `to_dict`; raises KeyError, TypeError or ValueError for anything else."""
        groups = tuple(
            GroupRejection(
                str(row["group"]),
                int(row["n"]),
                int(row["users"]),
                float(row["rejected"]),
                float(row["rest"]),
                float("nan") if row["z"] is None else float(row["z"]),
            )
            for row in document["groups"]
        )
        users = {str(name): (int(n), float(share)) for name, (n, share) in document["users"].items()}
        shares = [document["overall"], *(share for _, share in users.values()), *(row.rejected for row in groups)]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("a share of rejected judgements is not in [0, 1]")
        return cls(float(document["overall"]), groups, users)

    def to_json(self, *, indent: int | None = None) -> str:
        """Strict JSON text of `to_dict`; null for what cannot be had."""
        return json.dumps(json_ready(self.to_dict()), allow_nan=False, indent=indent, ensure_ascii=False)


def audit(comparisons: Comparisons, rejected: Float[np.ndarray, " pairs"]) -> RejectionReport:
    """Count who loses what.

    Parameters
    ----------
    comparisons : Comparisons
    rejected : array of shape (pairs,)
        Share of each row that is taken for noise, in [0, 1].
    """
    weight = comparisons.weight
    lost = weight * rejected
    rows = np.flatnonzero(weight > 0)
    n_users = comparisons.n_users
    own = np.bincount(comparisons.user, weight, n_users)
    own_lost = np.bincount(comparisons.user, lost, n_users)
    counts = np.bincount(comparisons.user[rows], minlength=n_users)
    labels = comparisons.users.to_pylist()
    users = {labels[u]: (int(counts[u]), _share(own_lost[u], own[u])) for u in np.flatnonzero(counts)}
    groups = []
    if comparisons.group is not None and comparisons.groups is not None:
        for code, name in enumerate(comparisons.groups.to_pylist()):
            inside = comparisons.group == code
            if weight[inside].sum() > 0:
                groups.append(_group(str(name), comparisons.user, inside, weight, lost, n_users))
    order = sorted(groups, key=lambda row: -row.rejected)
    return RejectionReport(_share(lost.sum(), weight.sum()), tuple(order), users)


def _group(
    name: str, user: np.ndarray, inside: np.ndarray, weight: np.ndarray, lost: np.ndarray, n_users: int
) -> GroupRejection:
    (share, variance), (other, other_variance) = (
        _cluster_share(user[part], weight[part], lost[part], n_users) for part in (inside, ~inside)
    )
    total = variance + other_variance
    z = (share - other) / np.sqrt(total) if total > 0 else float("nan")
    rows = inside & (weight > 0)
    return GroupRejection(name, int(rows.sum()), len(np.unique(user[rows])), share, other, float(z))


def _cluster_share(user: np.ndarray, weight: np.ndarray, lost: np.ndarray, n_users: int) -> tuple[float, float]:
    """A share and its variance with people as clusters (the ratio estimator); NaN for fewer than two people."""
    own = np.bincount(user, weight, n_users)
    there = own > 0
    own, own_lost = own[there], np.bincount(user, lost, n_users)[there]
    share = _share(own_lost.sum(), own.sum())
    if len(own) < 2:
        return share, float("nan")
    residual = own_lost - share * own
    return share, float(len(own) / (len(own) - 1) * np.sum(residual**2) / own.sum() ** 2)


def _share(part: float, whole: float) -> float:
    return float(np.clip(part / whole, 0.0, 1.0)) if whole > 0 else 0.0
