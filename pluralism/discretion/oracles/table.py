"""Principle preferences from a table: made by hand, by another tool, or by an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pluralism.data.files_io import read_source
from pluralism.data.frames import frame_source
from pluralism.data.sources import Source
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.discretion.principles import PrincipleSet
from pluralism.errors import DataError

__all__ = ["preferences_from_table", "read_preferences"]

WORDS = {"left": 1.0, "right": -1.0, "na": 0.0, "neither": 0.0}
LONG = ("comparison", "principle", "left", "right")


def preferences_from_table(frame: Any, principles: PrincipleSet, n_comparisons: int) -> PrinciplePreferences:
    """Preferences from a frame.

    Parameters
    ----------
    frame : frame, or mapping of columns
        Long: the columns ``comparison`` (from 0), ``principle``, ``left`` and ``right`` with probabilities, as
        `PrinciplePreferences.to_frame` gives. Or wide: a row for each comparison and a column for each principle with
        left, right or NA, or a number from -1 (surely right) to 1 (surely left).
    principles : PrincipleSet
        Whose verdicts are read; other columns, or rows of other principles, are left alone.
    n_comparisons : int
        Rows of the comparisons.

    Raises
    ------
    DataError
        Something is missing, twice or no verdict; the error names table, row and column.

    Examples
    --------
    >>> from pluralism.discretion.principles import read_principles
    >>> three = read_principles("helpful-honest-harmless")
    >>> table = {"helpful": ["left", "NA"], "honest": [-1, 0.5], "harmless": ["right", "right"]}
    >>> preferences_from_table(table, three, 2).signs().tolist()
    [[1, -1, -1], [0, 1, -1]]
    """
    return _read(frame_source(frame), principles, n_comparisons)


def read_preferences(path: str | Path, principles: PrincipleSet, n_comparisons: int) -> PrinciplePreferences:
    """`preferences_from_table` of a file: Parquet, CSV, JSON lines or Arrow, by suffix."""
    return _read(read_source(path), principles, n_comparisons)


def _read(source: Source, principles: PrincipleSet, n: int) -> PrinciplePreferences:
    if all(name in source for name in LONG):
        return _long(source, principles, n)
    missing = [name for name in principles.ids if name not in source]
    if missing:
        raise DataError(
            f"There is no column {missing[0]!r} for the principle of that id.",
            where=source.name,
            fix=f"Add a column for each of {', '.join(principles.ids)}, or the columns {', '.join(LONG)}.",
        )
    if source.n_rows != n:
        raise DataError(
            f"There are {source.n_rows:,} rows of verdicts for {n:,} comparisons.",
            where=source.name,
            fix="Give one row for each comparison, in their order.",
        )
    columns = [_signs(source[name], name, source.name) for name in principles.ids]
    return PrinciplePreferences.from_signs(principles.ids, np.stack(columns, axis=1), method=f"a table, {source.name}")


def _long(source: Source, principles: PrincipleSet, n: int) -> PrinciplePreferences:
    rows = _numbers(source["comparison"], "comparison", source.name)
    names = [str(name) for name in _plain(source["principle"])]
    place = {name: k for k, name in enumerate(principles.ids)}
    column = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    sides = [_numbers(source[name], name, source.name) for name in ("left", "right")]
    bad = np.flatnonzero((rows != np.rint(rows)) | (rows < 0) | (rows >= n))
    if len(bad):
        raise DataError(
            f"There is no comparison {rows[bad[0]]:g}: they are numbered from 0 to {n - 1}.",
            where=f"{source.name}, row {int(bad[0]) + 1}, column comparison",
            fix="Check that the table belongs to these data.",
        )
    own = column >= 0
    cell = rows[own].astype(np.int64) * len(place) + column[own]
    there = np.bincount(cell, minlength=n * len(place))
    if (there != 1).any():
        wrong = int(np.flatnonzero(there != 1)[0])
        what = "no verdict" if there[wrong] == 0 else f"{there[wrong]} verdicts"
        raise DataError(
            f"The principle {principles.ids[wrong % len(place)]!r} has {what} on comparison {wrong // len(place)}.",
            where=source.name,
            fix="Give one for each principle and comparison; left = right = 0 says that it does not apply.",
        )
    made = [np.zeros(n * len(place)) for _ in sides]
    for target, values in zip(made, sides, strict=True):
        target[cell] = values[own]
    left, right = (values.reshape(n, len(place)) for values in made)
    return PrinciplePreferences(principles.ids, left, right, method=f"a table, {source.name}")


def _signs(column: Any, name: str, where: str) -> Float[np.ndarray, " pairs"]:
    values = _plain(column)
    out = np.empty(len(values))
    for row, value in enumerate(values):
        word = str(value).strip().casefold() if value is not None else ""
        try:
            out[row] = WORDS[word] if word in WORDS else float(word)
        except ValueError:
            out[row] = np.nan
        if not abs(out[row]) <= 1:
            raise DataError(
                f"{value!r} is no verdict of a principle.",
                where=f"{where}, row {row + 1}, column {name}",
                fix="Write left, right or NA, or a number from -1 (right) to 1 (left).",
            )
    return out


def _numbers(column: Any, name: str, where: str) -> Float[np.ndarray, " rows"]:
    values = _plain(column)
    try:
        return np.array([float(value) for value in values])
    except (TypeError, ValueError):
        row = next(row for row, value in enumerate(values) if not _is_number(value))
        raise DataError(
            f"{values[row]!r} is no number.", where=f"{where}, row {row + 1}, column {name}", fix="Write a number."
        ) from None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _plain(column: Any) -> list[Any]:
    return list(column) if isinstance(column, list) else column.to_pylist()
