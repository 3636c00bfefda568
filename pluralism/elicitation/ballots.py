"""Ballots: what a vote log says when each person's last word counts, after merges.

Two steps, so that voting again and contradicting oneself are told apart:

1. Votes of one person on the same pair and context, *as they were asked*: the last counts, by time and then by row.
2. Merges of cards or contexts may put several of these onto one pair and context. Where they agree they are one
   ballot. Where they differ, the policy decides: ``latest`` takes the last; ``majority`` the answer given most often,
   and not_sure where two are given equally often; ``abstain`` counts none of them.

A pair that merges turn into a value against itself counts for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int8, Int32, Int64

from pluralism.elicitation.vote_log import ANSWERS, NOT_SURE, VoteLog
from pluralism.errors import UsageError

__all__ = ["Ballots", "Contradiction", "Unit", "fold_ballots"]

Contradiction = Literal["latest", "majority", "abstain"]
"""What counts where one person's ballots, brought together by merges, differ."""

Unit = Literal["context", "pair"]
"""Whether a person has one ballot for each pair and context, or only one for each pair."""


@dataclass(frozen=True, eq=False, repr=False)
class Ballots:
    """What counts: at most one answer for each participant, ordered pair and context.

    Attributes
    ----------
    participants : pyarrow.LargeStringArray
        Labels, of all who are in the log.
    participant, source, wiser, context : int32 arrays of shape (ballots,)
        Codes of participants, values and contexts; sorted by participant, source, wiser, context.
    answer : int8 array of shape (ballots,)
        0 upgrade, 1 no_upgrade, 2 not_sure.
    row : int64 array of shape (ballots,)
        The vote of the log that a ballot is, or the last of those that it sums up.
    n_votes, n_superseded, n_self_loops, n_contradictions, n_abstained : int
        Votes in the log; votes that a later one replaced; ballots of a value against itself after merges; groups of
        ballots that merges brought together and that differ; ballots that count for nothing because of that.
    """

    participants: pa.LargeStringArray
    participant: Int32[np.ndarray, " ballots"]
    source: Int32[np.ndarray, " ballots"]
    wiser: Int32[np.ndarray, " ballots"]
    context: Int32[np.ndarray, " ballots"]
    answer: Int8[np.ndarray, " ballots"]
    row: Int64[np.ndarray, " ballots"]
    n_votes: int
    n_superseded: int
    n_self_loops: int
    n_contradictions: int
    n_abstained: int

    def __len__(self) -> int:
        return len(self.participant)

    @property
    def n_participants(self) -> int:
        """Participants with or without a ballot."""
        return len(self.participants)

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """How many ballots say upgrade, no_upgrade and not_sure."""
        upgrade, no_upgrade, not_sure = np.bincount(self.answer, minlength=len(ANSWERS)).tolist()
        return upgrade, no_upgrade, not_sure

    def take(self, keep: Bool[np.ndarray, " ballots"]) -> Ballots:
        """Ballots of a mask; codes keep their meaning, the counts of what was left out stay those of the whole log."""
        taken = {name: getattr(self, name)[keep] for name in ("participant", "source", "wiser", "context")}
        rest = {name: getattr(self, name)[keep] for name in ("answer", "row")}
        totals = ("n_votes", "n_superseded", "n_self_loops", "n_contradictions", "n_abstained")
        return Ballots(self.participants, **taken, **rest, **{name: getattr(self, name) for name in totals})

    def __repr__(self) -> str:
        said = ", ".join(f"{n:,} {word}" for n, word in zip(self.counts, ANSWERS, strict=True))
        return f"Ballots({len(self):,} of {self.n_votes:,} votes by {self.n_participants:,} participants: {said})"


