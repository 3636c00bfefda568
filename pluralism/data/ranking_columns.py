"""The file contract of rankings: two layouts in, `Rankings` out, and back.

Long, one row for each entry of a ballot (the only layout for CSV):

=========== =======================================================================================
column      meaning
=========== =======================================================================================
user        who ranks; may be left out if there is a column `ballot`, each of which is then one user
item        the text or, with items, its id; integers without items are ids of items without text
rank        a number: lower is better, equal ranks are ties
ballot      which ballot the entry belongs to (optional; without it each user casts one)
prompt      what the text answers (optional; empty = none)
weight      how many voters cast this ballot, 0 or more (optional, 1)
group       a known group of the user (optional, empty = unknown)
=========== =======================================================================================

List, one row for each ballot (Parquet, JSON lines, Arrow, frames): the columns `user`, `ranking` and perhaps `weight`
and `group`. `ranking` lists texts or ids, best first; a list within the list is a group of ties.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluralism.data.columns import number_column, require_columns, warn_of_misspellings
from pluralism.data.faults import FaultLog
from pluralism.data.item_columns import item_labels, item_reader
from pluralism.data.items import Items
from pluralism.data.labels import clean_labels, encode_labels
from pluralism.data.optional_columns import arrow_labels
from pluralism.data.rankings import Rankings, repeated_entries
from pluralism.data.sources import RawColumn, Source, raw_column
from pluralism.errors import DataError, UsageError

__all__ = ["rankings_from_source", "rankings_table"]

_CONTRACT = "Rankings have the columns user, item, rank, or user, ranking; optionally ballot, weight, group, prompt."


def rankings_from_source(
    source: Source,
    *,
    items: Items | None = None,
    columns: Mapping[str, str] | None = None,
    texts: bool | None = None,
    strict: bool = True,
) -> Rankings:
    """Read the contract; the arguments are those of `Rankings.read`."""
    source = source.renamed(columns)
    if "ranking" in source:
        require_columns(source, ("user", "ranking"), _CONTRACT)
        warn_of_misspellings(source, ("user", "ranking", "weight", "group"))
        return _read_lists(source, items, texts, strict)
    if "user" not in source and "ballot" in source:
        source = replace(source, columns=source.columns | {"user": source["ballot"]})
    require_columns(source, ("user", "item", "rank"), _CONTRACT)
    warn_of_misspellings(source, ("user", "item", "rank", "ballot", "prompt", "weight", "group"))
    return _read_long(source, items, texts, strict)


def rankings_table(rankings: Rankings, layout: str, as_ids: bool | None = None) -> pa.Table:
    """The columns of one of the layouts; see `Rankings.to_arrow`."""
    if layout not in ("long", "list"):
        raise UsageError(f"Unknown layout {layout!r}.", fix="Use layout='long' or layout='list'.")
    labels, note = item_labels(rankings.items, as_ids)
    notes = {"pluralism.items": note}
    if rankings.levels is not None:
        notes["pluralism.levels"] = json.dumps(rankings.levels)
    if layout == "list":
        return _list_table(rankings, labels, note).replace_schema_metadata(notes)
    ballot, item = rankings.ballot, pa.array(rankings.item)
    columns: dict[str, Any] = {
        "ballot": pa.array(ballot + 1),
        "user": rankings.users.take(pa.array(rankings.user[ballot])),
        "item": labels.take(item),
        "rank": pa.array(rankings.rank.astype(np.int64) + 1),
    }
    if note == "texts" and rankings.items.prompts is not None:
        columns["prompt"] = rankings.items.prompts.take(item)
    if np.any(rankings.weight != 1):
        columns["weight"] = pa.array(rankings.weight[ballot])
    if rankings.group is not None:
        columns["group"] = arrow_labels(rankings.group[ballot], rankings.groups)
    return pa.table(columns).replace_schema_metadata(notes)


def _list_table(rankings: Rankings, labels: pa.LargeStringArray, note: str) -> pa.Table:
    if note == "texts" and rankings.items.prompts is not None:
        raise UsageError("The list layout has no prompts.", fix="Use layout='long', or as_ids=True and items.write().")
    if rankings.levels is not None:
        raise UsageError("The list layout has no named levels.", fix="Use layout='long', or write a .cat file.")
    starts = np.flatnonzero(rankings._opens_tie())
    bounds = np.append(starts, len(rankings.item))
    ties = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), labels.take(pa.array(rankings.item)))
    ballots = pa.ListArray.from_arrays(pa.array(np.searchsorted(starts, rankings.indptr), pa.int32()), ties)
    columns: dict[str, Any] = {"user": rankings.users.take(pa.array(rankings.user)), "ranking": ballots}
    if np.any(rankings.weight != 1):
        columns["weight"] = pa.array(rankings.weight)
    if rankings.group is not None:
        columns["group"] = arrow_labels(rankings.group, rankings.groups)
    return pa.table(columns)


def _read_long(source: Source, items: Items | None, texts: bool | None, strict: bool) -> Rankings:
    log = source.log()
    n = source.n_rows
    user = clean_labels(source["user"], log, "user")
    ballot_label = clean_labels(source["ballot"], log, "ballot") if "ballot" in source else user
    resolve = item_reader(source, ("item",), items, texts, log)
    rank = number_column(source, "rank", log)
    weight = number_column(source, "weight", log, low=0) if "weight" in source else np.ones(n)
    group = clean_labels(source["group"], log, "group", nullable=True) if "group" in source else None
    good = log.good
    ballot, _ = encode_labels(ballot_label)
    rows = np.flatnonzero(good)
    first = _first_of(ballot)
    user_codes, _ = encode_labels(user)
    group_codes = None if group is None else encode_labels(group)[0]
    for name, values in (("user", user_codes), ("weight", weight), ("group", group_codes)):
        if values is not None:
            differ = np.zeros(n, dtype=bool)
            differ[rows] = values[rows] != values[first[ballot[rows]]]
            _log_conflict(log, differ, name)
    # Which rows repeat an item is known only when the items are: codes are given to all rows that are good so far.
    rows = np.flatnonzero(log.good)
    _, (item,) = resolve(log.good.copy())
    key = ballot[rows].astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    repeated = np.ones(len(rows), dtype=bool)
    repeated[np.unique(key, return_index=True)[1]] = False
    log.add(rows[repeated], "repeated items", "item", "A ballot ranks an item twice.", "Keep one entry of each item.")
    good, faults = log.settle(strict=strict)
    vocabulary, (item,) = resolve(good)
    keep = pa.array(good)
    ballot, labels = encode_labels(ballot_label.filter(keep))
    order = np.lexsort((rank[good], ballot))
    first = _first_of(ballot)
    levels = json.loads(source.metadata["pluralism.levels"]) if "pluralism.levels" in source.metadata else None
    codes, users = encode_labels(user.filter(keep))
    return Rankings(
        items=vocabulary,
        users=users,
        user=codes[first],
        indptr=_bounds(np.bincount(ballot, minlength=len(labels))),
        item=item[order],
        rank=rank[good][order].astype(np.int64) - 1 if levels else _dense(ballot[order], rank[good][order]),
        weight=weight[good][first],
        group=None if group is None else group.filter(keep).take(pa.array(first)),
        levels=levels,
        faults=faults,
    )


def _read_lists(source: Source, items: Items | None, texts: bool | None, strict: bool) -> Rankings:
    log = source.log()
    n = source.n_rows
    user = clean_labels(source["user"], log, "user")
    weight = number_column(source, "weight", log, low=0) if "weight" in source else np.ones(n)
    group = clean_labels(source["group"], log, "group", nullable=True) if "group" in source else None
    ballot, tie, flat = _flattened(source["ranking"], source.name)
    log.add(
        np.bincount(ballot, minlength=n) == 0,
        "missing values",
        "ranking",
        "A ballot ranks nothing.",
        "Leave out empty ballots.",
    )
    entries = Source(source.name, {"ranking": flat}, len(ballot), source.metadata)
    inner = entries.log()
    resolve = item_reader(entries, ("ranking",), items, texts, inner)
    for fault in inner.faults:
        log.add(ballot[fault.rows], fault.kind, fault.column, fault.what, fault.fix)
    rows = np.flatnonzero(inner.good)
    _, (item,) = resolve(inner.good.copy())
    log.add(
        ballot[rows[repeated_entries(ballot[rows], item)]],
        "repeated items",
        "ranking",
        "A ballot ranks an item twice.",
        "Keep one entry of each item.",
    )
    good, faults = log.settle(strict=strict)
    keep = pa.array(good)
    vocabulary, (item,) = resolve(good[ballot])
    ballot, tie = ballot[good[ballot]], tie[good[ballot]]
    codes, users = encode_labels(user.filter(keep))
    return Rankings(
        items=vocabulary,
        users=users,
        user=codes,
        indptr=_bounds(np.bincount(ballot, minlength=n)[good]),
        item=item,
        rank=_dense(ballot, tie),
        weight=weight[good],
        group=None if group is None else group.filter(keep),
        faults=faults,
    )


def _flattened(raw: RawColumn, source: str) -> tuple[np.ndarray, np.ndarray, RawColumn]:
    """Ballot, tie group and label of each entry of a column of lists, or of lists of lists."""
    if isinstance(raw, list):
        raw = raw_column([_nested(value) for value in raw])
    if not isinstance(raw, list) and pa.types.is_null(raw.type):
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, raw_column(pa.array([], pa.large_string()))
    if isinstance(raw, list) or not _is_list(raw.type):
        raise DataError(
            "Column 'ranking' must hold lists: texts or ids, best first, with lists inside for ties.",
            where=f"{source}, column 'ranking'",
            fix="Write lists (Parquet, JSON lines), or use the long layout user, item, rank.",
        )
    column = raw.combine_chunks()
    column = column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
    ballot = pc.list_parent_indices(column).to_numpy().astype(np.int64)
    flat = pc.list_flatten(column)
    position = np.arange(len(ballot))
    if not _is_list(flat.type):
        return ballot, position, raw_column(flat)
    parent = pc.list_parent_indices(flat).to_numpy().astype(np.int64)
    return ballot[parent], position[parent], raw_column(pc.list_flatten(flat))


def _nested(value: Any) -> Any:
    """A ballot with every entry a list of ties."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return value
    return [list(entry) if isinstance(entry, (list, tuple, np.ndarray)) else [entry] for entry in value]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _log_conflict(log: FaultLog, differ: np.ndarray, name: str) -> None:
    log.add(
        differ,
        "conflicting values",
        name,
        f"The entries of one ballot differ in {name!r}.",
        f"Give all entries of a ballot the same {name!r}, or add a column 'ballot' that tells ballots apart.",
    )


def _first_of(codes: np.ndarray) -> np.ndarray:
    """The first row of each code; codes are dense, in order of first appearance, perhaps with -1."""
    first = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    given = np.flatnonzero(codes >= 0)
    first[codes[given][::-1]] = given[::-1]
    return first


def _bounds(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _dense(ballot: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Ranks 0, 1, ... within each ballot; entries are sorted by ballot and rank."""
    if len(ballot) == 0:
        return np.zeros(0, dtype=np.int32)
    opens_ballot = np.diff(ballot, prepend=ballot[0] - 1) != 0
    steps = np.cumsum(opens_ballot | (np.diff(rank, prepend=rank[0]) != 0))
    return steps - steps[np.flatnonzero(opens_ballot)][np.cumsum(opens_ballot) - 1]
