"""A hash chain over votes: whoever kept an earlier head can see that no vote was changed, moved or left out since.

Each vote has a digest, SHA-256 of a random salt of its own and of its content, and the head of the log is
h_i = SHA-256(h_{i-1}, digest_i) from h_0 = 0. Forgetting a participant removes salt and content and keeps the digests:
the chain holds, and without the salt nobody can try whether a digest belongs to a vote that they guess.

A chain proves nothing to somebody who has only the file, since whoever can change it can make a new one. Publish the
head when a study closes, or from time to time.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.vote_log import SCHEMA, VoteLog
from pluralism.errors import UsageError

__all__ = ["START", "Audit", "audit", "chain_heads", "entry_digest", "seal"]

START = bytes(32)
"""The head of an empty log."""

SALT_BYTES = 16
_CONTENT = [field.name for field in SCHEMA if field.name not in ("salt", "digest")]


@dataclass(frozen=True)
class Audit:
    """What a check of the chain found.

    Attributes
    ----------
    head : str
        Head of the log, as hexadecimal digits.
    n_votes, n_erased, n_unsealed : int
        Votes whose content was checked; rows of deleted participants, of which only the digest is left; votes that no
        digest protects yet.
    changed : tuple of int
        Rows (from 1) whose content is not that of their digest.
    faults : tuple of str
        What else is wrong.
    since : int or None
        How many rows follow the earlier head that was asked for; None where none was.
    """

    head: str
    n_votes: int
    n_erased: int
    n_unsealed: int
    changed: tuple[int, ...]
    faults: tuple[str, ...]
    since: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.changed and not self.faults

    def to_frame(self) -> pa.Table:
        """One row a fault: `row` (null where it is about the whole log) and `fault`."""
        rows = [*self.changed, *(None for _ in self.faults)]
        texts = [*("The content is not that of the digest." for _ in self.changed), *self.faults]
        return pa.table({"row": pa.array(rows, pa.int64()), "fault": pa.array(texts, pa.string())})

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, and `ok`."""
        return {
            "ok": self.ok,
            "head": self.head,
            "votes": self.n_votes,
            "erased": self.n_erased,
            "unsealed": self.n_unsealed,
            "changed": list(self.changed),
            "faults": list(self.faults),
            "since": self.since,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        said = "holds" if self.ok else f"is broken: {len(self.changed)} votes changed, {len(self.faults)} other faults"
        notes = [
            f"{self.n_votes:,} votes checked",
            *([f"{self.n_erased:,} erased"] if self.n_erased else []),
            *([f"{self.n_unsealed:,} not sealed"] if self.n_unsealed else []),
            *([f"{self.since:,} since the head given"] if self.since is not None else []),
        ]
        return f"Audit(the chain {said}; {', '.join(notes)}; head {self.head[:16]}...)"


def entry_digest(content: Sequence[Any], salt: bytes) -> bytes:
    """SHA-256 of a salt and of the content as a JSON array.

    Parameters
    ----------
    content : sequence of str, int, float, bool or None
    salt : bytes
    """
    text = json.dumps(list(content), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(salt + text.encode()).digest()


def chain_heads(digests: Iterable[bytes], start: bytes = START) -> Iterator[bytes]:
    """The head after each digest."""
    head = start
    for digest in digests:
        head = hashlib.sha256(head + digest).digest()
        yield head


def seal(graph: MoralGraph) -> MoralGraph:
    """The graph in which every vote has a salt and a digest; those that have them keep them."""
    table = graph.votes.table
    salts, digests = table["salt"].to_pylist(), table["digest"].to_pylist()
    for i, content in enumerate(_contents(graph.votes)):
        if digests[i] is None:
            salts[i] = secrets.token_bytes(SALT_BYTES)
            digests[i] = entry_digest(content, salts[i])
    for name, column in (("salt", salts), ("digest", digests)):
        table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), pa.array(column, pa.binary()))
    return replace(graph, votes=VoteLog(table))


def audit(graph: MoralGraph, *, head: str | None = None) -> Audit:
    """Check every vote against its digest, the erased rows against the tombstones, and the chain against a head.

    Parameters
    ----------
    head : str, optional
        A head of this log that was noted earlier.

    Raises
    ------
    UsageError
        If the head is not 64 hexadecimal digits.
    """
    wanted = None if head is None else _head_bytes(head)
    table, kept = graph.votes.table, graph.votes.kept
    salts, digests = table["salt"].to_pylist(), table["digest"].to_pylist()
    sealed = [digest for digest in digests if digest is not None]
    n_sealed = len(sealed)
    changed = tuple(
        i + 1
        for i, content in enumerate(_contents(graph.votes))
        if kept[i] and digests[i] is not None and (salts[i] is None or entry_digest(content, salts[i]) != digests[i])
    )
    faults = []
    if any(digest is None for digest in digests[:n_sealed]):
        faults.append("Votes without a digest stand before votes that have one.")
    n_erased = int((~kept).sum())
    if n_erased > sum(stone.n_votes for stone in graph.tombstones):
        faults.append("More rows were erased than the deletions account for.")
    heads = [START, *chain_heads(sealed)]
    since = None
    if wanted is not None:
        if wanted in heads:
            since = len(digests) - heads.index(wanted)
        else:
            faults.append("The log does not continue the one whose head was given.")
    n_votes = sum(1 for i in range(len(digests)) if kept[i] and digests[i] is not None)
    return Audit(heads[-1].hex(), n_votes, n_erased, len(digests) - n_sealed, changed, tuple(faults), since)


def _contents(votes: VoteLog) -> Iterator[tuple[Any, ...]]:
    """The content of each row; times as whole microseconds since 1970."""
    table = votes.table.select(_CONTENT)
    place = _CONTENT.index("time")
    table = table.set_column(place, "time", table["time"].cast(pa.int64()))
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _head_bytes(head: str) -> bytes:
    try:
        found = bytes.fromhex(head)
    except ValueError:
        found = b""
    if len(found) != len(START):
        raise UsageError(f"{head!r} is no head of a log.", fix="A head is 64 hexadecimal digits.")
    return found
