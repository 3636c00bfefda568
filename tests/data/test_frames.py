"""Frames: every kind gives the same columns, whatever its types."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pluralism.data.comparisons import Comparisons
from pluralism.data.frames import frame_source
from pluralism.errors import DataError, DataWarning, UsageError

COLUMNS = {
    "user": [1, 2, 1],
    "left": ["a", "b", "\u05d0\u0301"],
    "right": ["b", "c", "a"],
    "outcome": [1.0, 0.0, 0.5],
    "group": ["x", None, "y"],
}


def frames():
    frame = pd.DataFrame(COLUMNS)
    yield "pandas", frame
    yield "pandas objects", frame.astype(object)
    yield "pandas categories", frame.astype({"left": "category", "user": "category", "group": "category"})
    yield "pandas arrow", frame.convert_dtypes(dtype_backend="pyarrow")
    yield "pandas nullable", frame.astype({"user": "Int64", "outcome": "Float64"})
    yield "pandas floats", frame.astype({"user": float})
    yield "pandas index", frame.set_index(pd.Index([5, 5, 5]))
    yield "polars", pl.DataFrame(COLUMNS)
    yield "polars lazy", pl.LazyFrame(COLUMNS)
    yield "polars categories", pl.DataFrame(COLUMNS).cast({"left": pl.Categorical, "group": pl.Categorical})
    yield "polars enum", pl.DataFrame(COLUMNS).cast({"right": pl.Enum(["a", "b", "c"])})
    yield "arrow", pa.table(COLUMNS)
    yield "arrow chunks", pa.concat_tables([pa.table(COLUMNS).slice(0, 1), pa.table(COLUMNS).slice(1)])
    yield "arrow views", pa.table(COLUMNS).set_column(1, "left", pa.array(COLUMNS["left"], pa.string_view()))
    yield "arrow batch", pa.RecordBatch.from_pydict(COLUMNS)
    yield "arrow reader", pa.table(COLUMNS).to_reader()
    yield "dict", COLUMNS
    yield "dict of numpy", {name: np.array(values, dtype=object) for name, values in COLUMNS.items()}
    yield "records", [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


@pytest.mark.parametrize("frame", [pytest.param(frame, id=name) for name, frame in frames()])
def test_every_frame_gives_the_same_comparisons(frame):
    assert Comparisons.from_frame(frame).equals(Comparisons.from_frame(COLUMNS))


def test_datasets_with_selected_rows():
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({name: [values[0], *values] for name, values in COLUMNS.items()})
    expected = Comparisons.from_frame(COLUMNS)
    assert Comparisons.from_frame(whole.select([1, 2, 3])).equals(expected)
    assert Comparisons.from_frame(whole.select([1, 2, 3]).to_iterable_dataset()).equals(expected)
    with pytest.raises(UsageError, match="'train'"):
        Comparisons.from_frame(datasets.DatasetDict({"train": whole}))


def test_any_arrow_stream_is_a_frame():
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table(COLUMNS).__arrow_c_stream__(requested_schema)

    assert Comparisons.from_frame(Stream()).equals(Comparisons.from_frame(COLUMNS))


def test_one_mixed_column_of_pandas_is_judged_by_itself():
    frame = pd.DataFrame(COLUMNS | {"user": pd.Series([1, "b", None], dtype=object), "odd": [{1}, b"x", object()]})
    with pytest.raises(DataError, match="column 'user', row 3"):
        Comparisons.from_frame(frame)
    frame = frame.assign(user=pd.Series([1, "1", "b"], dtype=object))
    with pytest.raises(DataError, match="both the number 1"):
        Comparisons.from_frame(frame)


def test_missing_marks_of_pandas_are_missing_in_mixed_columns():
    marks = [1, pd.NA, "x", float("nan"), None, pd.NaT, np.float64("nan")]
    frame = pd.DataFrame({"user": pd.Series(marks, dtype=object), "left": "a", "right": "b", "outcome": 1})
    frame["outcome"] = pd.Series([1, "right", True, "tie", 0.5, "1", np.int64(0)], dtype=object)
    with pytest.warns(DataWarning, match=r"left out 5 of 7 rows. Column 'user' has empty cells"):
        data = Comparisons.from_frame(frame, strict=False)
    assert data.users.to_pylist() == ["1", "x"]
    assert data.outcome.tolist() == [1, 1]
    frame["outcome"] = pd.Series([np.ones(2), [1], {1: 2}, "x", 1, 0, 1], dtype=object)
    with pytest.raises(DataError, match=r"numbers[\s\S]*rows 1, 2, 3, 4"):
        Comparisons.from_frame(frame.assign(user="u"))


@pytest.mark.parametrize("thing", [3, "votes.csv", [1, 2], np.ones((2, 2)), None])
def test_other_things_are_refused(thing):
    with pytest.raises(UsageError, match=r"not a frame"):
        Comparisons.from_frame(thing)


def test_ragged_and_repeated_columns_are_refused():
    with pytest.raises(DataError, match="differ in length"):
        frame_source({"a": [1], "b": [1, 2]})
    with pytest.raises(DataError, match="more than once"):
        frame_source(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(DataError, match="one name"):
        frame_source(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="one-dimensional"):
        frame_source({"a": np.ones((2, 2))})
