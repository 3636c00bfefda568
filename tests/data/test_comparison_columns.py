"""The file contract: what is read, what is refused with file, row and column, and what is left out on request."""

from __future__ import annotations

import copy
import datetime
import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.errors import DataError, DataWarning, UsageError

GOOD = {"user": ["u", "v", "w"], "left": ["a", "b", "c"], "right": ["b", "c", "a"], "outcome": [1.0, 0.0, 0.5]}


def frame(**changes) -> dict:
    return {name: values for name, values in (GOOD | changes).items() if values is not None}


def test_all_columns_of_the_contract_are_read():
    data = Comparisons.from_frame(
        frame(
            prompt=["p", None, ""],
            weight=[1, 0, 2.5],
            group=["x", None, 7],
            time=[3, None, -1],
            source=["s", "", "t"],
            strength=[0, 1.5, None],
            extra=["not", "read", "."],
            **{"left.length": [1, 2, 3], "right.length": [3, 2, 1], "right.first": [True, False, True]},
        )
    )
    assert data.items.texts.to_pylist() == ["a", "b", "c", "b", "a"]
    assert data.items.prompts.to_pylist() == ["p", None, None, "p", None]
    assert data.weight.tolist() == [1, 0, 2.5]
    assert (data.group.tolist(), data.groups.to_pylist()) == ([0, -1, 1], ["x", "7"])
    assert (data.source.tolist(), data.sources.to_pylist()) == ([0, -1, 1], ["s", "t"])
    assert np.array_equal(data.time, [3, np.nan, -1], equal_nan=True)
    assert np.array_equal(data.strength, [0, 1.5, np.nan], equal_nan=True)
    assert data.covariate_difference(["length", "first"]).tolist() == [[-2, -1], [0, 0], [2, -1]]


def test_chosen_and_rejected():
    data = Comparisons.from_frame({"user": [1, 2], "chosen": ["a", "b"], "rejected": ["b", "a"]})
    assert data.outcome.tolist() == [1, 1]
    assert data.left.tolist() == [0, 1]
    with pytest.raises(DataError, match="both layouts"):
        Comparisons.from_frame(frame(chosen=["a"] * 3))
    with pytest.raises(DataError, match=r"'chosen' is missing"):
        Comparisons.from_frame({"user": [1], "rejected": ["a"]})
    with pytest.raises(DataError, match=r"itself[\s\S]*column 'chosen, rejected', row 2"):
        Comparisons.from_frame({"user": [1, 2], "chosen": ["a", "b"], "rejected": ["b", "b"]})


@pytest.mark.parametrize(
    ("outcome", "read"),
    [
        (["left", "Right ", "TIE"], [1, 0, 0.5]),
        (["1", "left", "0.25"], [1, 1, 0.25]),
        ([True, False, True], [1, 0, 1]),
        ([1, 0, 1], [1, 0, 1]),
        ([0.7, 0.1, 1e-9], [0.7, 0.1, 1e-9]),
        (pa.array([1, 0, 1], pa.int8()), [1, 0, 1]),
        (pa.array(["left", "tie", "left"]).dictionary_encode(), [1, 0.5, 1]),
        (np.array([1, 0, 0.5], np.float16), [1, 0, 0.5]),
        ([1, "right", True], [1, 0, 1]),
    ],
)
def test_outcomes_in_numbers_and_words(outcome, read):
    assert Comparisons.from_frame(frame(outcome=outcome)).outcome.tolist() == read


