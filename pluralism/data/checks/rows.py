"""Rows that repeat, contradict each other, do not count, or are out of order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pluralism.data.checks.view import SHOWN, RowView, View, not_tested
from pluralism.data.report import Check, tell

__all__ = ["contradictory_duplicates", "exact_duplicates", "repeated_rows", "time_order", "zero_weights"]


def exact_duplicates(view: View) -> Check:
    """Rows that are the same as an earlier one in user, left, right, outcome, time and source."""
    data = view.data
    columns = [data.outcome, data.right, data.left, data.user]
    columns += [] if data.source is None else [data.source]
    columns += [] if data.time is None else [data.time]
    return repeated_rows(view, columns)


def repeated_rows(view: RowView, columns: Sequence[np.ndarray]) -> Check:
    """Rows that are the same as an earlier one in all these columns."""
    order = np.lexsort([column.view(np.int64) if column.dtype.itemsize == 8 else column for column in columns])
    same = np.zeros(len(order), dtype=bool)
    same[1:] = True
    for column in columns:
        bits = column.view(np.int64) if column.dtype.itemsize == 8 else column
        same[1:] &= bits[order[1:]] == bits[order[:-1]]
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    repeats = order[same]
    by_row = np.argsort(repeats)
    repeats, original = repeats[by_row], order[first[same]][by_row]
    n = len(repeats)
    return Check(
        "exact duplicates",
        "warning",
        n == 0,
        f"{tell(n, 'row', 'repeat')} an earlier row exactly." if n else "No row repeats an earlier one.",
        count=n,
        share=view.share(n),
        samples=view.show(repeats, same_as_row=[int(row) for row in view.rows[original[:SHOWN]]]),
        fix="Drop the copies, or, if people really answered twice, keep one row with weight 2.",
    )


def contradictory_duplicates(view: View) -> Check:
    """Rows in which a user preferred one item of a pair, and the other item in another row."""
    n_cells = int(view.user_pair.max(initial=-1)) + 1
    for_first = np.bincount(view.user_pair[view.answer > 0], minlength=n_cells) > 0
    for_second = np.bincount(view.user_pair[view.answer < 0], minlength=n_cells) > 0
    torn = for_first & for_second
    rows = np.flatnonzero(torn[view.user_pair] & (view.answer != 0)) if n_cells else np.empty(0, dtype=np.int64)
    rows = rows[np.lexsort((rows, view.user_pair[rows]))]
    n, n_pairs = len(rows), int(torn.sum())
    who = "the same user" if view.known_users else "rows without a user"
    return Check(
        "contradictory duplicates",
        "warning",
        n == 0,
        f"{tell(n, 'row', 'contradict')} another: {who} preferred either item of {tell(n_pairs, 'pair')} at least once."
        if n
        else "Nobody prefers both items of a pair.",
        count=n,
        share=view.share(n),
        samples=view.show(rows),
        fix="Keep them if people may change their minds (they measure noise); if several people share a label, give "
        "each a label.",
        measures={"pairs": n_pairs},
    )


def zero_weights(view: RowView) -> Check:
    """Rows that do not count."""
    rows = np.flatnonzero(view.data.weight == 0)
    n = len(rows)
    everything = n == len(view.data) and n > 0
    return Check(
        "weights of zero",
        "error" if everything else "warning",
        n == 0,
        f"{tell(n, 'row', 'have')} weight 0{': nothing counts' if everything else ''}."
        if n
        else "All rows have a positive weight.",
        count=n,
        share=view.share(n),
        samples=view.show(rows),
        fix="Remove these rows, or give them a positive weight.",
    )


def time_order(view: RowView, time: np.ndarray | None) -> Check:
    """Rows that are earlier than the row before them."""
    name = "time order"
    if time is None:
        return not_tested(name, "there is no column 'time'")
    known = np.flatnonzero(~(np.isnat(time) if time.dtype.kind == "M" else np.isnan(time)))
    if len(known) == 0:
        return not_tested(name, "no row has a time")
    late = known[1:][time[known[1:]] < time[known[:-1]]]
    n, unknown = len(late), len(time) - len(known)
    gaps = f" {tell(unknown, 'row', 'have')} no time." if unknown else ""
    return Check(
        name,
        "warning",
        n == 0,
        (f"{tell(n, 'row', 'are')} earlier than the row before." if n else "Rows are in order of time.") + gaps,
        count=n,
        share=view.share(n),
        samples=view.show(late, time=[str(value) for value in time[late[:SHOWN]]]),
        fix="Sort the rows by time where the order matters (drift, learning effects); models here do not use it.",
        measures={"rows_without_time": unknown},
    )
