"""Plain-text tables for the `repr` of calibration results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["format_table", "json_ready"]


def format_table(columns: Mapping[str, Sequence[Any]], digits: int = 4) -> str:
    """Columns padded to their widest cell: text on the left, numbers on the right, a dash where there is none."""
    cells = {name: [name, *(_cell(value, digits) for value in values)] for name, values in columns.items()}
    widths = {name: max(map(len, column)) for name, column in cells.items()}
    text = {name: all(isinstance(value, str) for value in values) for name, values in columns.items()}
    n_lines = max(len(column) for column in cells.values())
    lines = []
    for row in range(n_lines):
        parts = [
            column[row].ljust(widths[name]) if text[name] else column[row].rjust(widths[name])
            for name, column in cells.items()
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def json_ready(value: Any) -> Any:
    """The same value of plain Python types; NaN and infinities become None, other fractions than whole ones "p/q"."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    if isinstance(value, Mapping):
        return {str(key): json_ready(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return json_ready(value.tolist())
    if isinstance(value, (list, tuple)):
        return [json_ready(entry) for entry in value]
    if isinstance(value, np.generic):
        return json_ready(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, (float, np.floating)):
        return "–" if np.isnan(value) else f"{value:.{digits}f}"
    return str(value)
