"""Strings as arrays: equal byte for byte, and damage is seen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import DataError, ModelFileError
from pluralism.files import decode_strings, encode_strings

HARD = ["", "\0", "é", "e\u0301", "👩‍👩‍👧", "\u202eabc", "\u200b", "1", "x" * 10_000, "\r\n", "\ufeff"]


@given(st.lists(st.text()))
def test_round_trip(strings):
    arrays = encode_strings(strings)
    assert arrays["bytes"].dtype == np.uint8 and arrays["offsets"].dtype == np.int64
    assert decode_strings(arrays) == strings


def test_hard_strings_and_slices_of_columns():
    assert decode_strings(encode_strings(HARD)) == HARD
    column = pa.array(HARD, pa.large_string())
    assert decode_strings(encode_strings(column[2:7])) == HARD[2:7]
    assert decode_strings(encode_strings(pa.array(HARD)[3:])) == HARD[3:]
    arrays = encode_strings(column[2:7])
    assert len(arrays["bytes"]) == sum(len(text.encode()) for text in HARD[2:7])


@pytest.mark.parametrize("bad", [["a", None], ["a", 3], ["a", "\ud800"], pa.array(["a", None], pa.large_string())])
def test_what_is_no_text_is_named(bad):
    with pytest.raises(DataError) as caught:
        encode_strings(bad)
    assert "index 1" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": np.array([0, 5, 3, 4])},
        {"offsets": np.array([0, 1, 2, 2**40])},
        {"offsets": np.array([1, 2, 3, 4])},
        {"offsets": np.array([-1, 2, 3, 4])},
        {"offsets": np.array([], np.int64)},
        {"offsets": np.array([0, 1, 4], np.int32)},
        {"bytes": np.array([255, 254, 253, 252], np.uint8)},
        {"bytes": np.zeros((2, 2), np.uint8)},
        {"bytes": None},
    ],
)
def test_damage_is_refused(change):
    arrays = {**encode_strings(["ab", "c", "d"]), **change}
    with pytest.raises(ModelFileError):
        decode_strings({name: array for name, array in arrays.items() if array is not None})
