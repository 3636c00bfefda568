"""Ratings: the file contract, and conversion to comparisons against brute force."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.block_pairs import pairs_between, pairs_within
from pluralism.data.items import Items
from pluralism.data.ratings import Ratings
from pluralism.errors import DataError, DataWarning, UsageError

GOOD = {"user": ["u", "u", "v"], "item": ["a", "b", "a"], "value": [1, 3.5, -2]}


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), max_size=6), st.none() | st.integers(1, 50), st.integers(0, 9))
def test_pairs_within_are_all_pairs_or_a_sample_of_them(sizes, most, seed):
    block, first, second = pairs_within(np.array(sizes, dtype=np.int64), most, np.random.default_rng(seed))
    every = [(b, pair) for b, size in enumerate(sizes) for pair in combinations(range(size), 2)]
    drawn = list(zip(block.tolist(), zip(first.tolist(), second.tolist(), strict=True), strict=True))
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(every)
    for b, size in enumerate(sizes):
        possible = size * (size - 1) // 2
        assert sum(k == b for k, _ in drawn) == (possible if most is None else min(most, possible))


def test_pair_numbers_are_decoded_exactly_where_floats_are_not():
    size = 3_000_000
    generator = np.random.default_rng(0)
    _, first, second = pairs_within(np.array([size]), 100_000, generator)
    assert (first >= 0).all()
    assert (first < second).all()
    assert (second < size).all()
    assert len(np.unique(second * (second - 1) // 2 + first)) == 100_000
    # A pair (i, j), i < j, drawn uniformly has mean (n - 2) / 3 and (2 n - 1) / 3: four standard errors.
    assert abs(second.mean() / size - 2 / 3) < 4 * np.sqrt(1 / 18 / 100_000)
    assert abs(first.mean() / size - 1 / 3) < 4 * np.sqrt(1 / 18 / 100_000)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=5))
def test_pairs_between_are_all_pairs(sizes):
    mine = np.array([a for a, _ in sizes], dtype=np.int64)
    others = np.array([b for _, b in sizes], dtype=np.int64)
    block, first, second = pairs_between(mine, others, None, np.random.default_rng(0))
    every = [(k, i, j) for k, (a, b) in enumerate(sizes) for i in range(a) for j in range(b)]
    assert list(zip(block.tolist(), first.tolist(), second.tolist(), strict=True)) == every


def test_too_many_pairs_are_refused_before_they_are_made():
    ratings = Ratings(Items(np.arange(30_000)), ["u"], np.zeros(30_000, int), np.arange(30_000), np.arange(30_000))
    with pytest.raises(UsageError, match=r"449,985,000 pairs[\s\S]*max_pairs_per_user"):
        ratings.to_comparisons()
    assert len(ratings.to_comparisons(max_pairs_per_user=7)) == 7
    with pytest.raises(UsageError, match="leave none"):
        ratings.to_comparisons(max_pairs_per_user=0)


def brute_force(ratings: Ratings, within: str) -> Counter:
    """Every pair of a user's ratings of different items, written with the smaller item first."""
    rows = zip(ratings.user, ratings.item, ratings.value, ratings.weight, strict=True)
    pairs: Counter = Counter()
    prompts = ratings.items.prompt_codes()
    for (u, i, x, a), (v, j, y, b) in combinations(rows, 2):
        if u == v and i != j and (within == "user" or prompts[i] == prompts[j]):
            first, second = sorted([(int(i), x), (int(j), y)])
            outcome = 0.5 if x == y else float(first[1] > second[1])
            pairs[int(u), first[0], second[0], outcome, round(np.sqrt(a * b), 9), abs(x - y)] += 1
    return pairs


@settings(max_examples=50)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 4), st.sampled_from([-1.0, 0.0, 0.5, 2.0]), st.sampled_from([1, 4])
        ),
        min_size=1,
        max_size=14,
    ),
    within=st.sampled_from(["user", "prompt"]),
    seed=st.integers(0, 99),
)
def test_comparisons_are_those_of_brute_force(rows, within, seed):
    user, item, value, weight = zip(*rows, strict=True)
    items = Items(list("abcde"), texts=list("ABCDE"), prompts=["p", "p", None, "q", None])
    ratings = Ratings(items, ["u", "v", "w"], user, item, value, weight=weight)
    made = ratings.to_comparisons(within, rng=seed)
    assert made.origin == "ratings"
    assert made.items is items
    found: Counter = Counter()
    for u, i, j, o, w, s in zip(
        made.user, made.left, made.right, made.outcome, made.weight, made.strength, strict=True
    ):
        first, second, outcome = (i, j, o) if i < j else (j, i, 1 - o)
        found[int(u), int(first), int(second), float(outcome), round(w, 9), s] += 1
    assert found == brute_force(ratings, within)


def test_sides_are_drawn_at_random_and_by_the_seed():
    n = 400
    ratings = Ratings(Items(np.arange(n)), ["u"], np.zeros(n, int), np.arange(n), np.arange(n))
    made = ratings.to_comparisons(rng=1)
    share = made.outcome.mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(len(made))
    assert made.equals(ratings.to_comparisons(rng=1))
    assert not made.equals(ratings.to_comparisons(rng=2))