@pytest.mark.parametrize(
    ("changes", "column", "row", "said"),
    [
        ({"outcome": [1, 1.5, 0]}, "outcome", 2, r"between 0 and 1[\s\S]*: 1.5"),
        ({"outcome": [1, 0, -0.5]}, "outcome", 3, "between 0 and 1"),
        ({"outcome": [1, 0, float("inf")]}, "outcome", 3, "between 0 and 1"),
        ({"outcome": [None, 1, 0]}, "outcome", 1, "empty cells or NaN"),
        ({"outcome": [1, float("nan"), 0]}, "outcome", 2, "empty cells or NaN"),
        ({"outcome": ["left", "middle", "tie"]}, "outcome", 2, r"numbers[\s\S]*'middle'"),
        ({"left": ["a", "", "c"]}, "left", 2, "empty"),
        ({"left": ["a", " \n", "c"]}, "left", 2, "white space"),
        ({"right": ["b", "c", None]}, "right", 3, "empty"),
        ({"left": ["a", "c", "c"]}, "left, right", 2, r"itself[\s\S]*'c'"),
        ({"user": ["", "v", "w"]}, "user", 1, "empty"),
        ({"user": [1.0, float("nan"), 2.0]}, "user", 2, "empty"),
        ({"user": [1.0, 1.5, 2.0]}, "user", 2, "strings or integers"),
        ({"user": ["u", "\udcff", "w"]}, "user", 2, "lone surrogate"),
        ({"weight": [1, -1, 1]}, "weight", 2, "at least 0"),
        ({"weight": [1, float("nan"), 1]}, "weight", 2, "NaN"),
        ({"weight": [1, 1, float("inf")]}, "weight", 3, "finite"),
        ({"weight": ["1", "2", "heavy"]}, "weight", 3, r"numbers[\s\S]*'heavy'"),
        ({"strength": [1, -2, None]}, "strength", 2, "at least 0"),
        ({"time": ["2020-01-01", "then", ""]}, "time", 2, r"2024-05-31[\s\S]*'then'"),
        ({"time": [1, float("inf"), 2]}, "time", 2, "finite"),
        ({"left.n": [1, None, 2]}, "left.n", 2, "empty cells or NaN"),
        ({"right.n": ["1", "2", "x"]}, "right.n", 3, "numbers"),
    ],
)
def test_bad_cells_name_row_and_column(tmp_path, changes, column, row, said):
    with pytest.raises(DataError, match=said) as caught:
        Comparisons.from_frame(frame(**changes))
    assert f"column {column!r}, row {row}" in str(caught.value)
    assert caught.value.fix
    with pytest.warns(DataWarning, match="left out 1 of 3 rows") as warned:
        data = Comparisons.from_frame(frame(**changes), strict=False)
    assert f"column {column!r}, row {row}" in str(warned[0].message)
    kept = [k for k in range(3) if k != row - 1]
    users = pa.array([str(GOOD["user"][k]) for k in kept]) if "user" not in changes else None
    assert len(data) == 2
    assert users is None or data.users.take(pa.array(data.user)).to_pylist() == users.to_pylist()
    assert [fault.rows.tolist() for fault in data.faults] == [[row - 1]]


def test_all_faults_are_listed_and_counted():
    columns = {
        "user": [str(k) for k in range(20)],
        "left": ["a"] * 20,
        "right": ["b"] * 10 + ["a"] * 10,
        "outcome": [2] * 8 + [1] * 12,
    }
    with pytest.raises(DataError) as caught:
        Comparisons.from_frame(columns)
    said = str(caught.value)
    assert "column 'left, right', rows 11, 12, 13, 14, 15 and 5 more: 'a'" in said
    assert "column 'outcome', rows 1, 2, 3, 4, 5 and 3 more: 2.0" in said
    with pytest.warns(DataWarning, match="left out 18 of 20 rows"):
        assert len(Comparisons.from_frame(columns, strict=False)) == 2


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            frame(left=None, lefft=["a"] * 3),
            r"'left' is missing: did you mean 'lefft'[\s\S]*columns=\{'left': 'lefft'\}",
        ),
        (
            frame(user=None, annotator_id=[1] * 3),
            r"did you mean 'annotator_id'[\s\S]*columns=\{'user': 'annotator_id'\}",
        ),
        (frame(outcome=None, label=[1] * 3), r"'outcome' is missing: did you mean 'label'"),
        (frame(user=None), r"'user' is missing\.[\s\S]*user='all'"),
        (frame(left=None, outcome=None), r"'left', 'outcome' are missing"),
        ({}, r"'user', 'left', 'right', 'outcome' are missing[\s\S]*\(none\)[\s\S]*user='all'"),
    ],
)
def test_missing_columns_name_the_one_that_was_meant(columns, said):
    with pytest.raises(DataError, match=said):
        Comparisons.from_frame(columns)


