"""Faults of single rows, as found by the readers, as checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from pluralism.data.checks.view import SHOWN
from pluralism.data.report import Check
from pluralism.data.validate import Fault

__all__ = ["COMPARISON_FAULTS", "RANKING_FAULTS", "RATING_FAULTS", "fault_checks", "good_rows"]

_COMMON = {
    "missing values": "No cell that must be filled is empty or NaN.",
    "numbers": "All numbers can be read.",
    "weight range": "All weights are finite and not negative.",
    "times": "All times can be read.",
    "ids": "All users and items have usable ids.",
    "unicode": "All texts are valid Unicode.",
    "unknown items": "All items are known.",
    "empty texts": "No text is empty.",
}
COMPARISON_FAULTS: Mapping[str, str] = {
    **_COMMON,
    "outcome range": "All outcomes are in [0, 1].",
    "self-comparisons": "Nothing is compared with itself.",
}
RATING_FAULTS: Mapping[str, str] = {**_COMMON, "value range": "All values are finite and on their scale."}
RANKING_FAULTS: Mapping[str, str] = {
    **_COMMON,
    "repeated items": "No ballot ranks an item twice.",
    "conflicting values": "The entries of a ballot agree on user, weight and group.",
}


def fault_checks(
    faults: Sequence[Fault],
    known: Mapping[str, str],
    n_rows: int,
    *,
    text_columns: Sequence[str] = (),
    left_out: bool = False,
) -> list[Check]:
    """One check for each known kind of fault, passed or not, and for each other kind that was found.

    Parameters
    ----------
    faults : sequence of Fault
    known : mapping of str to str
        Kind to what is found where there is none.
    n_rows : int
        Rows of the table, good or not.
    text_columns : sequence of str
        Columns in which an empty cell is an empty text.
    left_out : bool
        Whether the rows were already left out by a lenient reader; faults are warnings then.
    """
    by_kind: dict[str, list[Fault]] = {kind: [] for kind in known}
    for fault in faults:
        is_text = fault.kind == "missing values" and fault.column in text_columns
        by_kind.setdefault("empty texts" if is_text else fault.kind, []).append(fault)
    level: Literal["error", "warning"] = "warning" if left_out else "error"
    return [
        _check(kind, found, n_rows, level) if found else Check(kind, level, True, known[kind])
        for kind, found in by_kind.items()
    ]


def good_rows(faults: Sequence[Fault], n_rows: int) -> Int[np.ndarray, " good"]:
    """1-based numbers of the rows without a fault."""
    good = np.ones(n_rows, dtype=bool)
    for fault in faults:
        good[fault.rows] = False
    return np.flatnonzero(good) + 1


def _check(kind: str, faults: Sequence[Fault], n_rows: int, level: Literal["error", "warning"]) -> Check:
    rows = np.unique(np.concatenate([fault.rows for fault in faults]))
    samples: list[dict[str, Any]] = []
    for fault in faults:
        for place, row in enumerate(fault.rows[:SHOWN]):
            value = fault.values[place] if place < len(fault.values) else None
            samples.append({"row": int(row) + 1, "column": fault.column, "value": value})
    samples.sort(key=lambda sample: sample["row"])
    what = " ".join(dict.fromkeys(fault.what for fault in faults))
    n = len(rows)
    was = " These rows were left out." if level == "warning" else ""
    return Check(
        kind,
        level,
        False,
        f"{what} ({n:,} row{'s' if n != 1 else ''}){was}",
        count=n,
        share=n / n_rows if n_rows else 0.0,
        samples=tuple(samples[:SHOWN]),
        fix=" ".join(dict.fromkeys(fault.fix for fault in faults)),
    )
