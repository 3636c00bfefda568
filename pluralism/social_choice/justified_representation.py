"""Proportionality of a committee: does every group that is large and agrees enough get what it deserves?"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from pluralism.errors import UsageError
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.cohesive_groups import Cohesion, find_group, needed
from pluralism.social_choice.committees import check_seats, listed

__all__ = ["Proportionality", "RepresentationAxiom", "RepresentationCheck", "check_representation", "proportionality"]

RepresentationAxiom = Literal["jr", "pjr", "ejr", "ejr+", "core"]
"""What groups deserve; see `check_representation`."""

_TITLES = {"jr": "JR", "pjr": "PJR", "ejr": "EJR", "ejr+": "EJR+", "core": "the core"}


@dataclass(frozen=True)
class RepresentationCheck:
    """Whether a committee gives groups what one axiom says that they deserve.

    Attributes
    ----------
    axiom : {"jr", "pjr", "ejr", "ejr+", "core"}
    committee : tuple of str
    seats : int
    verdict : {"holds", "violated", "undecided"}
        Undecided if the search ran out of time.
    group : tuple of int
        Ballots of the profile that make up a group that gets too little.
    voters, n_voters : Fraction
        Size of the group and of the electorate.
    agrees_on : tuple of str
        Candidates that all of the group approve; with "core", those that the group would elect instead.
    deserves : int
        Seats that the group is large enough for.
    has : int
        How many of the committee the best represented of the group approves; with "pjr", somebody of the group.
    """

    axiom: RepresentationAxiom
    committee: tuple[str, ...]
    seats: int
    verdict: Literal["holds", "violated", "undecided"]
    group: tuple[int, ...] = ()
    voters: Fraction = Fraction(0)
    n_voters: Fraction = Fraction(0)
    agrees_on: tuple[str, ...] = ()
    deserves: int = 0
    has: int = 0

    @property
    def holds(self) -> bool:
        """Whether the axiom is known to hold."""
        return self.verdict == "holds"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "axiom": self.axiom,
            "committee": list(self.committee),
            "seats": self.seats,
            "verdict": self.verdict,
            "group": list(self.group),
            "voters": float(self.voters),
            "n_voters": float(self.n_voters),
            "agrees_on": list(self.agrees_on),
            "deserves": self.deserves,
            "has": self.has,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row with the fields."""
        return pa.Table.from_pylist([self.to_dict()])

    def sentence(self) -> str:
        """What was found, in a sentence."""
        title = _TITLES[self.axiom]
        if self.verdict == "undecided":
            return f"{title}: undecided within the time limit"
        if self.verdict == "holds":
            return f"{title}: holds"
        who = f"{float(self.voters):,.10g} of {float(self.n_voters):,.10g} voters, enough for {self.deserves} of "
        who += f"{self.seats} seats,"
        if self.axiom == "core":
            return f"{title}: violated; {who} would each have more of {listed(self.agrees_on)}"
        got = f"together approve {self.has}" if self.axiom == "pjr" else f"approve {self.has} each at most"
        return f"{title}: violated; {who} agree on {listed(self.agrees_on)} but {got} of the committee"

    def __repr__(self) -> str:
        return f"RepresentationCheck({self.sentence()})"