def test_columns_are_renamed_on_request():
    columns = frame(user=None, rater=["r"] * 3, left=None, A=["a", "b", "c"])
    data = Comparisons.from_frame(columns, columns={"user": "rater", "left": "A"})
    assert data.users.to_pylist() == ["r"]
    with pytest.raises(DataError, match=r"column 'rater' \(read as 'user'\), row 2"):
        Comparisons.from_frame(columns | {"rater": ["r", None, "r"]}, columns={"user": "rater", "left": "A"})
    with pytest.raises(DataError, match="no column 'judge'"):
        Comparisons.from_frame(columns, columns={"user": "judge"})


def test_one_user_is_named_on_request():
    assert Comparisons.from_frame(frame(user=None), user="me").users.to_pylist() == ["me"]
    with pytest.raises(UsageError, match="as well"):
        Comparisons.from_frame(GOOD, user="me")


def test_misspelt_optional_columns_are_warned_of():
    with pytest.warns(DataWarning, match="'wieght' is not read; if it is the 'weight'"):
        Comparisons.from_frame(frame(wieght=[1, 2, 3]))


def test_integers_are_item_ids_and_strings_are_texts():
    data = Comparisons.from_frame(frame(left=[10, 20, 30], right=[20, 30, 10]))
    assert data.items.texts is None
    assert data.items.ids.to_pylist() == ["10", "20", "30"]
    assert Comparisons.from_frame(GOOD).items.ids.to_pylist() != ["a", "b", "c"]
    assert Comparisons.from_frame(GOOD, texts=False).items.ids.to_pylist() == ["a", "b", "c"]
    spelt = Comparisons.from_frame(frame(left=[10, 20, 30], right=[20, 30, 10]), texts=True)
    assert spelt.items.texts.to_pylist() == ["10", "20", "30"]
    with pytest.raises(DataError, match="from_trl"):
        Comparisons.from_frame(frame(left=[[{"role": "user", "content": "x"}]] * 3))
    with pytest.raises(DataError, match="neither texts nor ids"):
        Comparisons.from_frame(frame(user=[datetime.date(2020, 1, 1)] * 3))


def test_ids_are_looked_up_in_given_items(tmp_path):
    items = Items.from_texts(["A", "B", "C", "D"], ids=["a", "b", "c", "d"], prompts=["p", "p", None, None])
    data = Comparisons.from_frame(GOOD, items=items)
    assert data.items is items
    assert data.left.tolist() == [0, 1, 2]
    items.write(tmp_path / "items.parquet")
    assert Comparisons.from_frame(GOOD, items=tmp_path / "items.parquet").equals(data)
    with pytest.raises(DataError, match=r"no item has[\s\S]*column 'left', row 2: 'e'"):
        Comparisons.from_frame(frame(left=["a", "e", "c"]), items=items)
    with pytest.raises(DataError, match="holds texts, not ids: leave out items="):
        Comparisons.from_frame(frame(left=["A", "B", "C"]), items=items)
    with pytest.warns(DataWarning, match="'prompt' is not read"):
        Comparisons.from_frame(frame(prompt=["p"] * 3), items=items)
    with pytest.warns(DataWarning, match="left out 1 of 3"):
        assert len(Comparisons.from_frame(frame(left=["a", "e", "c"]), items=items, strict=False)) == 2


