"""The search for a group of voters that gets less of a committee than it deserves, as a mixed-integer programme."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, hstack

__all__ = ["Cohesion", "find_group", "needed"]

Cohesion = Literal["pjr", "ejr", "core"]
"""In what way a group is underrepresented; see `find_group`."""


def needed(deserves: int, seats: int, total: int) -> int:
    """Units of voters, rounded up, that deserve this many of the seats."""
    return -(-deserves * total // seats)


def find_group(
    kind: Cohesion,
    approves: Bool[np.ndarray, "ballots candidates"],
    counts: Int64[np.ndarray, " ballots"],
    committee: Bool[np.ndarray, " candidates"],
    deserves: int,
    seats: int,
    time_limit: float,
) -> tuple[Int64[np.ndarray, " group"], Int64[np.ndarray, " agreed"]] | Literal["none", "undecided"]:
    """Ballots of a group that is large enough for `deserves` seats and gets too little, and what it agrees on.

    Parameters
    ----------
    kind : {"pjr", "ejr", "core"}
        With T the candidates that the group agrees on, of which there are `deserves`: all approve all of T, and
        together approve fewer of the committee than they deserve ("pjr"), or each does ("ejr"); or each approves more
        of T than of the committee ("core").
    approves : bool array of shape (ballots, candidates)
    counts : int64 array of shape (ballots,)
    committee : bool array of shape (candidates,)
        Those elected.
    deserves, seats : int
    time_limit : float
        Seconds.

    Returns
    -------
    tuple of arrays, "none" or "undecided"
        The group is all ballots that fit what it agrees on; its size is checked exactly.
    """
    need = needed(deserves, seats, int(counts.sum()))
    has = (approves & committee).sum(axis=1)
    able = has < deserves if kind != "core" else approves.sum(axis=1) > has
    wanted = counts @ (approves & able[:, None]) >= (need if kind != "core" else 1)
    if counts[able].sum() < need or wanted.sum() < deserves:
        return "none"
    voters, agreed = np.flatnonzero(able), np.flatnonzero(wanted)
    elected = np.flatnonzero(committee) if kind == "pjr" else np.zeros(0, dtype=np.int64)
    n, m, w = len(voters), len(agreed), len(elected)
    likes = approves[np.ix_(voters, agreed)].astype(float)
    weights = counts[voters].astype(float)
    columns = np.concatenate([np.zeros(n), np.ones(m), np.zeros(w)])
    constraints = [
        LinearConstraint(np.concatenate([weights, np.zeros(m + w)])[None], need, np.inf),
        LinearConstraint(columns[None], deserves, deserves),
    ]
    if kind == "core":
        rows = hstack([-csr_array(np.diag(has[voters] + 1.0)), csr_array(likes)])
        constraints.append(LinearConstraint(rows, 0.0, np.inf))
    else:
        rows = hstack([csr_array(deserves * np.eye(n)), csr_array(1.0 - likes), csr_array((n, w))])
        constraints.append(LinearConstraint(rows, -np.inf, deserves))
    if kind == "pjr":
        inside = approves[np.ix_(voters, elected)].astype(float)
        rows = hstack([csr_array(np.diag(inside.sum(axis=1))), csr_array((n, m)), -csr_array(inside)])
        constraints.append(LinearConstraint(rows, -np.inf, 0.0))
        covered = np.concatenate([np.zeros(n + m), np.ones(w)])
        constraints.append(LinearConstraint(covered[None], -np.inf, deserves - 1))
    result = milp(
        np.zeros(n + m + w),
        integrality=np.ones(n + m + w, dtype=np.int64),
        bounds=Bounds(0.0, 1.0),
        constraints=constraints,
        options={"time_limit": max(time_limit, 1e-3)},
    )
    if result.x is None:
        return "none" if result.status == 2 else "undecided"
    picked = agreed[result.x[n : n + m] > 0.5]
    if kind == "core":
        fits = approves[:, picked].sum(axis=1) > has
    else:
        fits = able & approves[:, picked].all(axis=1)
    if kind == "pjr":
        outside = committee.copy()
        outside[elected[result.x[n + m :] > 0.5]] = False
        fits &= ~(approves & outside).any(axis=1)
    group = np.flatnonzero(fits)
    return (group, picked) if counts[group].sum() >= need and len(picked) == deserves else "undecided"
