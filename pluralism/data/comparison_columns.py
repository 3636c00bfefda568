"""The file contract of comparisons: columns in, `Comparisons` out, and back.

=========== ============================================================================================
column      meaning
=========== ============================================================================================
user        who judges: a string or an integer
left, right the two texts or, with items, their ids; integers without items are ids of items without text
outcome     number in [0, 1], 1 = left preferred, 0.5 = tie; or the words left, right, tie
chosen,     instead of left, right and outcome: the preferred text and the other
rejected
prompt      what both texts answer (optional; empty = none; with items, the items' own prompts hold)
weight      how many times the row counts, 0 or more (optional, 1)
group       a known group of the user, for reports by group (optional, empty = unknown)
time        a number, a date or a datetime (optional, empty = unknown)
source      where the row comes from (optional, empty = unknown)
strength    how much better, 0 or more (optional, empty = unknown)
left.x,     numbers that describe either side as shown; a missing side counts as 0
right.x
=========== ============================================================================================

Other columns are ignored; one that is spelt almost like a column of this table is warned of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

from pluralism.data.columns import (
    covariate_names,
    number_column,
    optional_numbers,
    outcome_column,
    require_columns,
    time_column,
    warn_of_misspellings,
)
from pluralism.data.comparisons import Comparisons
from pluralism.data.faults import FaultLog
from pluralism.data.item_columns import item_labels, item_reader
from pluralism.data.items import Items
from pluralism.data.labels import clean_labels, encode_labels
from pluralism.data.optional_columns import arrow_labels, arrow_times
from pluralism.data.sources import Source
from pluralism.errors import DataError, UsageError

__all__ = ["CONTRACT", "comparisons_from_source", "comparisons_table", "same_prompts"]

CONTRACT = (
    "Comparisons have the columns user, left, right, outcome (or user, chosen, rejected), and optionally prompt, "
    "weight, group, time, source, strength."
)
_OPTIONAL = ("prompt", "weight", "group", "time", "source", "strength")


def comparisons_from_source(
    source: Source,
    *,
    items: Items | None = None,
    columns: Mapping[str, str] | None = None,
    user: str | None = None,
    texts: bool | None = None,
    strict: bool = True,
    log: FaultLog | None = None,
) -> Comparisons:
    """Read the contract; the arguments are those of `Comparisons.read`, and a log of faults already found."""
    source = source.renamed(columns)
    left, right = _layout(source)
    needed = (left, right) if left == "chosen" else (left, right, "outcome")
    require_columns(
        source,
        needed if user is not None else ("user", *needed),
        CONTRACT,
        fixes={"user": "If one user made all judgements, pass user='all'."},
    )
    warn_of_misspellings(source, ("user", *needed, *_OPTIONAL))
    if user is not None and "user" in source:
        raise UsageError(f"There is a column 'user', and user={user!r} as well.", fix="Leave out user=.")
    log = source.log() if log is None else log
    n = source.n_rows
    labels = pa.array([user] * n, pa.large_string()) if user is not None else clean_labels(source["user"], log, "user")
    resolve = item_reader(source, (left, right), items, texts, log)
    outcome = np.ones(n) if left == "chosen" else outcome_column(source, "outcome", log)
    weight = number_column(source, "weight", log, low=0) if "weight" in source else np.ones(n)
    time = time_column(source, "time", log)
    strength = optional_numbers(source, "strength", log, low=0)
    names = covariate_names(source.columns)
    covariates = {name: (_side(source, f"left.{name}", log), _side(source, f"right.{name}", log)) for name in names}
    found = {
        name: clean_labels(source[name], log, name, nullable=True) for name in ("group", "source") if name in source
    }
    good, faults = log.settle(strict=strict)
    vocabulary, (left_codes, right_codes) = resolve(good)
    codes, users = encode_labels(labels.filter(pa.array(good)))
    return Comparisons(
        items=vocabulary,
        users=users,
        user=codes,
        left=left_codes,
        right=right_codes,
        outcome=outcome[good],
        weight=weight[good],
        group=found["group"].filter(pa.array(good)) if "group" in found else None,
        time=None if time is None else time[good],
        source=found["source"].filter(pa.array(good)) if "source" in found else None,
        strength=None if strength is None else strength[good],
        covariates={name: (a[good], b[good]) for name, (a, b) in covariates.items()},
        origin=_origin(source),
        faults=faults,
    )


def comparisons_table(comparisons: Comparisons, as_ids: bool | None = None) -> pa.Table:
    """The columns of the contract; see `Comparisons.to_arrow`."""
    data, items = comparisons, comparisons.items
    labels, note = item_labels(items, as_ids)
    columns: dict[str, Any] = {"user": data.users.take(pa.array(data.user))}
    if note == "texts" and items.prompts is not None:
        columns["prompt"] = items.prompts.take(pa.array(same_prompts(data)))
    columns |= {"left": labels.take(pa.array(data.left)), "right": labels.take(pa.array(data.right))}
    columns["outcome"] = pa.array(data.outcome)
    if np.any(data.weight != 1):
        columns["weight"] = pa.array(data.weight)
    for name, codes, known in (("group", data.group, data.groups), ("source", data.source, data.sources)):
        if codes is not None and known is not None:
            columns[name] = arrow_labels(codes, known)
    if data.time is not None:
        columns["time"] = arrow_times(data.time)
    if data.strength is not None:
        columns["strength"] = pa.array(data.strength, mask=np.isnan(data.strength))
    for name, (a, b) in data.covariates.items():
        columns |= {f"left.{name}": pa.array(a), f"right.{name}": pa.array(b)}
    notes = {"pluralism.items": note, "pluralism.origin": data.origin}
    return pa.table(columns).replace_schema_metadata(notes)


def same_prompts(data: Comparisons) -> Int32[np.ndarray, " pairs"]:
    """Left items, after making sure that both items of each row have the same prompt."""
    prompt = data.items.prompt_codes()
    differ = np.flatnonzero(prompt[data.left] != prompt[data.right])
    if len(differ):
        raise UsageError(
            f"In {len(differ):,} rows the two texts answer different prompts, for which there is no column.",
            where=f"row {differ[0] + 1}",
            fix="Keep the rows with one prompt, or write ids with as_ids=True and the items with items.write(path).",
        )
    return data.left


def _layout(source: Source) -> tuple[str, str]:
    preference = [name for name in ("chosen", "rejected") if name in source]
    sides = [name for name in ("left", "right", "outcome") if name in source]
    if preference and sides:
        raise DataError(
            f"There are columns of both layouts: {', '.join(map(repr, preference + sides))}.",
            where=source.name,
            fix="Keep left, right and outcome, or chosen and rejected, and drop the others.",
        )
    return ("chosen", "rejected") if preference else ("left", "right")


def _side(source: Source, name: str, log: FaultLog) -> np.ndarray:
    return number_column(source, name, log) if name in source else np.zeros(source.n_rows)


def _origin(source: Source) -> Any:
    origin = source.metadata.get("pluralism.origin", "comparisons")
    return origin if origin in ("ratings", "rankings", "votes") else "comparisons"
