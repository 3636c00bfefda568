"""Plain-text tables for `repr`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["number", "span", "text_table"]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell: the first one left-aligned, the others right-aligned."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    return "\n".join([line(header), *(line(row) for row in rows)])


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits, or a dash where there is none."""
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def span(bounds: tuple[float, float] | None, digits: int = 3) -> str:
    """An interval, or a dash where there is none."""
    if bounds is None or np.isnan(bounds[0]):
        return "–"
    return f"[{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"