@dataclass(frozen=True)
class Proportionality:
    """How proportional a committee is: one check for each axiom, from the weakest to the strongest and the core."""

    checks: tuple[RepresentationCheck, ...]

    def __getitem__(self, axiom: str) -> RepresentationCheck:
        found = [check for check in self.checks if check.axiom == axiom]
        if not found:
            raise UsageError(f"There is no check of {axiom!r}.", fix=f"Choose one of {', '.join(_TITLES)}.")
        return found[0]

    def to_dict(self) -> dict[str, Any]:
        """The checks by axiom."""
        return {check.axiom: check.to_dict() for check in self.checks}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row for each axiom."""
        return pa.Table.from_pylist([check.to_dict() for check in self.checks])

    def __repr__(self) -> str:
        committee = listed(list(self.checks[0].committee))
        return "\n".join([f"Proportionality of {committee}", *(f"  {check.sentence()}" for check in self.checks)])


def check_representation(
    profile: ApprovalProfile,
    committee: Sequence[Hashable],
    axiom: RepresentationAxiom = "ejr+",
    *,
    seats: int | None = None,
    time_limit: float = 10.0,
) -> RepresentationCheck:
    """Whether a committee gives every group what an axiom of proportionality says that it deserves.

    A group is large enough for l of k seats if it is at least l / k of the voters. It is underrepresented

    ====== =========================================================================================================
    jr     if l = 1, all approve one candidate, and nobody approves any of the committee
    pjr    if all approve l candidates, and together they approve fewer than l of the committee
    ejr    if all approve l candidates, and each approves fewer than l of the committee
    ejr+   if all approve one candidate who is not elected, and each approves fewer than l of the committee
    core   if there are l candidates of whom each approves more than of the committee
    ====== =========================================================================================================

    EJR+ implies EJR, that PJR, that JR; the core implies EJR. JR and EJR+ are checked at once. The others are found by
    mixed-integer programmes (HiGHS), whose groups are checked exactly, and which say "undecided" when time runs out:
    expect seconds for hundreds of different ballots and a dozen candidates.

    Parameters
    ----------
    profile : ApprovalProfile
    committee : sequence of str
        Names of the elected; there may be fewer than `seats`.
    axiom : {"jr", "pjr", "ejr", "ejr+", "core"}
    seats : int, optional
        Seats that were to be filled; the size of the committee if left out.
    time_limit : float
        Seconds for all searches together.

    Returns
    -------
    RepresentationCheck
        With a group that deserves more, if there is one.

    References
    ----------
    H. Aziz et al., Justified Representation in Approval-Based Committee Voting, Social Choice and Welfare 2017;
    L. Sánchez-Fernández et al., Proportional Justified Representation, AAAI 2017; M. Brill and J. Peters, Robust and
    Verifiable Proportionality Axioms for Multiwinner Voting, EC 2023 (EJR+).
    """
    if axiom not in get_args(RepresentationAxiom):
        raise UsageError(f"There is no axiom {axiom!r}.", fix=f"Choose one of {', '.join(_TITLES)}.")
    elected = np.unique(profile.index(committee))
    size = check_seats(max(len(elected), 1) if seats is None else seats, max(profile.n_candidates, len(elected)))
    if len(elected) > size or profile.total == 0:
        raise UsageError(
            f"{len(elected)} elected of {size} seats by {float(profile.n_voters):g} voters is not possible.",
            fix="Give the seats that were to be filled, and a profile with voters.",
        )
    inside = np.zeros(profile.n_candidates, dtype=bool)
    inside[elected] = True
    found: _Found | Literal["none", "undecided"]
    if axiom == "jr" or axiom == "ejr+":
        found = _unelected_candidate(profile, inside, size, 1 if axiom == "jr" else size)
    elif axiom != "core" and _unelected_candidate(profile, inside, size, size) == "none":
        # EJR+ implies EJR and PJR.
        found = "none"
    else:
        found = _search(profile, inside, size, axiom, time_limit)
    names = tuple(profile.candidates[c] for c in elected)
    if isinstance(found, str):
        verdict: Literal["holds", "undecided"] = "holds" if found == "none" else "undecided"
        return RepresentationCheck(axiom, names, size, verdict, n_voters=profile.n_voters)
    group, agreed, deserves = found
    approved = profile.approves[group] & inside
    return RepresentationCheck(
        axiom,
        names,
        size,
        "violated",
        group=tuple(group.tolist()),
        voters=Fraction(int(profile.counts[group].sum()), profile.denominator),
        n_voters=profile.n_voters,
        agrees_on=tuple(profile.candidates[c] for c in agreed),
        deserves=deserves,
        has=int(approved.any(axis=0).sum() if axiom == "pjr" else approved.sum(axis=1).max()),
    )


def proportionality(
    profile: ApprovalProfile, committee: Sequence[Hashable], *, seats: int | None = None, time_limit: float = 10.0
) -> Proportionality:
    """Check all axioms of `check_representation`; the time limit is for each of them."""
    return Proportionality(
        tuple(
            check_representation(profile, committee, axiom, seats=seats, time_limit=time_limit)
            for axiom in get_args(RepresentationAxiom)
        )
    )


_Found = tuple[Int64[np.ndarray, " group"], Int64[np.ndarray, " agreed"], int]


def _unelected_candidate(
    profile: ApprovalProfile, inside: Bool[np.ndarray, " candidates"], seats: int, most: int
) -> _Found | Literal["none"]:
    """A candidate not elected whose supporters are too many for how little they have, up to `most` seats."""
    has = (profile.approves & inside).sum(axis=1)
    outside = np.flatnonzero(~inside)
    for deserves in range(1, most + 1):
        poor = has < deserves
        support = profile.counts[poor] @ profile.approves[np.ix_(poor, outside)].astype(np.int64)
        if len(outside) and support.max() >= needed(deserves, seats, profile.total):
            candidate = int(outside[np.argmax(support)])
            group = np.flatnonzero(poor & profile.approves[:, candidate] & (profile.counts > 0))
            return group, np.array([candidate]), deserves
    return "none"


def _search(
    profile: ApprovalProfile, inside: Bool[np.ndarray, " candidates"], seats: int, axiom: Cohesion, time_limit: float
) -> _Found | Literal["none", "undecided"]:
    """Search for a group, from the smallest that deserves something to all voters."""
    ballots = profile.compressed()
    deadline = monotonic() + time_limit
    decided = True
    for deserves in range(1, seats + 1):
        found = find_group(axiom, ballots.approves, ballots.counts, inside, deserves, seats, deadline - monotonic())
        if found == "undecided":
            decided = False
        elif not isinstance(found, str):
            rows = {row.tobytes() for row in ballots.approves[found[0]]}
            members = [i for i, row in enumerate(profile.approves) if profile.counts[i] and row.tobytes() in rows]
            return np.array(members, dtype=np.int64), found[1], deserves
    return "none" if decided else "undecided"