def test_integer_ids_match_ids_in_another_type(tmp_path):
    pd.DataFrame({"id": [3.0, 1.0, 2.0], "text": ["x", "y", "z"]}).to_parquet(tmp_path / "items.parquet")
    data = Comparisons.from_frame(frame(left=["1", "2", "3"], right=["2", "3", "1"]), items=tmp_path / "items.parquet")
    assert data.left.tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": ["x"]}, "'id' is missing"),
        ({"ID": ["x"], "text": ["x"]}, "did you mean 'ID'"),
        ({"id": ["a", "b", "a"], "text": ["x", "y", "z"]}, r"more than once[\s\S]*column 'id', row 3: 'a'"),
        ({"id": ["a", None], "text": ["x", "y"]}, r"empty[\s\S]*column 'id', row 2"),
        ({"id": ["a", "b"], "text": ["x", ""]}, r"empty[\s\S]*column 'text', row 2"),
        ({"id": ["a"], "prompt": ["p"]}, "none 'text'"),
    ],
)
def test_bad_items_are_refused(columns, said):
    with pytest.raises(DataError, match=said):
        Items.from_frame(columns)


def test_numbers_of_items_become_covariates_unless_they_have_gaps():
    columns = {"id": [1, 2], "text": ["x", "y"], "score": [0.5, 1], "flag": [True, False], "name": ["m", "n"]}
    assert list(Items.from_frame(columns).covariates) == ["score", "flag"]
    with pytest.warns(DataWarning, match="'gap' cannot be covariates"):
        assert list(Items.from_frame(columns | {"gap": [1, None]}).covariates) == ["score", "flag"]


def test_features_stay_on_disk(tmp_path):
    features = np.arange(1, 13, dtype=np.float16).reshape(4, 3)
    np.save(tmp_path / "features.npy", features)
    (tmp_path / "items.csv").write_text("id,text\na,A\nb,B\nc,C\nd,D\n")
    votes = Comparisons.from_frame(GOOD, texts=False)
    votes.write(tmp_path / "votes.jsonl")
    data = Comparisons.read(tmp_path / "votes.jsonl", items=tmp_path / "items.csv", features=tmp_path / "features.npy")
    assert isinstance(data.items.features, np.memmap)
    assert (data.dim, data.items.feature_space) == (3, "user")
    assert np.array_equal(data.items.features, features)
    assert "3 float16 features on disk (user)" in repr(data.items)
    with pytest.raises(ValueError, match="read-only"):
        data.items.features[0] = 1
    taken = data.take([0]).compact().items.features
    assert not isinstance(taken, np.memmap)
    assert taken.tolist() == features[:2].tolist()


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.ones((3, 2)), "3 rows of features but 4 items"),
        (np.ones(4), "matrix"),
        (np.ones((4, 2), int), "float16, float32 or float64"),
        (np.array([[1], [2], [np.inf], [3]]), r"NaN or infinite values \(row 3; id 'c'\)[\s\S]*features.npy"),
        (np.array([[1], [0], [1], [3.0]]), r"no non-zero value \(row 2; id 'b'\)"),
        (np.array([[1], [None]]), "cannot be read"),
        (np.asfortranarray(np.ones((4, 5))), "column by column"),
    ],
)
def test_bad_features_files_are_refused(tmp_path, features, said):
    np.save(tmp_path / "features.npy", features, allow_pickle=True)
    items = Items.from_texts(list("ABCD"), ids=list("abcd"))
    with pytest.raises(DataError, match=said):
        Comparisons.from_frame(GOOD, items=items, features=tmp_path / "features.npy")


