"""Comparisons: construction, refusal of bad rows, and the operations that keep rows and codes together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.errors import DataError, UsageError


def rows_of(data: Comparisons) -> list[tuple]:
    """Each row in words, independent of codes."""
    ids, users = data.items.ids.to_pylist(), data.users.to_pylist()
    words = [
        (users[u], ids[a], ids[b], o, w)
        for u, a, b, o, w in zip(data.user, data.left, data.right, data.outcome, data.weight, strict=True)
    ]
    for codes, labels in ((data.group, data.groups), (data.source, data.sources)):
        if codes is not None:
            words = [(*row, None if c < 0 else labels[int(c)].as_py()) for row, c in zip(words, codes, strict=True)]
    for values in (data.time, data.strength):
        if values is not None:
            words = [(*row, str(v)) for row, v in zip(words, values, strict=True)]
    for left, right in data.covariates.values():
        words = [(*row, a, b) for row, a, b in zip(words, left, right, strict=True)]
    return words


@st.composite
def columns(draw, n_items: int = 5) -> dict:
    """Arguments of `build`. The containers are built in the test, where their shape checks may draw at random."""
    n = draw(st.integers(1, 12))
    column = lambda values: draw(st.lists(values, min_size=n, max_size=n))  # noqa: E731
    left = np.array(column(st.integers(0, n_items - 1)))
    right = (left + np.array(column(st.integers(1, n_items - 1)))) % n_items
    label = st.sampled_from(["x", "y", None])
    number = st.floats(-5, 5)
    ids = draw(st.permutations([f"i{k}" for k in range(n_items)]))
    return dict(
        left=left,
        right=right,
        ids=ids,
        user=column(st.sampled_from(["ann", "bob", "1"])),
        outcome=column(st.sampled_from([0, 0.5, 0.7, 1])),
        weight=column(st.floats(0, 9)),
        group=column(label) if draw(st.booleans()) else None,
        source=column(label) if draw(st.booleans()) else None,
        time=column(st.floats(0, 9)) if draw(st.booleans()) else None,
        strength=column(st.floats(0, 9)) if draw(st.booleans()) else None,
        covariates={"first": (column(number), column(number))},
    )


def build(columns: dict) -> Comparisons:
    ids = columns["ids"]
    rest = {name: values for name, values in columns.items() if name != "ids"}
    return Comparisons.from_arrays(**rest, items=Items(ids, texts=[f"text of {i}" for i in ids]))


def test_texts_are_encoded_once():
    data = Comparisons.from_arrays(["a", "b", "c"], ["b", "c", "a"], user=[2, 2, 1], outcome=[1, 0.5, 0])
    assert data.items.texts.to_pylist() == ["a", "b", "c"]
    assert data.users.to_pylist() == ["2", "1"]
    assert data.left.tolist() == [0, 1, 2]
    assert data.right.tolist() == [1, 2, 0]
    assert (data.user.dtype, data.left.dtype, data.outcome.dtype) == (np.int32, np.int32, np.float64)
    assert data.weight.tolist() == [1, 1, 1]


def test_integers_are_codes():
    data = Comparisons.from_arrays([0, 3], [1, 0])
    assert data.items.ids.to_pylist() == ["0", "1", "2", "3"]
    assert data.items.texts is None
    assert data.users.to_pylist() == ["all"]
    assert data.outcome.tolist() == [1, 1]


def test_strings_are_ids_where_items_are_given():
    items = Items.from_texts(["text one", "text two"], ids=["one", "two"])
    data = Comparisons.from_arrays(["two"], ["one"], items=items, user=[0], users=["ann", "bob"])
    assert (data.left.tolist(), data.right.tolist(), data.n_users) == ([1], [0], 2)
    with pytest.raises(DataError, match="'three'"):
        Comparisons.from_arrays(["two"], ["three"], items=items)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": [1, 1.2]}, r"\[0, 1\]"),
        ({"outcome": [-0.1, 1]}, r"\[0, 1\]"),
        ({"outcome": [np.nan, 1]}, "NaN"),
        ({"outcome": [1]}, "shape"),
        ({"weight": [1, -1]}, "negative"),
        ({"weight": [1, np.inf]}, "infinite"),
        ({"right": [1, 2]}, "itself"),
        ({"right": [0, 9]}, "between 0 and 2"),
        ({"left": [-1, 2]}, "between 0 and 2"),
        ({"left": [0.0, 2.0]}, "strings or integers|integer codes|no item"),
        ({"user": ["ann", None]}, "empty"),
        ({"user": [1, "1"]}, "both the number 1"),
        ({"user": [0, 2], "users": ["ann", "bob"]}, "between 0 and 1"),
        ({"user": [0, 1], "users": ["ann", "ann"]}, "more than once"),
        ({"strength": [1, -1]}, "negative or infinite"),
        ({"time": ["soon", "late"]}, "numbers or datetimes"),
        ({"covariates": {"first": ([1, 2], [1, np.nan])}}, "NaN"),
        ({"covariates": {"first": ([1, 2], [1])}}, "shape"),
    ],
)
def test_bad_columns_are_refused(change, said):
    columns = {"left": [0, 2], "right": [1, 0], "items": Items(["a", "b", "c"])} | change
    with pytest.raises(DataError, match=said):
        Comparisons.from_arrays(**columns)


def test_sparse_integers_are_not_taken_for_codes():
    with pytest.raises(DataError, match="from_frame"):
        Comparisons.from_arrays([10**9], [5])


def test_unknown_group_and_time_have_their_marks():
    data = Comparisons.from_arrays(
        [0, 1, 0],
        [1, 0, 1],
        group=["g", None, "h"],
        time=np.array(["2020-01-01", "NaT", "2019-01-01"], "datetime64[D]"),
    )
    assert data.group.tolist() == [0, -1, 1]
    assert data.groups.to_pylist() == ["g", "h"]
    assert np.isnat(data.time).tolist() == [False, True, False]


def test_arrays_are_read_only_copies():
    outcome = np.array([1.0, 0.0])
    data = Comparisons.from_arrays([0, 1], [1, 0], outcome=outcome)
    outcome[0] = 0.3
    assert data.outcome[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        data.left[0] = 1
    with pytest.raises(AttributeError):
        data.left = data.right
    for other in (data.take([0]), data.swapped(), data.concat(data), data.compact()):
        with pytest.raises(ValueError, match="read-only"):
            other.outcome[0] = 0


@settings(max_examples=40)
@given(columns(), st.data())
def test_take_and_compact_keep_rows_whole(given_columns, draw):
    data = build(given_columns)
    chosen = draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=8))
    taken = data.take(np.array(chosen, dtype=np.int64))
    assert rows_of(taken) == [rows_of(data)[k] for k in chosen]
    assert taken.items is data.items
    assert taken.users.equals(data.users)
    small = taken.compact()
    assert rows_of(small) == rows_of(taken)
    assert set(small.users.to_pylist()) == {row[0] for row in rows_of(small)}
    assert set(small.items.ids.to_pylist()) == {i for row in rows_of(small) for i in row[1:3]}
    mask = np.zeros(len(data), dtype=bool)
    mask[chosen] = True
    assert data.take(mask).equals(data.take(np.flatnonzero(mask)))


@settings(max_examples=40)
@given(columns())
def test_swapped_twice_is_the_same(given_columns):
    data = build(given_columns)
    once = data.swapped()
    assert once.left.tolist() == data.right.tolist()
    assert (once.outcome == 1 - data.outcome).all()
    assert np.allclose(once.covariate_difference(["first"]), -data.covariate_difference(["first"]))
    twice = once.swapped()
    assert np.allclose(twice.outcome, data.outcome)
    assert rows_of(twice)[0][:3] == rows_of(data)[0][:3]


@settings(max_examples=40)
@given(columns(), columns())
def test_concat_matches_users_and_items_by_name(first, second):
    a, b = build(first), build(second)
    both = a.concat(b)
    assert len(both) == len(a) + len(b)
    assert sorted(both.items.ids.to_pylist()) == sorted(set(a.items.ids.to_pylist()) | set(b.items.ids.to_pylist()))
    words = [row[:5] for row in rows_of(both)]
    assert words == [row[:5] for row in rows_of(a) + rows_of(b)]
    assert rows_of(both.take(np.arange(len(a))).take(slice(None)))[0][:5] == rows_of(a)[0][:5]
    assert a.concat().equals(a)


def test_concat_fills_what_a_part_lacks():
    a = Comparisons.from_arrays([0], [1], group=["g"], time=[3.0], strength=[1.0])
    b = Comparisons.from_arrays([0], [1], source=["s"])
    both = a.concat(b)
    assert both.group.tolist() == [0, -1]
    assert both.source.tolist() == [-1, 0]
    assert np.isnan(both.time).tolist() == [False, True]
    assert np.isnan(both.strength).tolist() == [False, True]


def test_concat_refuses_what_contradicts():
    one = Comparisons.from_arrays([0], [1], items=Items(["a", "b"], texts=["x", "y"]))
    other = Comparisons.from_arrays([0], [1], items=Items(["a", "b"], texts=["x", "z"]))
    with pytest.raises(DataError, match="'b' has different texts"):
        one.concat(other)
    with pytest.raises(DataError, match="different covariates"):
        one.concat(Comparisons.from_arrays([0], [1], items=one.items, covariates={"c": ([1], [1])}))
    with pytest.raises(DataError, match="different origins"):
        one.concat(Comparisons.from_arrays([0], [1], items=one.items, origin="ratings"))
    features = np.ones((2, 2), np.float32)
    with pytest.raises(UsageError, match="different encoders"):
        one.with_features(features, "first").concat(one.with_features(features, "second"))


def test_concat_joins_features_by_item():
    a = Comparisons.from_arrays(["x"], ["y"]).with_features(np.array([[1, 1], [2, 2]], np.float32), "s")
    b = Comparisons.from_arrays(["z"], ["x"]).with_features(np.array([[3, 3], [1, 1]], np.float32), "s")
    both = a.concat(b)
    assert both.items.texts.to_pylist() == ["x", "y", "z"]
    assert both.items.features.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert both.dim == 2


def test_with_items_matches_by_id():
    data = Comparisons.from_arrays(["a", "b"], ["b", "c"], items=Items(["a", "b", "c", "unused"]))
    more = Items(["c", "new", "b", "a"], texts=["C", "N", "B", "A"])
    moved = data.with_items(more)
    assert moved.left.tolist() == [3, 2]
    assert moved.right.tolist() == [2, 0]
    assert [row[1:3] for row in rows_of(moved)] == [row[1:3] for row in rows_of(data)]
    with pytest.raises(DataError, match="'c'"):
        data.with_items(Items(["a", "b"]))


def test_covariates_are_looked_up_row_item_builtin():
    items = Items.from_texts(["aa", "b"], ids=["x", "y"], covariates={"score": [5, 2], "both": [1, 1]})
    data = Comparisons.from_arrays([0, 1], [1, 0], items=items, covariates={"both": ([9, 8], [1, 2])})
    difference = data.covariate_difference(["both", "score", "length"])
    assert difference == pytest.approx(np.array([[8, 3, np.log(3 / 2)], [6, -3, -np.log(3 / 2)]]))
    assert data.covariate_difference([]).shape == (2, 0)
    assert data.covariate_names() == ["both", "score", "length"]
    with pytest.raises(UsageError, match=r"no covariate 'size'[\s\S]*both"):
        data.covariate_difference(["size"])


def test_empty_sets_are_possible():
    none = Comparisons.from_arrays([], [])
    assert len(none) == 0
    assert none.compact().n_items == 0
    data = Comparisons.from_arrays(["a"], ["b"], user=["u"])
    assert len(data.take([])) == 0
    assert data.take([]).concat(data).take([0]).outcome.tolist() == [1]
    assert none.covariate_difference([]).shape == (0, 0)


def test_rows_are_not_counted_from_the_end():
    data = Comparisons.from_arrays([0], [1])
    for wrong in ([-1], [1], [[0]], [0.0]):
        with pytest.raises(UsageError):
            data.take(np.array(wrong))
    with pytest.raises(UsageError, match="mask"):
        data.take(np.array([True, False]))


def test_repr_counts():
    data = Comparisons.from_arrays(
        ["a", "b"], ["b", "c"], user=["u", "v"], outcome=[0.5, 1], group=["g", "h"], weight=[2, 0.5]
    )
    assert repr(data) == (
        "Comparisons(2 judgements by 2 users of 3 items, 1 tie, weights adding up to 2.5, 2 known groups, not embedded)"
    )
    assert "4 features (mine)" in repr(data.with_features(np.ones((3, 4), np.float32), "mine"))
