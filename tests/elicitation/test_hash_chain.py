"""The hash chain: it notices what was changed, moved or left out, and outlives deletions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from moral_graphs import vote

from pluralism.elicitation.hash_chain import START, audit, chain_heads, entry_digest, seal
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.vote_log import SCHEMA, VoteLog
from pluralism.errors import UsageError


def altered(graph: MoralGraph, column: str, row: int, value: Any) -> MoralGraph:
    values = graph.votes.table[column].to_pylist()
    values[row] = value
    place = SCHEMA.get_field_index(column)
    table = graph.votes.table.set_column(place, SCHEMA.field(column), pa.array(values, SCHEMA.field(column).type))
    return replace(graph, votes=VoteLog(table))


def test_the_chain_by_hand() -> None:
    assert entry_digest(["a", None, 3], b"s") == hashlib.sha256(b's["a",null,3]').digest()
    one, two = chain_heads([b"x" * 32, b"y" * 32])
    assert one == hashlib.sha256(START + b"x" * 32).digest()
    assert two == hashlib.sha256(one + b"y" * 32).digest()


def test_a_sealed_log_holds_and_grows(graph: MoralGraph) -> None:
    assert audit(graph).n_unsealed == 200 and audit(graph).head == START.hex()
    sealed = seal(graph)
    found = audit(sealed)
    assert found.ok and found.n_votes == 200 and found.n_unsealed == 0
    assert seal(sealed).votes.table.equals(sealed.votes.table)
    grown = seal(sealed.with_votes([vote("new", "a", "b")]))
    again = audit(grown, head=found.head)
    assert again.ok and again.since == 1 and again.head != found.head
    assert audit(grown, head=START.hex()).since == 201
    # two sealings of one log have salts of their own, so that digests do not give votes away
    assert audit(seal(graph)).head != found.head


@pytest.mark.parametrize(("column", "value"), [("answer", "not_sure"), ("comment", "?"), ("participant", "p9")])
def test_a_changed_vote_is_found(graph: MoralGraph, column: str, value: str) -> None:
    found = audit(altered(seal(graph), column, 17, value))
    assert found.changed == (18,) and not found.ok
    assert found.to_frame()["row"].to_pylist() == [18]


def test_moved_and_missing_votes_break_the_head(graph: MoralGraph) -> None:
    sealed = seal(graph)
    head = audit(sealed).head
    table = sealed.votes.table
    for rows in ([1, 0, *range(2, 200)], range(199), [*range(50), *range(51, 200)]):
        tampered = replace(sealed, votes=VoteLog(table.take(list(rows))))
        assert audit(tampered).ok  # alone it is whole
        assert not audit(tampered, head=head).ok
    unsealed = altered(altered(sealed, "digest", 3, None), "salt", 3, None)
    assert "without a digest" in audit(unsealed).faults[0]


def test_deletion_keeps_the_chain_and_needs_a_tombstone(graph: MoralGraph) -> None:
    sealed = seal(graph)
    head = audit(sealed).head
    forgotten = sealed.forget("p3")
    found = audit(forgotten, head=head)
    assert found.ok and found.since == 0 and found.n_erased == forgotten.tombstones[0].n_votes
    assert found.n_votes + found.n_erased == 200
    assert len(forgotten.votes) == 200 and len(graph.forget("p3").votes) == found.n_votes
    rows = forgotten.votes.table.filter(pa.array(~forgotten.votes.kept)).to_pylist()
    assert all(set(k for k, v in row.items() if v is not None) == {"digest"} for row in rows)
    secretly = replace(forgotten, tombstones=())
    assert "deletions account for" in audit(secretly).faults[0]


def test_a_head_is_64_digits(graph: MoralGraph) -> None:
    with pytest.raises(UsageError, match="no head"):
        audit(graph, head="abc")
