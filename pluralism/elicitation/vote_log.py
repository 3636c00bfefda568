"""The vote log: who judged which value wiser in which context, as columns that are only ever added to.

=========== ==========================================================================================
column      meaning
=========== ==========================================================================================
participant who votes: a string or an integer
source      id of the value that the story begins with
wiser       id of the value that it arrives at, and that may be the wiser one
context     when (optional; empty = no context named)
answer      upgrade ("wiser", yes), no_upgrade (no) or not_sure
time        a datetime, or seconds since 1970 (UTC; optional, empty = unknown)
reason      why the pair was drawn for this person, such as "sparsest" (optional)
story       id of the upgrade story that was shown (optional)
comment     what the person wrote (optional)
=========== ==========================================================================================

Rows are votes in the order in which they came; nothing is overwritten. Voting again adds a row, and the last one counts
(`pluralism.elicitation.ballots`). Forgetting a participant empties the rows but keeps their digests, so that the chain
over all others can still be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int8, Int32

from pluralism.data.arrays import Column, as_indices, frozen
from pluralism.data.columns import require_columns, time_column, warn_of_misspellings
from pluralism.data.faults import FaultLog
from pluralism.data.files_io import read_source
from pluralism.data.frames import frame_source
from pluralism.data.labels import clean_labels, encode_labels
from pluralism.data.sources import Source
from pluralism.errors import DataError, UsageError

__all__ = ["ANSWERS", "NOT_SURE", "NO_UPGRADE", "SCHEMA", "UPGRADE", "VoteLog"]

ANSWERS = ("upgrade", "no_upgrade", "not_sure")
UPGRADE, NO_UPGRADE, NOT_SURE = range(3)

SCHEMA = pa.schema(
    [
        ("participant", pa.large_string()),
        ("source", pa.large_string()),
        ("wiser", pa.large_string()),
        ("context", pa.large_string()),
        ("answer", pa.large_string()),
        ("time", pa.timestamp("us")),
        ("reason", pa.large_string()),
        ("story", pa.large_string()),
        ("comment", pa.large_string()),
        ("salt", pa.binary()),
        ("digest", pa.binary()),
    ]
)
"""Columns of the log; salt and digest are of sealed rows (`pluralism.elicitation.hash_chain`)."""

_CONTRACT = (
    "Votes have the columns participant, source, wiser, answer, and optionally context, time, reason, story, comment."
)
_REQUIRED = ("participant", "source", "wiser", "answer")
_OPTIONAL = ("context", "time", "reason", "story", "comment")


@dataclass(frozen=True, eq=False, repr=False)
class VoteLog:
    """Votes, one a row, in the order in which they came.

    Parameters
    ----------
    table : pyarrow.Table
        Of the schema `SCHEMA`; build it with `from_frame` or `read`.

    Examples
    --------
    >>> log = VoteLog.from_frame({"participant": ["ann", "bob"], "source": ["a", "a"], "wiser": ["b", "b"],
    ...                           "answer": ["upgrade", "not_sure"]})
    >>> log
    VoteLog(2 votes by 2 participants)
    """

    table: pa.Table

    def __post_init__(self) -> None:
        if not self.table.schema.equals(SCHEMA):
            raise UsageError("The table is not of the schema of votes.", fix="Use VoteLog.from_frame(table).")

    @classmethod
    def empty(cls) -> VoteLog:
        """A log without votes."""
        return cls(SCHEMA.empty_table())

    @classmethod
    def from_frame(cls, frame: Any, *, columns: Mapping[str, str] | None = None, strict: bool = True) -> VoteLog:
        """Votes from a frame (pandas, polars, pyarrow, a dict of columns, a list of records).

        Parameters
        ----------
        frame : frame
        columns : mapping of str to str, optional
            Names of the contract to names in the frame, such as ``{"participant": "user"}``.
        strict : bool
            Whether bad rows stop the reading; else they are left out with a `DataWarning`.

        Raises
        ------
        DataError
            Naming row and column of what is wrong.
        """
        return cls(_table(frame_source(frame), columns, strict))

    @classmethod
    def read(cls, path: str | Path, *, columns: Mapping[str, str] | None = None, strict: bool = True) -> VoteLog:
        """Votes from a file (Parquet, CSV, TSV, JSON lines, Arrow), otherwise as `from_frame`."""
        return cls(_table(read_source(path), columns, strict))

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def kept(self) -> Bool[np.ndarray, " votes"]:
        """Rows that were not erased."""
        return frozen(np.asarray(self.table["participant"].is_valid().to_numpy(), dtype=bool))

    @cached_property
    def _codes(self) -> dict[str, tuple[Int32[np.ndarray, " votes"], pa.LargeStringArray]]:
        found = {}
        for name in ("participant", "source", "wiser", "context", "reason"):
            codes, labels = encode_labels(self.table[name].combine_chunks())
            found[name] = (frozen(np.array(codes)), labels.drop_null())
        return found

    def codes(self, name: str) -> tuple[Int32[np.ndarray, " votes"], pa.LargeStringArray]:
        """Codes of a column of labels in order of first appearance (-1 where there is none), and the labels."""
        return self._codes[name]

    @cached_property
    def answer(self) -> Int8[np.ndarray, " votes"]:
        """Codes of the answers: 0 upgrade, 1 no_upgrade, 2 not_sure; -1 where the row was erased."""
        found = pc.index_in(self.table["answer"].combine_chunks(), value_set=pa.array(ANSWERS, pa.large_string()))
        return frozen(pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int8))

    @cached_property
    def time(self) -> np.ndarray:
        """datetime64[us] in UTC; NaT where unknown."""
        return frozen(np.array(self.table["time"].to_numpy(), dtype="datetime64[us]"))

    @property
    def participants(self) -> pa.LargeStringArray:
        """Distinct participants in order of first appearance, without those who were forgotten."""
        return self.codes("participant")[1]

    @property
    def value_ids(self) -> list[str]:
        """Distinct ids of values that were voted on."""
        ids = [*self.codes("source")[1].to_pylist(), *self.codes("wiser")[1].to_pylist()]
        return list(dict.fromkeys(ids))

    @property
    def contexts(self) -> list[str]:
        """Distinct contexts in order of first appearance; "" where none was named."""
        return list(self.codes("context")[1].to_pylist())

    def append(self, other: VoteLog) -> VoteLog:
        """These votes followed by others; nothing is copied."""
        return VoteLog(pa.concat_tables([self.table, other.table]))

    def take(self, index: Column | slice) -> VoteLog:
        """Rows of a mask, a slice or indices."""
        return VoteLog(self.table.take(pa.array(as_indices(index, len(self)))))

    def erase(self, participant: str) -> VoteLog:
        """The log without what one participant said and who it was; digests of sealed rows stay.

        Rows that were never sealed are gone altogether, as no chain needs them.

        Raises
        ------
        UsageError
            If the log has no vote of that participant.
        """
        mine = pc.fill_null(pc.equal(self.table["participant"], participant), False)
        if not pc.any(mine).as_py():
            raise UsageError(f"There is no vote of participant {participant!r}.", fix="Check the id.")
        keep = pc.or_(pc.invert(mine), self.table["digest"].is_valid())
        table, mine = self.table.filter(keep), mine.filter(keep)
        for i, field in enumerate(SCHEMA):
            if field.name != "digest":
                emptied = pc.if_else(mine, pa.scalar(None, field.type), table[field.name])
                table = table.set_column(i, field, emptied)
        return VoteLog(table)

    def to_frame(self) -> pa.Table:
        """The votes that were not erased, without salts and digests."""
        return self.table.filter(self.table["participant"].is_valid()).drop_columns(["salt", "digest"])

    def __repr__(self) -> str:
        kept = int(self.kept.sum())
        erased = f"; {len(self) - kept:,} erased" if kept < len(self) else ""
        n = len(self.participants)
        return f"VoteLog({kept:,} vote{'s' * (kept != 1)} by {n:,} participant{'s' * (n != 1)}{erased})"


def _table(source: Source, columns: Mapping[str, str] | None, strict: bool) -> pa.Table:
    source = source.renamed(columns)
    require_columns(source, _REQUIRED, _CONTRACT)
    warn_of_misspellings(source, (*_REQUIRED, *_OPTIONAL))
    log = source.log()
    read: dict[str, pa.Array] = {name: clean_labels(source[name], log, name) for name in _REQUIRED}
    for name in _OPTIONAL:
        if name != "time":
            given = name in source
            read[name] = (
                clean_labels(source[name], log, name, nullable=True)
                if given
                else pa.nulls(source.n_rows, pa.large_string())
            )
    read["context"] = pc.fill_null(read["context"], "")
    read["time"] = _times(time_column(source, "time", log), source.n_rows, log)
    known = pc.is_in(read["answer"], value_set=pa.array(ANSWERS, pa.large_string()))
    words = read["answer"]
    log.add(
        ~np.asarray(known.to_numpy(zero_copy_only=False), dtype=bool) & np.asarray(words.is_valid()),
        "answers",
        "answer",
        f"Column 'answer' has words other than {', '.join(ANSWERS)}.",
        "Write one of these words.",
        lambda row: words[row].as_py(),
    )
    same = pc.fill_null(pc.equal(read["source"], read["wiser"]), False)
    log.add(
        np.asarray(same.to_numpy(zero_copy_only=False), dtype=bool),
        "self-loops",
        "wiser",
        "A value is judged against itself.",
        "Remove these rows.",
    )
    good, _ = log.settle(strict=strict)
    for name in ("salt", "digest"):
        read[name] = pa.nulls(source.n_rows, pa.binary())
    return pa.table({field.name: read[field.name] for field in SCHEMA}, SCHEMA).filter(pa.array(good))


def _times(times: np.ndarray | None, n: int, log: FaultLog) -> pa.Array:
    if times is None:
        return pa.nulls(n, pa.timestamp("us"))
    if times.dtype.kind == "f":
        late = np.abs(np.nan_to_num(times)) > 1e11
        log.add(
            late,
            "times",
            "time",
            "Column 'time' has numbers that are no seconds since 1970.",
            "Divide milliseconds by 1000, or write dates in ISO 8601.",
            lambda row: times[row],
        )
        seconds = np.where(late | np.isnan(times), 0.0, times)
        return pa.array((seconds * 1e6).astype("datetime64[us]"), mask=np.isnan(times) | late)
    return pa.array(times.astype("datetime64[us]"))


def check_known(log: VoteLog, ids: Mapping[str, Any]) -> None:
    """Refuse votes on values without a card.

    Raises
    ------
    DataError
        Naming the first such values.
    """
    unknown = [name for name in log.value_ids if name not in ids]
    if unknown:
        raise DataError(
            f"There are votes on {len(unknown):,} value{'s' * (len(unknown) != 1)} without a card: "
            f"{', '.join(map(repr, unknown[:5]))}{', ...' if len(unknown) > 5 else ''}.",
            fix="Add their cards, or leave these votes out.",
        )
