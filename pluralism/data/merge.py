"""Joining sets of comparisons and changing their items: users and items are matched by label and id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pluralism.data.arrays import frozen
from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.data.labels import encode_labels, label_codes
from pluralism.errors import DataError, UsageError

__all__ = ["concat_comparisons", "merge_items", "moved_to_items", "same_comparisons", "without_unused"]


def merge_items(parts: Sequence[Items]) -> Items:
    """Union of items by id, in order of first appearance.

    Raises
    ------
    DataError
        If one id has different texts, prompts or covariates, or only some of the parts have features.
    """
    first = parts[0]
    if all(part is first or part.equals(first) for part in parts[1:]):
        return first
    if len({(part.texts is None, part.features is None, tuple(sorted(part.covariates))) for part in parts}) > 1:
        raise DataError(
            "Some of the items have texts, features or covariates that others lack.",
            fix="Join the data before embedding them, and give all items the same covariates.",
        )
    if len({(part.feature_space, part.dim) for part in parts}) > 1:
        raise UsageError(
            f"The features come from different encoders: {sorted({str(part.feature_space) for part in parts})}.",
            fix="Embed all parts with the same encoder and options.",
        )
    ids = pa.concat_arrays([part.ids for part in parts])
    codes, distinct = encode_labels(ids)
    rows = np.empty(len(distinct), dtype=np.int64)
    rows[codes[::-1]] = np.arange(len(codes))[::-1]
    columns: dict[str, Any] = {}
    for name in ("texts", "prompts"):
        given = [getattr(part, name) for part in parts]
        if any(column is not None for column in given):
            whole = pa.concat_arrays(
                [pa.nulls(len(p), pa.large_string()) if c is None else c for c, p in zip(given, parts, strict=True)]
            )
            columns[name] = whole.take(rows)
            _agree(encode_labels(whole)[0], rows, codes, ids, name)
    covariates = {}
    for name in first.covariates:
        values = np.concatenate([part.covariates[name] for part in parts])
        _agree(values, rows, codes, ids, name)
        covariates[name] = values[rows]
    merged = Items(distinct, columns.get("texts"), columns.get("prompts"), covariates=covariates)
    if first.features is None:
        return merged
    return merged.with_features(_joined_features(parts, rows), str(first.feature_space))


def concat_comparisons(parts: Sequence[Comparisons]) -> Comparisons:
    """Rows of all parts; see `Comparisons.concat`."""
    first = parts[0]
    if len(parts) == 1:
        return first
    names = {tuple(sorted(part.covariates)) for part in parts}
    if len(names) > 1:
        raise DataError(
            f"The parts have different covariates: {sorted(names)}.", fix="Give all parts the same covariates."
        )
    if len({part.origin for part in parts}) > 1:
        raise DataError(
            f"The parts have different origins: {sorted({part.origin for part in parts})}.",
            fix="Fit comparisons, ratings and rankings apart, or build one set with Comparisons(..., origin=...).",
        )
    items = merge_items([part.items for part in parts])
    users = pa.concat_arrays([part.users for part in parts]).unique()
    item_codes = [label_codes(part.items.ids, items.ids) for part in parts]
    user_codes = [label_codes(part.users, users) for part in parts]
    group, groups = _joined_labels(parts, "group", "groups")
    source, sources = _joined_labels(parts, "source", "sources")
    return Comparisons(
        items=items,
        users=users,
        user=np.concatenate([code[part.user] for code, part in zip(user_codes, parts, strict=True)]),
        left=np.concatenate([code[part.left] for code, part in zip(item_codes, parts, strict=True)]),
        right=np.concatenate([code[part.right] for code, part in zip(item_codes, parts, strict=True)]),
        outcome=np.concatenate([part.outcome for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
        group=group,
        groups=groups,
        time=_joined_times(parts),
        source=source,
        sources=sources,
        strength=_joined_strengths(parts),
        covariates={
            name: (
                np.concatenate([part.covariates[name][0] for part in parts]),
                np.concatenate([part.covariates[name][1] for part in parts]),
            )
            for name in first.covariates
        },
        origin=first.origin,
        faults=tuple(fault for part in parts for fault in part.faults),
    )


def moved_to_items(comparisons: Comparisons, items: Items) -> dict[str, Any]:
    """Changed columns of the same rows about other items; see `Comparisons.with_items`."""
    if items.ids.equals(comparisons.items.ids):
        return {"items": items}
    code = label_codes(comparisons.items.ids, items.ids)
    left, right = code[comparisons.left], code[comparisons.right]
    lost = np.unique(np.concatenate([comparisons.left[left < 0], comparisons.right[right < 0]]))
    if len(lost):
        raise DataError(
            f"{len(lost):,} items that are compared are not among the new items.",
            where="item ids " + ", ".join(repr(comparisons.items.ids[int(row)].as_py()) for row in lost[:5]),
            fix="Pass items that hold every id of comparisons.compact().items.",
        )
    return {"items": items, "left": frozen(left), "right": frozen(right)}


def without_unused(comparisons: Comparisons) -> dict[str, Any]:
    """Changed columns of the same rows without unused users and items; see `Comparisons.compact`."""
    user_codes, user = np.unique(comparisons.user, return_inverse=True)
    item_codes, item = np.unique(np.concatenate([comparisons.left, comparisons.right]), return_inverse=True)
    left, right = np.split(item.astype(np.int32), 2)
    items = comparisons.items
    return {
        "users": comparisons.users.take(user_codes),
        "user": frozen(user.astype(np.int32)),
        "items": items if len(item_codes) == len(items) else items.take(item_codes),
        "left": frozen(left),
        "right": frozen(right),
    }


def same_comparisons(a: Comparisons, b: Comparisons) -> bool:
    """Whether two sets have the same columns, labels and items, in the same order."""

    def same(x: Any, y: Any) -> bool:
        if x is None or y is None:
            return x is y
        if isinstance(x, np.ndarray):
            return x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind in "fM")
        return bool(x.equals(y))

    columns = ("user", "left", "right", "outcome", "weight", "group", "time", "source", "strength")
    return (
        all(same(getattr(a, name), getattr(b, name)) for name in (*columns, "users", "groups", "sources", "items"))
        and a.covariates.keys() == b.covariates.keys()
        and all(
            same(x, y) for name in a.covariates for x, y in zip(a.covariates[name], b.covariates[name], strict=True)
        )
        and a.origin == b.origin
    )


def _agree(values: np.ndarray, rows: np.ndarray, codes: np.ndarray, ids: pa.LargeStringArray, name: str) -> None:
    differ = np.flatnonzero(values != values[rows][codes])
    if len(differ):
        raise DataError(
            f"The item {ids[int(differ[0])].as_py()!r} has different {name} in the parts that are joined.",
            fix="Give different items different ids.",
        )


def _joined_features(parts: Sequence[Items], rows: np.ndarray) -> np.ndarray:
    dtype = np.result_type(*[part.features for part in parts if part.features is not None])
    features = np.empty((len(rows), parts[0].dim), dtype=dtype)
    offset = 0
    for part in parts:
        mine = np.flatnonzero((rows >= offset) & (rows < offset + len(part)))
        if part.features is not None:
            features[mine] = part.features[rows[mine] - offset]
        offset += len(part)
    return features


def _joined_labels(
    parts: Sequence[Comparisons], column: str, labels: str
) -> tuple[np.ndarray | None, pa.LargeStringArray | None]:
    if all(getattr(part, column) is None for part in parts):
        return None, None
    known = pa.concat_arrays([getattr(part, labels) for part in parts if getattr(part, labels) is not None]).unique()
    codes = []
    for part in parts:
        code = np.full(len(part), -1, dtype=np.int32)
        if getattr(part, column) is not None:
            # The row -1 of the longer table stands for "unknown".
            table = np.append(label_codes(getattr(part, labels), known), np.int32(-1))
            code = table[getattr(part, column)]
        codes.append(code)
    return np.concatenate(codes), known


def _joined_times(parts: Sequence[Comparisons]) -> np.ndarray | None:
    kinds = {part.time.dtype.kind for part in parts if part.time is not None}
    if not kinds:
        return None
    if len(kinds) > 1:
        raise DataError("Some parts have dates as times and others numbers.", fix="Convert them to one kind.")
    unknown = np.array("NaT", dtype="datetime64[us]") if kinds == {"M"} else np.array(np.nan)
    return np.concatenate([np.full(len(part), unknown) if part.time is None else part.time for part in parts])


def _joined_strengths(parts: Sequence[Comparisons]) -> np.ndarray | None:
    if all(part.strength is None for part in parts):
        return None
    return np.concatenate([np.full(len(part), np.nan) if part.strength is None else part.strength for part in parts])
