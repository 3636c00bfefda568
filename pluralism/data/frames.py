"""Frames in memory as sources: anything that speaks Arrow, through narwhals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pluralism.data.sources import Source, raw_column
from pluralism.errors import DataError, UsageError

__all__ = ["frame_source"]


def frame_source(frame: Any) -> Source:
    """Read the columns of a frame.

    Parameters
    ----------
    frame : object
        A pandas, polars, pyarrow, DuckDB or other frame that narwhals knows; an object with the Arrow stream
        protocol; a Hugging Face dataset; a mapping from names to columns; or a list of records.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    name = f"the {type(frame).__module__.split('.')[0]} {type(frame).__name__}"
    if isinstance(frame, (pa.RecordBatch, pa.RecordBatchReader)):
        frame = pa.table(frame)
    if isinstance(frame, pa.Table):
        return Source.of_table(frame, name=name)
    if type(frame).__module__.startswith("datasets."):
        return _dataset_source(frame, name)
    if isinstance(frame, Mapping):
        return Source.of_columns(frame, name="the columns")
    if isinstance(frame, list) and all(isinstance(record, Mapping) for record in frame):
        names = dict.fromkeys(key for record in frame for key in record)
        return Source.of_columns({key: [record.get(key) for record in frame] for key in names}, name="the records")
    return _narwhals_source(frame, name)


def _dataset_source(dataset: Any, name: str) -> Source:
    if isinstance(dataset, Mapping):
        raise UsageError(
            "This is a dictionary of datasets.", fix=f"Choose one of its splits, dataset[...]: {list(dataset)}."
        )
    if hasattr(dataset, "with_format") and hasattr(dataset, "__len__"):
        return Source.of_table(dataset.with_format("arrow")[:], name=name)
    return frame_source(list(dataset))


def _narwhals_source(frame: Any, name: str) -> Source:
    import narwhals.stable.v2 as nw
    from narwhals.exceptions import NarwhalsError

    try:
        known = nw.from_native(frame)
    except TypeError:
        if hasattr(frame, "__arrow_c_stream__"):
            return Source.of_table(pa.table(frame), name=name)
        raise UsageError(
            f"{type(frame).__name__} is not a frame.",
            fix="Pass a pandas, polars or pyarrow table, a dict of columns, or use from_arrays or read.",
        ) from None
    except NarwhalsError as error:
        raise DataError(f"The frame cannot be read: {error}", where=name, fix="Give each column one name.") from error
    if isinstance(known, nw.LazyFrame):
        return Source.of_table(known.collect("pyarrow").to_native(), name=name)
    # Column by column: one column of mixed objects must not hide the others.
    return Source.of_columns({column: _values(known[column]) for column in known.columns}, name=name)


def _values(series: Any) -> Any:
    try:
        return raw_column(series.to_arrow())
    except (pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError):
        return series.to_list()
