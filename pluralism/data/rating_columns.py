"""The file contract of ratings: columns in, `Ratings` out, and back, and into comparisons.

=========== =======================================================================================
column      meaning
=========== =======================================================================================
user        who rates: a string or an integer
item        the text or, with items, its id; integers without items are ids of items without text
value       the value given, a number; higher is more or better
attribute   what is rated of the item (optional, "rating")
prompt      what the text answers (optional; empty = none)
weight      how many times the row counts, 0 or more (optional, 1)
group       a known group of the user (optional, empty = unknown)
time        a number, a date or a datetime (optional, empty = unknown)
=========== =======================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pluralism.block_pairs import pairs_within, random_sides
from pluralism.data.columns import number_column, require_columns, time_column, warn_of_misspellings
from pluralism.data.comparisons import Comparisons
from pluralism.data.item_columns import item_labels, item_reader
from pluralism.data.items import Items
from pluralism.data.labels import clean_labels, encode_labels
from pluralism.data.optional_columns import arrow_labels, arrow_times
from pluralism.data.ratings import Ratings, Scale, scale_bounds, scale_of
from pluralism.data.sources import Source
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["comparisons_from_ratings", "ratings_from_source", "ratings_table"]

_CONTRACT = "Ratings have the columns user, item, value, and optionally attribute, prompt, weight, group, time."
_OPTIONAL = ("attribute", "prompt", "weight", "group", "time")


def ratings_from_source(
    source: Source,
    *,
    items: Items | None = None,
    columns: Mapping[str, str] | None = None,
    texts: bool | None = None,
    scale: Scale | None = None,
    strict: bool = True,
) -> Ratings:
    """Read the contract; the arguments are those of `Ratings.read`."""
    source = source.renamed(columns)
    require_columns(source, ("user", "item", "value"), _CONTRACT)
    warn_of_misspellings(source, ("user", "item", "value", *_OPTIONAL))
    log = source.log()
    n = source.n_rows
    user = clean_labels(source["user"], log, "user")
    resolve = item_reader(source, ("item",), items, texts, log)
    value = number_column(source, "value", log)
    weight = number_column(source, "weight", log, low=0) if "weight" in source else np.ones(n)
    time = time_column(source, "time", log)
    group = clean_labels(source["group"], log, "group", nullable=True) if "group" in source else None
    rated = (
        clean_labels(source["attribute"], log, "attribute")
        if "attribute" in source
        else pa.array(["rating"] * n, pa.large_string())
    )
    codes, names = encode_labels(rated)
    known = names.drop_null().to_pylist()
    scales = scale_of(scale, known)
    low, high = scale_bounds(scales, names.to_pylist())
    if len(names):
        log.add(
            (codes >= 0) & ((value < low[codes]) | (value > high[codes])),
            "value range",
            "value",
            "Column 'value' has values outside the scale.",
            f"Correct the values, or the scale {dict(scales)}.",
            lambda row: value[row],
        )
    good, faults = log.settle(strict=strict)
    keep = pa.array(good)
    vocabulary, (item,) = resolve(good)
    user_codes, users = encode_labels(user.filter(keep))
    attribute, attributes = encode_labels(rated.filter(keep))
    return Ratings(
        items=vocabulary,
        users=users,
        user=user_codes,
        item=item,
        value=value[good],
        attribute=attribute,
        attributes=attributes if len(attributes) else None,
        weight=weight[good],
        group=None if group is None else group.filter(keep),
        time=None if time is None else time[good],
        scale={name: bounds for name, bounds in scales.items() if name in attributes.to_pylist()},
        faults=faults,
    )


def ratings_table(ratings: Ratings, as_ids: bool | None = None) -> pa.Table:
    """The columns of the contract; see `Ratings.to_arrow`."""
    labels, note = item_labels(ratings.items, as_ids)
    item = pa.array(ratings.item)
    columns: dict[str, Any] = {"user": ratings.users.take(pa.array(ratings.user))}
    if note == "texts" and ratings.items.prompts is not None:
        columns["prompt"] = ratings.items.prompts.take(item)
    columns |= {"item": labels.take(item), "value": pa.array(ratings.value)}
    if ratings.attributes.to_pylist() != ["rating"]:
        columns["attribute"] = ratings.attributes.take(pa.array(ratings.attribute))
    if np.any(ratings.weight != 1):
        columns["weight"] = pa.array(ratings.weight)
    if ratings.group is not None:
        columns["group"] = arrow_labels(ratings.group, ratings.groups)
    if ratings.time is not None:
        columns["time"] = arrow_times(ratings.time)
    return pa.table(columns).replace_schema_metadata({"pluralism.items": note})


def comparisons_from_ratings(
    ratings: Ratings, within: str, attribute: str | None, max_pairs_per_user: int | None, rng: RNG
) -> Comparisons:
    """All pairs of a user's ratings; see `Ratings.to_comparisons`."""
    if within not in ("user", "prompt"):
        raise UsageError(f"Cannot compare within {within!r}.", fix="Use within='user' or within='prompt'.")
    ratings = ratings.on_one_attribute(attribute)
    generator = as_generator(rng, "rating pairs")
    block = ratings.user.astype(np.int64)
    if within == "prompt":
        prompt = ratings.items.prompt_codes()[ratings.item].astype(np.int64)
        block = block * (int(prompt.max(initial=-1)) + 2) + prompt + 1
    order = np.argsort(block, kind="stable")
    _, starts, sizes = np.unique(block[order], return_index=True, return_counts=True)
    number, first, second = pairs_within(sizes, max_pairs_per_user, generator)
    first, second = order[starts[number] + first], order[starts[number] + second]
    other = ratings.item[first] != ratings.item[second]
    left, right = random_sides(first[other], second[other], generator)
    difference = ratings.value[left] - ratings.value[right]
    return Comparisons(
        items=ratings.items,
        users=ratings.users,
        user=ratings.user[left],
        left=ratings.item[left],
        right=ratings.item[right],
        outcome=(np.sign(difference) + 1) / 2,
        weight=np.sqrt(ratings.weight[left] * ratings.weight[right]),
        group=None if ratings.group is None else ratings.group[left],
        groups=ratings.groups,
        time=None if ratings.time is None else np.maximum(ratings.time[left], ratings.time[right]),
        strength=np.abs(difference),
        origin="ratings",
        faults=ratings.faults,
    )
