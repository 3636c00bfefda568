"""A log of the faults in one table: they are raised with file, row and column, or their rows dropped with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from pluralism.data.validate import Fault
from pluralism.errors import DataError, DataWarning

__all__ = ["FaultLog", "LineFinder"]

LineFinder = Callable[[Sequence[int]], list[int]]
"""Maps 0-based rows to the 1-based lines of the file on which they begin."""

_SHOWN = 5


class FaultLog:
    """Collects the faults of one table while its columns are read.

    Parameters
    ----------
    source : str
        Name of the file or frame, used in messages.
    n_rows : int
        Rows of the table.
    lines : callable, optional
        Finds the lines of rows in the file; called only if there are faults.
    aliases : mapping of str to str, optional
        What renamed columns are called in the file.
    """

    def __init__(
        self,
        source: str,
        n_rows: int,
        lines: LineFinder | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.source, self.n_rows, self._lines, self._aliases = source, n_rows, lines, dict(aliases or {})
        self.faults: list[Fault] = []
        self.good: Bool[np.ndarray, " rows"] = np.ones(n_rows, dtype=bool)

    def note(self, *faults: Fault | None) -> None:
        """Record faults that a validator found."""
        for fault in faults:
            if fault is not None:
                self.good[fault.rows] = False
                self.faults.append(fault)

    def add(
        self,
        bad: Bool[np.ndarray, " rows"] | Int[np.ndarray, " bad"],
        kind: str,
        column: str,
        what: str,
        fix: str,
        show: Callable[[int], object] | None = None,
    ) -> None:
        """Record the rows (a mask, or indices) that have one kind of fault; `show` gives the value found in a row."""
        rows = np.flatnonzero(bad) if bad.dtype == bool else np.unique(bad).astype(np.int64)
        if len(rows):
            values = tuple(None if show is None else show(int(row)) for row in rows[:_SHOWN])
            self.note(Fault(kind, column, rows, values, what, fix))

    def settle(self, *, strict: bool = True) -> tuple[Bool[np.ndarray, " rows"], tuple[Fault, ...]]:
        """End the reading of the columns.

        Returns
        -------
        good : (rows,) bool
            The rows without any fault.
        faults : tuple of Fault
            What was found.

        Raises
        ------
        DataError
            If there are faults and `strict`. Else they are a `DataWarning`.
        """
        if self.faults and strict:
            first, *others = self.faults
            also = "".join(f"\n  also:  {fault.what} ({self._place(fault)})" for fault in others)
            raise DataError(first.what + also, where=f"{self.source}, {self._place(first)}", fix=first.fix)
        if self.faults:
            dropped = int((~self.good).sum())
            found = "; ".join(f"{fault.what} ({self._place(fault)})" for fault in self.faults)
            text = f"{self.source}: left out {dropped:,} of {self.n_rows:,} rows. {found}"
            warnings.warn(text, DataWarning, stacklevel=2)
        return self.good, tuple(self.faults)

    def _place(self, fault: Fault) -> str:
        first = [int(row) for row in fault.rows[:_SHOWN]]
        more = f" and {len(fault.rows) - len(first):,} more" if len(fault.rows) > len(first) else ""
        plural = "s" if len(first) > 1 else ""
        column = repr(fault.column)
        if fault.column in self._aliases:
            column = f"{self._aliases[fault.column]!r} (read as {column})"
        place = f"column {column}, row{plural} {', '.join(str(row + 1) for row in first)}{more}"
        if self._lines is not None:
            place += f" (line{plural} {', '.join(str(line) for line in self._lines(first))} of the file)"
        shown = [_short(value) for value in fault.values[:1] if value is not None]
        return place + "".join(f": {value}" for value in shown)


def _short(value: object) -> str:
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
