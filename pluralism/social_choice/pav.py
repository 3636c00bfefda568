"""Proportional approval voting: the committee of the highest score, a voter's r-th representative counting 1 / r."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate, combinations, islice
from math import comb
from typing import Any

import numpy as np
from jaxtyping import Int64
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from pluralism.errors import UsageError
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.committees import check_seats, committee_outcome, listed
from pluralism.social_choice.outcome import CommitteeOutcome, number
from pluralism.social_choice.rule import Log, rule

__all__ = ["pav", "pav_scores"]

MOST_CELLS = 20_000_000
"""Ballots times committees up to which all committees are tried, if there are few enough of them."""

MOST_COMMITTEES = 500_000

BATCH_CELLS = 2_000_000
"""Ballots times committees that are scored at once."""

ROUNDING = 1e-9
"""Relative error that a score in floating point may have."""

SLACK = 1e-6
"""Relative error that the programme may make in a score."""


@rule(
    "pav",
    takes=ApprovalProfile,
    source="T. N. Thiele 1895; H. Aziz et al., Justified Representation in Approval-Based Committee Voting, SCW 2017",
    axioms={"anonymity": True, "neutrality": True},
)
def pav(
    profile: ApprovalProfile, log: Log, *, seats: int, most: int = 100, time_limit: float = 60.0
) -> CommitteeOutcome:
    """The committees that maximise the sum over voters of 1 + 1/2 + ... + 1/r, r being how many they approve of it.

    All committees are tried where there are few; else they are found by a mixed-integer programme (HiGHS), one after
    the other, until none is left that is as good. Scores are exact in either case; that no committee is better rests,
    with the programme, on its upper bound in floating point, which a note states.

    Parameters
    ----------
    profile : ApprovalProfile
    log : Log
    seats : int
        Size of the committee.
    most : int
        Tied committees to list.
    time_limit : float
        Seconds for each programme.

    Returns
    -------
    CommitteeOutcome
        With the score as `objective`. If time ran out, `complete` is False and a note says how far the score can be
        from the best.
    """
    size = check_seats(seats, profile.n_candidates)
    if most < 1 or not time_limit > 0:
        raise UsageError("most and time_limit are above 0.", fix="Give positive numbers.")
    ballots = profile.compressed()
    ballots = ballots.take(ballots.approves.any(axis=1))
    n_committees = comb(profile.n_candidates, size)
    if n_committees <= MOST_COMMITTEES and n_committees * len(ballots) <= MOST_CELLS:
        best, found = _try_all(ballots, size)
        committees, complete = found[:most], len(found) <= most
        notes: tuple[str, ...] = (f"all {n_committees:,} committees tried",)
    else:
        best, committees, complete, notes = _by_programme(ballots, size, most, time_limit)
    score = best / profile.denominator
    names = [listed([profile.candidates[c] for c in committee]) for committee in committees[:5]]
    log(
        f"The highest score is {number(score)}, of {'; of '.join(names)}"
        f"{'; and others' if len(committees) > len(names) or not complete else ''} ({'; '.join(notes)}).",
        score=score,
    )
    return committee_outcome("pav", profile.candidates, committees, complete, objective=score, notes=notes)


def pav_scores(profile: ApprovalProfile, committees: Int64[np.ndarray, "committees seats"]) -> list[Fraction]:
    """Exact scores of committees, each a row of positions of candidates, in voters."""
    return [score / profile.denominator for score in _scores(profile, committees)]


def _scores(ballots: ApprovalProfile, committees: Int64[np.ndarray, "committees seats"]) -> list[Fraction]:
    """Exact scores in units."""
    voters = _represented(ballots, committees)
    worth = _worth(committees.shape[1])
    common = int(np.lcm.reduce([w.denominator for w in worth], dtype=object))
    whole = np.array([int(w * common) for w in worth], dtype=object)
    return [Fraction(int(score), common) for score in voters.astype(object) @ whole]


def _represented(
    ballots: ApprovalProfile, committees: Int64[np.ndarray, "committees seats"]
) -> Int64[np.ndarray, "committees r"]:
    """How many units of voters approve r of each committee, for r = 0, 1, ..., seats."""
    size = committees.shape[1]
    inside = np.zeros((ballots.n_candidates, len(committees)), dtype=np.float32)
    np.put_along_axis(inside, committees.T, 1.0, axis=0)
    # Whole numbers up to 2^24 are exact in float32.
    has = (ballots.approves.astype(np.float32) @ inside).astype(np.int32)
    return np.stack([ballots.counts @ (has == r) for r in range(size + 1)], axis=1)


def _worth(size: int) -> list[Fraction]:
    """1 + 1/2 + ... + 1/r for r = 0, 1, ..., size."""
    return list(accumulate((Fraction(1, r) for r in range(1, size + 1)), initial=Fraction(0)))


def _try_all(ballots: ApprovalProfile, size: int) -> tuple[Fraction, list[tuple[int, ...]]]:
    worth = np.array([float(w) for w in _worth(size)])
    best, found = Fraction(-1), list[tuple[int, ...]]()
    for batch in _batches(ballots, size):
        rough = _represented(ballots, batch) @ worth
        near = batch[rough >= max(rough.max(), float(best)) * (1 - ROUNDING)]
        for score, committee in zip(_scores(ballots, near), near.tolist(), strict=True):
            if score > best:
                best, found = score, []
            if score == best:
                found.append(tuple(committee))
    return best, found


def _batches(ballots: ApprovalProfile, size: int) -> Iterator[Int64[np.ndarray, "committees seats"]]:
    every = combinations(range(ballots.n_candidates), size)
    while batch := list(islice(every, max(BATCH_CELLS // max(len(ballots), 1), 1))):
        yield np.array(batch, dtype=np.int64)


def _by_programme(
    ballots: ApprovalProfile, size: int, most: int, time_limit: float
) -> tuple[Fraction, list[tuple[int, ...]], bool, tuple[str, ...]]:
    """The best committees, each found with those before it forbidden, until one is clearly worse."""
    programme = _programme(ballots, size)
    tried: dict[tuple[int, ...], Fraction] = {}
    bound, proved, complete = np.inf, False, False
    while True:
        result = _solve(programme, list(tried), size, time_limit)
        if not tried:
            bound = np.inf if result.mip_dual_bound is None else -float(result.mip_dual_bound)
            proved = result.status == 0
            if result.x is None:
                raise UsageError(
                    f"HiGHS found no committee in {time_limit:g} s.", fix="Raise time_limit, or use sequential_pav."
                )
        best = max(tried.values(), default=Fraction(0))
        if result.x is None:
            complete = result.status == 2
            break
        committee = tuple(sorted(np.argsort(-result.x[: ballots.n_candidates], kind="stable")[:size].tolist()))
        tried[committee] = _scores(ballots, np.array([committee], dtype=np.int64))[0]
        if tried[committee] < best * (1 - SLACK):
            complete = result.status == 0
            break
        best = max(best, tried[committee])
        if result.status != 0 or sum(score == best for score in tried.values()) > most:
            break
    best = max(tried.values())
    found = [committee for committee, score in tried.items() if score == best][:most]
    limit = bound / ballots.denominator
    note = (
        f"optimal by HiGHS, whose bound is {limit:.10g}"
        if proved
        else f"feasible: HiGHS ran out of time, and no score is above {limit:.10g}"
    )
    return best, found, complete and proved, (note,)


def _programme(ballots: ApprovalProfile, size: int) -> dict[str, Any]:
    """One binary variable a candidate; for each ballot, how far it has its first, second, ... representative."""
    n, approved = ballots.n_candidates, ballots.approves.sum(axis=1)
    steps = np.minimum(approved, size)
    ballot = np.repeat(np.arange(len(ballots)), steps)
    place = np.arange(len(ballot)) - np.repeat(np.cumsum(steps) - steps, steps) + 1
    row, candidate = np.nonzero(ballots.approves)
    has = csr_array(
        (
            np.concatenate([np.ones(len(ballot)), -np.ones(len(row))]),
            (np.concatenate([ballot, row]), np.concatenate([n + np.arange(len(ballot)), candidate])),
        ),
        shape=(len(ballots), n + len(ballot)),
    )
    seats = csr_array(np.concatenate([np.ones(n), np.zeros(len(ballot))])[None])
    return {
        "c": np.concatenate([np.zeros(n), -ballots.counts[ballot] / place]),
        "integrality": np.concatenate([np.ones(n), np.zeros(len(ballot))]),
        "bounds": Bounds(0.0, 1.0),
        "constraints": [LinearConstraint(has, -np.inf, 0.0), LinearConstraint(seats, size, size)],
    }


def _solve(programme: dict[str, Any], forbidden: list[tuple[int, ...]], size: int, time_limit: float) -> Any:
    """Solve the programme without some committees."""
    constraints = list(programme["constraints"])
    if forbidden:
        rows = np.zeros((len(forbidden), len(programme["c"])))
        for row, committee in enumerate(forbidden):
            rows[row, list(committee)] = 1.0
        constraints.append(LinearConstraint(csr_array(rows), -np.inf, size - 1))
    options: Any = {"mip_rel_gap": 0.0, "time_limit": time_limit}
    return milp(**programme | {"constraints": constraints}, options=options)
