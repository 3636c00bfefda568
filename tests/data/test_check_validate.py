from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from pluralism.data.validate import (
    bad_range,
    likely_misspellings,
    not_numbers,
    number_faults,
    to_numbers,
)


def _column(values: list[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    whole = pa.array(values, kind)
    return pa.chunked_array([whole[:2], whole[2:]])


def test_text_numbers_are_read_and_the_others_named() -> None:
    column = _column(["1", " .5 ", "1e-3", "+0.25", "left", "1,5", "", "nan", None, "inf"])
    values = to_numbers(column)
    np.testing.assert_array_equal(values[:4], [1.0, 0.5, 0.001, 0.25])
    assert np.isnan(values[4:9]).all() and math.isinf(values[9])
    fault = not_numbers(column, "outcome")
    assert fault is not None and fault.rows.tolist() == [4, 5] and fault.values == ("left", "1,5")


def test_number_faults_tell_text_gaps_and_range_apart() -> None:
    values, faults = number_faults(_column(["1", "x", None, "2", "-0.1", "inf"]), "outcome", low=0, high=1)
    assert {fault.kind: fault.rows.tolist() for fault in faults} == {
        "numbers": [1],
        "missing values": [2],
        "outcome range": [3, 4, 5],
    }
    assert values[0] == 1.0


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.int32(), pa.bool_(), pa.decimal128(25, 2)])
def test_every_numeric_type_passes(kind: pa.DataType) -> None:
    column = pa.chunked_array([pa.array([0, 1, 1]).cast(kind)])
    values, faults = number_faults(column, "outcome", low=0, high=1)
    assert faults == [] and values.tolist() == [0.0, 1.0, 1.0]


def test_dates_are_no_numbers() -> None:
    column = pa.chunked_array([pa.array([0, 1], pa.timestamp("s"))])
    _, faults = number_faults(column, "outcome", low=0, high=1)
    assert [(fault.kind, fault.rows.tolist()) for fault in faults] == [("numbers", [0, 1])]


def test_range_leaves_nan_alone() -> None:
    fault = bad_range(np.array([0.5, np.nan, 1.0, 1.0001, -np.inf]), "outcome", low=0, high=1)
    assert fault is not None and fault.rows.tolist() == [3, 4]
    weights = bad_range(np.array([0.0, 5.0, -1.0, np.inf]), "weight", low=0, high=np.inf)
    assert weights is not None and weights.rows.tolist() == [2, 3]


def test_misspellings_are_matched_once_and_never_to_a_column_that_is_there() -> None:
    known = ["user", "left", "right", "outcome", "weight"]
    assert likely_misspellings(["usr", "left", "rihgt", "outcom", "users"], known) == {
        "usr": "user",
        "rihgt": "right",
        "outcom": "outcome",
    }
    assert likely_misspellings(["user", "left", "right", "outcome", "leftt", "topic"], known) == {}