def test_group_time_and_faults_are_carried_over():
    columns = GOOD | {"group": ["g", "g", None], "time": [5, 3, 1]}
    made = Ratings.from_frame(columns).to_comparisons()
    assert made.groups.to_pylist() == ["g"]
    assert made.group.tolist() == [0]
    assert made.time.tolist() == [5]
    with pytest.warns(DataWarning, match="left out 1 of 3"):
        ratings = Ratings.from_frame(columns | {"value": [1, None, 2]}, strict=False)
    assert [fault.column for fault in ratings.to_comparisons().faults] == ["value"]


def test_attributes_are_never_mixed():
    columns = {"user": ["u"] * 4, "item": ["a", "b", "a", "b"], "value": [1, 2, 2, 1]}
    columns["attribute"] = ["clear", "clear", "kind", "kind"]
    ratings = Ratings.from_frame(columns)
    with pytest.raises(UsageError, match=r"several attributes[\s\S]*'clear', 'kind'"):
        ratings.to_comparisons()
    kind = ratings.to_comparisons(attribute="kind")
    winner = np.where(kind.outcome == 1, kind.left, kind.right)
    assert kind.items.texts.take(winner).to_pylist() == ["a"]
    with pytest.raises(UsageError, match="no attribute 'brief'"):
        ratings.to_comparisons(attribute="brief")
    with pytest.raises(UsageError, match="within"):
        ratings.to_comparisons(within="item", attribute="kind")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_ratings_come_back(tmp_path, suffix):
    ratings = Ratings.from_frame(
        GOOD
        | {
            "attribute": ["x", "y", "x"],
            "prompt": ["p", None, "p"],
            "weight": [1, 2, 0.1],
            "group": ["g", None, "h"],
            "time": [None, 2, 3],
        }
    )
    ratings.write(tmp_path / f"r{suffix}")
    again = Ratings.read(tmp_path / f"r{suffix}")
    for name in ("user", "item", "value", "attribute", "weight", "group", "time"):
        assert np.array_equal(getattr(again, name), getattr(ratings, name), equal_nan=name == "time"), name
    assert again.items.equals(ratings.items)
    assert again.attributes.equals(ratings.attributes)
    assert again.groups.equals(ratings.groups)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"value": [1, "x", 2]}, "column 'value', row 2"),
        ({"value": [1, None, 2]}, "column 'value', row 2"),
        ({"value": [1, 2, np.inf]}, "column 'value', row 3"),
        ({"item": ["a", "", "b"]}, "column 'item', row 2"),
        ({"user": ["u", None, "v"]}, "column 'user', row 2"),
        ({"attribute": ["x", None, "x"]}, "column 'attribute', row 2"),
        ({"weight": [1, 1, -1]}, "column 'weight', row 3"),
    ],
)
def test_bad_cells_name_row_and_column(changes, said):
    with pytest.raises(DataError, match=said):
        Ratings.from_frame(GOOD | changes)
    with pytest.warns(DataWarning, match="left out 1 of 3"):
        assert len(Ratings.from_frame(GOOD | changes, strict=False)) == 2


def test_missing_columns_are_named():
    with pytest.raises(DataError, match="did you mean 'rating' for 'value'"):
        Ratings.from_frame({"user": [1], "item": ["a"], "rating": [3]})


def test_values_outside_the_scale_are_refused():
    with pytest.raises(DataError, match=r"outside the scale[\s\S]*column 'value', row 2: 3.5"):
        Ratings.from_frame(GOOD, scale=(-2, 3))
    assert Ratings.from_frame(GOOD, scale=(-2, 3.5)).scale == {"rating": (-2, 3.5)}
    columns = GOOD | {"attribute": ["x", "y", "x"]}
    assert Ratings.from_frame(columns, scale={"y": (3, 4)}).scale == {"y": (3, 4)}
    with pytest.raises(DataError, match="row 2"):
        Ratings.from_frame(columns, scale={"y": (4, 5)})
    with pytest.raises(UsageError, match="'z', which is not rated"):
        Ratings.from_frame(columns, scale={"z": (4, 5)})
    with pytest.raises(DataError, match="outside its scale"):
        Ratings(Items(["a"]), ["u"], [0], [0], [6], scale=(1, 5))
    with pytest.raises(DataError, match="goes from 5"):
        Ratings(Items(["a"]), ["u"], [0], [0], [3], scale=(5, 1))


def test_take_keeps_rows_whole():
    ratings = Ratings.from_frame(GOOD | {"group": ["g", None, "h"], "weight": [1, 2, 3], "time": [7, 8, 9]})
    taken = ratings.take([2, 0])
    assert taken.value.tolist() == [-2, 1]
    assert taken.weight.tolist() == [3, 1]
    assert taken.group.tolist() == [1, 0]
    assert taken.time.tolist() == [9, 7]
    assert repr(taken) == "Ratings(2 ratings by 2 users of 2 items, 2 known groups)"


def test_real_ratings_of_recipes(shared_data):
    folder = shared_data / "recipe_human_eval"
    items = Items.read(folder / "items.parquet", columns={"id": "item_id"})
    names = {"user": "slot", "item": "item_id", "value": "rating"}
    ratings = Ratings.read(folder / "ratings.parquet", items=items, columns=names, scale=(1, 6))
    assert len(ratings.attributes) == 6
    one = ratings.attributes[0].as_py()
    made = ratings.to_comparisons(attribute=one)
    counts = np.bincount(ratings.of_attribute(one).user, minlength=ratings.n_users)
    assert len(made) == (counts * (counts - 1) // 2).sum()
    assert ((made.strength == 0) == (made.outcome == 0.5)).all()
    assert ratings.split(by="user")[0].n_users == ratings.n_users
    assert ratings.check().n_rows == len(ratings)
