"""Cast vote records: marks as the scanner read them, cleaned into rankings by stated rules.

A record has one cell for each rank of a ballot: the candidate marked there, nothing, or a word for more marks than one.
Jurisdictions differ in what a skipped rank, several marks at one rank, or a second mark for the same candidate do to a
ballot; so each is an option here, and a report counts how often it mattered.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Int64
from numpy.typing import ArrayLike

from pluralism.data.arrays import refuse_rows
from pluralism.data.items import Items
from pluralism.data.rankings import Rankings
from pluralism.errors import DataError, UsageError

__all__ = ["CastVoteReport", "CastVotes", "clean_cast_votes"]


@dataclass(frozen=True)
class CastVoteReport:
    """What cleaning did, in ballots.

    Attributes
    ----------
    cast : int
        All ballots.
    counted : int
        Those that rank somebody in the end.
    blank : int
        Those that mark no candidate at all, not even one who does not stand or with others at one rank.
    void : int
        Those that mark somebody and yet rank nobody in the end.
    skipped : int
        Those with an empty rank above a mark.
    overvoted : int
        Those with several marks at one rank.
    repeated : int
        Those that mark a candidate again further down.
    excluded : int
        Those with a mark for somebody who does not stand.
    """

    cast: int
    counted: int
    blank: int
    void: int
    skipped: int
    overvoted: int
    repeated: int
    excluded: int

    def to_frame(self) -> pa.Table:
        """Columns `what, ballots`."""
        return pa.table({"what": list(asdict(self)), "ballots": list(asdict(self).values())})

    def to_json(self, *, indent: int | None = None) -> str:
        """The fields as a JSON object."""
        return json.dumps(asdict(self), indent=indent)


@dataclass(frozen=True)
class CastVotes:
    """Cleaned ballots, and what cleaning did.

    Attributes
    ----------
    rankings : Rankings
        One for each distinct ballot that ranks somebody, with the number of such ballots as weight. All candidates who
        stand are items.
    report : CastVoteReport
    """

    rankings: Rankings
    report: CastVoteReport


def clean_cast_votes(
    marks: Sequence[Sequence[Hashable]],
    counts: ArrayLike | None = None,
    *,
    candidates: Sequence[str] | None = None,
    blank: Collection[Hashable] = ("undervote", "", None),
    overvote: Collection[Hashable] = ("overvote",),
    excluded: Collection[Hashable] = (),
    overvotes: Literal["skip", "stop"] = "skip",
    most_skips: int | None = None,
) -> CastVotes:
    """Turn marks into rankings.

    A ballot is read from its first rank down. A mark for a candidate ranks it next, unless it is ranked already: then
    the second mark is passed over.

    Parameters
    ----------
    marks : sequence of ballots
        Each lists what is marked at first rank, second rank, and so on.
    counts : int array of shape (ballots,), optional
        How many such ballots were cast; left out, one each.
    candidates : sequence of str, optional
        Who stands; left out, all whom marks name, in alphabetical order. Any other mark is an error.
    blank, overvote : collections
        What stands for no mark, and for several marks at one rank.
    excluded : collection
        Marks for those who do not stand, such as undeclared write-ins: they are passed over, and are no skipped rank.
    overvotes : {"skip", "stop"}
        Whether several marks at one rank count as no mark (Minneapolis), or end the ballot there (San Francisco).
    most_skips : int, optional
        Empty ranks in a row that are passed over; one more ends the ballot. Left out, any number is passed over.

    Raises
    ------
    DataError
        If a mark names nobody who stands, or counts are not whole numbers of at least 0.
    UsageError
        If an option is not possible.
    """
    if overvotes not in ("stop", "skip"):
        raise UsageError(f"overvotes={overvotes!r} is not possible.", fix='Use overvotes="stop" or "skip".')
    if most_skips is not None and most_skips < 0:
        raise UsageError(f"most_skips={most_skips!r} is not possible.", fix="It is a number of at least 0, or None.")
    units = _whole(counts, len(marks))
    special = {*blank, *overvote, *excluded}
    if candidates is None:
        candidates = sorted({str(mark) for ballot in marks for mark in ballot if mark not in special})
    code = {name: position for position, name in enumerate(candidates)}
    if len(code) < len(candidates):
        raise DataError("Two candidates have one name.", fix="Give each a name of its own.")
    n_of = dict.fromkeys(("blank", "void", "skipped", "overvoted", "repeated", "excluded"), 0)
    ballots: dict[tuple[int, ...], int] = {}
    for row, (ballot, count) in enumerate(zip(marks, units.tolist(), strict=True), 1):
        found = {
            "skipped": _skips(ballot, blank),
            "overvoted": any(mark in overvote for mark in ballot),
            "excluded": any(mark in excluded for mark in ballot),
        }
        kept: list[int] = []
        empty, ended = 0, False
        for mark in ballot:
            if mark in overvote and overvotes == "stop":
                ended = True
            elif mark in blank or mark in overvote:
                empty += 1
                ended = ended or (most_skips is not None and empty > most_skips)
            elif mark not in excluded:
                candidate = code.get(str(mark))
                if candidate is None:
                    raise DataError(
                        f"{mark!r} is no candidate.",
                        where=f"ballot {row}",
                        fix="Add it to candidates=, blank=, overvote= or excluded=.",
                    )
                found["repeated"] = found.get("repeated", False) or candidate in kept
                if not ended and candidate not in kept:
                    kept.append(candidate)
                empty = 0
        marked = any(mark not in blank for mark in ballot)
        found["blank"], found["void"] = not marked, marked and not kept
        for what, holds in found.items():
            n_of[what] += count if holds else 0
        if kept and count:
            ballots[tuple(kept)] = ballots.get(tuple(kept), 0) + count
    report = CastVoteReport(cast=int(units.sum()), counted=sum(ballots.values()), **n_of)
    return CastVotes(_rankings(list(candidates), ballots), report)


def _whole(counts: ArrayLike | None, n: int) -> Int64[np.ndarray, " ballots"]:
    if counts is None:
        return np.ones(n, dtype=np.int64)
    array = np.asarray(counts)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise DataError(f"Counts are {n:,} whole numbers.", fix="Give one for each ballot.")
    refuse_rows(array < 0, "A count is negative", "Counts are 0 or more.")
    return array.astype(np.int64)


def _skips(ballot: Sequence[Hashable], blank: Collection[Hashable]) -> bool:
    """Whether a mark follows an empty rank."""
    empty = [mark in blank for mark in ballot]
    return any(before and not after for before, after in pairwise(empty))


def _rankings(candidates: list[str], ballots: dict[tuple[int, ...], int]) -> Rankings:
    sizes = [len(ballot) for ballot in ballots]
    return Rankings(
        items=Items([str(i) for i in range(1, len(candidates) + 1)], texts=candidates),
        users=pa.array(range(1, len(ballots) + 1)).cast(pa.large_string()),
        user=np.arange(len(ballots)),
        indptr=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64),
        item=np.array([candidate for ballot in ballots for candidate in ballot], dtype=np.int64),
        rank=np.array([place for size in sizes for place in range(size)], dtype=np.int64),
        weight=np.array(list(ballots.values()), dtype=np.float64),
    )
