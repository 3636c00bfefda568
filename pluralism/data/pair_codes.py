"""Codes of items and users, from codes, texts, ids or labels given in code."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pluralism.data.arrays import Column
from pluralism.data.items import Items
from pluralism.data.labels import encode_labels, string_column
from pluralism.errors import DataError, UsageError

__all__ = ["pair_codes", "user_codes"]


def pair_codes(left: Column, right: Column, items: Items | None) -> tuple[Items, np.ndarray, np.ndarray]:
    """Items, left codes and right codes; see `Comparisons.from_arrays`."""
    first, second = np.asarray(left), np.asarray(right)
    if len(first) == 0:
        empty = np.zeros(0, dtype=np.int32)
        return items or Items(pa.array([], pa.large_string())), empty, empty
    if first.dtype.kind in "iu" and second.dtype.kind in "iu":
        if items is None:
            if min(first.min(), second.min()) < 0:
                raise DataError("Item codes must not be negative.", fix="Count items from 0.")
            n_items = int(max(first.max(), second.max())) + 1
            if n_items > 10 * (len(first) + 1000):
                raise DataError(
                    f"Integers in arrays are codes from 0, but the largest is {n_items - 1:,}.",
                    fix="Pass ids as strings, or read them with Comparisons.from_frame.",
                )
            items = Items(pa.array(np.arange(n_items)).cast(pa.large_string()))
        return items, first, second
    strings = pa.concat_arrays([string_column(left, "left"), string_column(right, "right")])
    if items is None:
        items = Items.from_texts(strings)
        codes, _ = encode_labels(strings)
    else:
        codes = items.index(strings)
        if codes.min() < 0:
            unknown = strings[int(np.argmin(codes))].as_py()
            raise DataError(f"There is no item with the id {unknown!r}.", fix="Pass items that hold every id.")
    return items, codes[: len(first)], codes[len(first) :]


def user_codes(user: Column | None, users: Column | None, n: int) -> tuple[Column, Column]:
    """Codes of the users of n rows, and labels of users; see `Comparisons.from_arrays`."""
    if users is None:
        return encode_labels(string_column(["all"] * n if user is None else user, "user"))
    if user is None:
        raise UsageError("users= lists the labels, but user= is missing.", fix="Pass user= codes as well.")
    return user, users