def test_features_need_items_and_a_file(tmp_path):
    with pytest.raises(UsageError, match="without items="):
        Comparisons.from_frame(GOOD, features=tmp_path / "features.npy")
    items = Items.from_texts(list("ABC"), ids=list("abc"))
    with pytest.raises(DataError, match="no such features file"):
        Comparisons.from_frame(GOOD, items=items, features=tmp_path / "features.npy")
    (tmp_path / "features.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(DataError, match="cannot be read"):
        Comparisons.from_frame(GOOD, items=items, features=tmp_path / "features.npy")


VIENNA = pa.array([0, 1, None], pa.timestamp("ms", "Europe/Vienna"))
ISO = ["2020-06-01T12:00:00+02:00", "2020-06-01T12:00:00Z", "2020-06-01 12:00"]


@pytest.mark.parametrize(
    ("time", "read"),
    [
        (VIENNA, ["1970-01-01T00:00:00.000", "1970-01-01T00:00:00.001", "NaT"]),
        (ISO, ["2020-06-01T10", "2020-06-01T12", "2020-06-01T12"]),
        (["2020-06-01", None, ""], ["2020-06-01", "NaT", "NaT"]),
        ([datetime.date(2020, 6, 1), None, datetime.date(1900, 1, 1)], ["2020-06-01", "NaT", "1900-01-01"]),
    ],
)
def test_times_are_in_utc(time, read):
    data = Comparisons.from_frame(frame(time=time))
    assert np.array_equal(data.time, np.array(read, dtype="datetime64[ms]"), equal_nan=True)


def test_texts_under_different_prompts_need_ids():
    items = Items.from_texts(["x", "y"], prompts=["p", "q"])
    data = Comparisons.from_arrays([0], [1], items=items, user=["u"])
    with pytest.raises(UsageError, match="different prompts"):
        data.to_arrow()
    back = Comparisons.from_frame(data.to_arrow(as_ids=True), items=items)
    assert back.equals(data)
    with pytest.raises(UsageError, match="no texts"):
        Comparisons.from_arrays([0], [1]).to_arrow(as_ids=False)


def test_a_file_without_good_rows_is_empty_and_says_so():
    with pytest.warns(DataWarning, match="left out 3 of 3"):
        data = Comparisons.from_frame(frame(outcome=[7, 8, 9]), strict=False)
    assert len(data) == 0
    assert len(data.items) == 0


def test_many_ids_and_very_long_ones():
    n = 200_000
    ids = [*range(-n // 2, n // 2 - 1), "9" * 1_000_000]
    data = Comparisons.from_frame({"user": ids, "left": ["a"] * n, "right": ["b"] * n, "outcome": [1] * n})
    assert data.n_users == n
    assert data.users.to_pylist() == [str(i) for i in ids]


def test_polars_and_pandas_and_arrow_agree():
    columns = frame(user=[1, 2, 3], weight=[1.0, 2.0, 3.0])
    expected = Comparisons.from_frame(columns)
    assert expected.users.to_pylist() == ["1", "2", "3"]
    for made in (pd.DataFrame(columns), pl.DataFrame(columns), pl.LazyFrame(columns), pa.table(columns)):
        assert Comparisons.from_frame(made).equals(expected)


def test_reading_is_the_same_from_rows_in_any_file_order(tmp_path):
    rows = [dict(zip(GOOD, row, strict=True)) for row in zip(*GOOD.values(), strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert Comparisons.read(tmp_path / "a.jsonl").equals(Comparisons.from_frame(rows))


def test_empty_optional_columns_are_no_columns():
    nothing = {name: [None] * 3 for name in ("prompt", "group", "time", "source", "strength")}
    data = Comparisons.from_frame(frame(**nothing))
    assert data.equals(Comparisons.from_frame(GOOD))
    assert data.group is data.groups is data.time is data.source is data.strength is data.items.prompts is None
    with pytest.raises(DataError, match=r"'weight' has empty cells or NaN[\s\S]*rows 1, 2, 3"):
        Comparisons.from_frame(frame(weight=[None] * 3))


def test_tables_without_rows_are_read_and_written(tmp_path):
    none = Comparisons.from_frame({name: [] for name in GOOD})
    for suffix in (".parquet", ".csv"):
        none.write(tmp_path / f"none{suffix}")
        assert len(Comparisons.read(tmp_path / f"none{suffix}")) == 0
    assert none.concat(Comparisons.from_frame(GOOD)).equals(Comparisons.from_frame(GOOD))


def test_containers_survive_copying_and_other_processes():
    data = Comparisons.from_frame(frame(group=["g", None, "h"], **{"left.n": [1, 2, 3]}))
    assert copy.deepcopy(data).equals(data)
    assert pickle.loads(pickle.dumps(data)).equals(data)