def fold_ballots(
    log: VoteLog,
    value: Int32[np.ndarray, " values"],
    values: dict[str, int],
    context: Int32[np.ndarray, " contexts"],
    contexts: dict[str, int],
    *,
    contradiction: Contradiction = "latest",
    unit: Unit = "context",
) -> Ballots:
    """Fold a log into ballots.

    Parameters
    ----------
    log : VoteLog
    value, context : int arrays
        Which value or context speaks for each, from `MergeLog.representatives`.
    values, contexts : mapping of str to int
        Places of the labels in these arrays.
    contradiction : {"latest", "majority", "abstain"}
    unit : {"context", "pair"}
        With "pair" a later vote on the pair replaces an earlier one in whatever context, as in the original.
    """
    for option, allowed in ((contradiction, get_args(Contradiction)), (unit, get_args(Unit))):
        if option not in allowed:
            raise UsageError(f"{option!r} is not possible.", fix=f"Use one of {', '.join(allowed)}.")
    kept = np.flatnonzero(log.kept)
    person, people = log.codes("participant")
    asked = {
        "participant": person[kept],
        "source": _placed(log, "source", values)[kept],
        "wiser": _placed(log, "wiser", values)[kept],
        "context": _placed(log, "context", contexts)[kept],
    }
    time = log.time[kept]
    when = np.where(np.isnat(time), np.iinfo(np.int64).min, time.astype(np.int64))
    key = [asked[name] for name in ("participant", "source", "wiser", *(["context"] if unit == "context" else []))]
    order = np.lexsort((kept, when, *key[::-1]))
    last = order[_ends([column[order] for column in key])]

    source, wiser = value[asked["source"][last]], value[asked["wiser"][last]]
    found = {
        "participant": asked["participant"][last],
        "source": source,
        "wiser": wiser,
        "context": context[asked["context"][last]],
    }
    apart = source != wiser
    found = {name: column[apart] for name, column in found.items()}
    rows, when = last[apart], when[last][apart]
    key = [found[name] for name in ("participant", "source", "wiser", *(["context"] if unit == "context" else []))]
    order = np.lexsort((rows, when, *key[::-1]))
    ends = np.flatnonzero(_ends([column[order] for column in key]))
    answer, differ = _settle(log.answer[kept][rows][order], ends, contradiction)
    chosen = order[ends]
    counts = answer >= 0
    return Ballots(
        people,
        **{name: column[chosen][counts].astype(np.int32) for name, column in found.items()},
        answer=answer[counts],
        row=kept[rows[chosen]][counts].astype(np.int64),
        n_votes=len(kept),
        n_superseded=len(kept) - len(last),
        n_self_loops=int((~apart).sum()),
        n_contradictions=int(differ.sum()),
        n_abstained=int(np.diff(ends, prepend=-1)[~counts].sum()),
    )


def _placed(log: VoteLog, name: str, places: dict[str, int]) -> Int64[np.ndarray, " votes"]:
    codes, labels = log.codes(name)
    return np.array([*(places[label] for label in labels.to_pylist()), -1], dtype=np.int64)[codes]


def _ends(columns: list[np.ndarray]) -> Bool[np.ndarray, " rows"]:
    """Rows that are the last of their run of equal keys."""
    ends = np.ones(len(columns[0]), dtype=bool)
    if len(ends):
        ends[:-1] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return ends


def _settle(
    answers: Int8[np.ndarray, " rows"], ends: Int64[np.ndarray, " runs"], contradiction: Contradiction
) -> tuple[Int8[np.ndarray, " runs"], Bool[np.ndarray, " runs"]]:
    """One answer for each run of rows, -1 for none; and which runs disagree."""
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else ends
    if not len(ends):
        return np.zeros(0, dtype=np.int8), np.zeros(0, dtype=bool)
    given = np.stack([np.add.reduceat((answers == k).astype(np.int64), starts) for k in range(len(ANSWERS))], axis=1)
    differ = (given > 0).sum(axis=1) > 1
    answer = answers[ends].copy()
    if contradiction == "abstain":
        answer[differ] = -1
    elif contradiction == "majority":
        most = given.max(axis=1)
        tied = (given == most[:, None]).sum(axis=1) > 1
        answer = np.where(tied, NOT_SURE, given.argmax(axis=1)).astype(np.int8)
    return answer, differ
