"""A source: the raw columns of one file or frame, with the names and row numbers that error messages need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from pluralism.data.faults import FaultLog, LineFinder
from pluralism.errors import DataError

__all__ = ["RawColumn", "Source", "raw_column"]

RawColumn: TypeAlias = pa.ChunkedArray | list[Any]
"""An Arrow column, or a list of Python objects where the values have no common Arrow type (1 beside "1")."""


def raw_column(values: Any) -> RawColumn:
    """Turn an Arrow array, a numpy array, a series or a list into a raw column, without changing any value."""
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, pa.Array):
        return pa.chunked_array([values])
    if isinstance(values, np.ndarray) and values.dtype.kind in "biufM":
        if values.ndim != 1:
            raise DataError(f"A column must be one-dimensional, not of shape {values.shape}.", fix="Pass 1-D arrays.")
        return pa.chunked_array([pa.array(values)])
    listed = values.tolist() if isinstance(values, np.ndarray) else values
    objects = [None if _is_missing(value) else value for value in listed]
    if any(isinstance(value, (bytes, bytearray)) for value in objects):
        return objects
    try:
        array = pa.array(objects)
    except (pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError):
        return objects
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _is_missing(value: Any) -> bool:
    """Whether this is a NaN, or a mark of pandas for a missing value, which equals nothing."""
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in ("NAType", "NaTType")


@dataclass(frozen=True)
class Source:
    """Raw columns by name.

    Parameters
    ----------
    name : str
        Path of the file, or what the frame is, for messages.
    columns : dict of str to RawColumn
        The columns; all of one length.
    n_rows : int
        Number of rows.
    metadata : dict of str to str
        What an earlier `write` noted in the file's schema.
    lines : callable, optional
        Maps 0-based rows to the lines of the file on which they begin.
    aliases : dict of str to str
        What renamed columns are called in the file.
    """

    name: str
    columns: dict[str, RawColumn]
    n_rows: int
    metadata: dict[str, str] = field(default_factory=dict)
    lines: LineFinder | None = None
    aliases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_columns(
        cls,
        columns: Mapping[str, Any],
        *,
        name: str = "the columns",
        metadata: Mapping[str, str] | None = None,
        lines: LineFinder | None = None,
    ) -> Source:
        """Build from column name -> values; all columns must have one length."""
        raw = {str(key): raw_column(values) for key, values in columns.items()}
        lengths = {key: len(column) for key, column in raw.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"The columns differ in length: {lengths}.", where=name, fix="Give every column one value a row."
            )
        return cls(name, raw, next(iter(lengths.values()), 0), dict(metadata or {}), lines)

    @classmethod
    def of_table(cls, table: pa.Table, *, name: str, lines: LineFinder | None = None) -> Source:
        """Build from an Arrow table; repeated column names are refused."""
        refuse_repeated(table.column_names, name)
        noted = table.schema.metadata or {}
        metadata = {key.decode(): value.decode() for key, value in noted.items() if key.startswith(b"pluralism.")}
        columns: dict[str, RawColumn] = {key: table.column(key) for key in table.column_names}
        return cls(name, columns, table.num_rows, metadata, lines)

    def renamed(self, columns: Mapping[str, str] | None) -> Source:
        """Rename columns; `columns` maps the contract's name to the name in the file."""
        if not columns:
            return self
        for wanted, actual in columns.items():
            if actual not in self.columns:
                raise DataError(
                    f"There is no column {actual!r} to read as {wanted!r}.",
                    where=self.name,
                    fix=f"Choose one of {list(self.columns)}.",
                )
        taken = set(columns.values())
        kept = {key: column for key, column in self.columns.items() if key not in taken and key not in columns}
        kept |= {wanted: self.columns[actual] for wanted, actual in columns.items()}
        aliases = self.aliases | {wanted: self.aliases.get(actual, actual) for wanted, actual in columns.items()}
        return replace(self, columns=kept, aliases=aliases)

    def only(self, columns: Mapping[str, str]) -> Source:
        """Keep these columns alone, renamed as in `renamed`."""
        chosen = self.renamed(columns)
        return replace(chosen, columns={name: chosen.columns[name] for name in columns})

    def log(self) -> FaultLog:
        """Return a new, empty log of faults for this table."""
        return FaultLog(self.name, self.n_rows, self.lines, self.aliases)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> RawColumn:
        return self.columns[name]


def refuse_repeated(names: Iterable[str], source: str) -> None:
    """Refuse a header in which a column name occurs twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(
                f"The column {name!r} occurs more than once.", where=source, fix="Rename or drop one of the two."
            )
        seen.add(name)
