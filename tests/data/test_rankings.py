"""Rankings: two layouts, ballots kept whole, and conversion to comparisons against brute force."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data.items import Items
from pluralism.data.rankings import Rankings
from pluralism.errors import DataError, DataWarning, UsageError

LISTS = [["tea", ["milk", "gin"]], ["gin", "tea"], [["gin", "tea", "milk", "rum"]]]


@st.composite
def ballots(draw, names="abcde"):
    """Weak orders of some of the names, as lists of lists."""
    made = []
    for _ in range(draw(st.integers(1, 5))):
        order = draw(st.permutations(names))[: draw(st.integers(1, len(names)))]
        cuts = draw(st.lists(st.booleans(), min_size=len(order) - 1, max_size=len(order) - 1))
        ties = [[order[0]]]
        for name, cut in zip(order[1:], cuts, strict=True):
            if cut:
                ties.append([name])
            else:
                ties[-1].append(name)
        made.append(ties)
    return made


def same(a: Rankings, b: Rankings) -> bool:
    columns = ("user", "indptr", "item", "rank", "weight", "group")
    return (
        a.items.equals(b.items)
        and a.users.equals(b.users)
        and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in columns)
        and (a.groups is b.groups or a.groups.equals(b.groups))
        and a.levels == b.levels
    )


def test_lists_are_laid_out_ballot_by_ballot():
    rankings = Rankings.from_lists(LISTS, user=["u", "v", "u"], weight=[1, 2, 3])
    assert rankings.items.texts.to_pylist() == ["tea", "milk", "gin", "rum"]
    assert rankings.indptr.tolist() == [0, 3, 5, 9]
    assert rankings.item.tolist() == [0, 1, 2, 2, 0, 2, 0, 1, 3]
    assert rankings.rank.tolist() == [0, 1, 1, 0, 1, 0, 0, 0, 0]
    assert rankings.user.tolist() == [0, 1, 0]
    assert rankings.ballot.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert repr(rankings) == (
        "Rankings(3 ballots by 2 users of 4 items, weights adding up to 6, 2 with ties, 2 not of all items)"
    )


@settings(max_examples=40)
@given(ballots())
def test_lists_come_back(made):
    rankings = Rankings.from_lists(made)
    assert rankings.to_lists() == made
    assert rankings.users.to_pylist() == [str(k + 1) for k in range(len(made))]
    assert same(Rankings.from_frame(rankings.to_arrow("list")), rankings)
    assert same(Rankings.from_frame(rankings.to_arrow("long")), rankings)


@settings(max_examples=40)
@given(ballots(), st.data())
def test_take_keeps_ballots_whole(made, data):
    chosen = data.draw(st.lists(st.integers(0, len(made) - 1), max_size=6))
    taken = Rankings.from_lists(made).take(np.array(chosen, dtype=np.int64))
    assert taken.to_lists() == [made[k] for k in chosen]
    assert [taken.users[int(u)].as_py() for u in taken.user] == [str(k + 1) for k in chosen]


@pytest.mark.parametrize("layout", ["long", "list"])
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".arrow", ".csv"])
def test_files_come_back(tmp_path, layout, suffix):
    if (suffix, layout) == (".csv", "list"):
        pytest.skip("CSV has no lists")
    columns = {"user": ["u", "v", "u"], "ranking": LISTS, "weight": [1, 0.1, 3], "group": ["g", None, "g"]}
    rankings = Rankings.from_frame(columns)
    rankings.write(tmp_path / f"r{suffix}", layout=layout)
    assert same(Rankings.read(tmp_path / f"r{suffix}"), rankings)


def test_prompts_are_kept_in_the_long_layout(tmp_path):
    columns = {"user": ["u"] * 3, "item": ["a", "b", "a"], "rank": [1, 2, 3], "prompt": ["p", "p", "q"]}
    rankings = Rankings.from_frame(columns)
    assert rankings.items.prompts.to_pylist() == ["p", "p", "q"]
    assert same(Rankings.from_frame(rankings.to_arrow()), rankings)
    with pytest.raises(UsageError, match="no prompts"):
        rankings.to_arrow("list")
    assert same(Rankings.from_frame(rankings.to_arrow("list", as_ids=True), items=rankings.items), rankings)


def test_equal_texts_under_two_ids_need_ids(tmp_path):
    items = Items.from_texts(["soup", "soup", "pie"], ids=["x", "y", "z"])
    rankings = Rankings.from_lists([["x", ["y", "z"]]], items=items)
    assert rankings.to_lists() == [[["soup"], ["soup", "pie"]]]
    with pytest.raises(UsageError, match=r"1 items have the text of another[\s\S]*'x' and 'y'"):
        rankings.write(tmp_path / "r.csv")
    rankings.write(tmp_path / "r.csv", as_ids=True)
    assert same(Rankings.read(tmp_path / "r.csv", items=items), rankings)


def test_ranks_are_any_numbers_and_rows_in_any_order():
    columns = {
        "user": ["u", "v", "u", "v", "u"],
        "item": ["a", "b", "b", "a", "c"],
        "rank": [10, -1.5, 2, "7", 10],
    }
    assert Rankings.from_frame(columns).to_lists() == [[["b"], ["a", "c"]], [["b"], ["a"]]]


def test_a_user_may_cast_several_ballots():
    columns = {"ballot": [1, 1, 2, 2], "user": ["u"] * 4, "item": ["a", "b"] * 2, "rank": [1, 2, 2, 1]}
    rankings = Rankings.from_frame(columns)
    assert rankings.to_lists() == [[["a"], ["b"]], [["b"], ["a"]]]
    assert rankings.n_users == 1
    anonymous = Rankings.from_frame({name: values for name, values in columns.items() if name != "user"})
    assert anonymous.users.to_pylist() == ["1", "2"]
    with pytest.raises(DataError, match=r"twice[\s\S]*column 'item', rows 3, 4"):
        Rankings.from_frame({name: values for name, values in columns.items() if name != "ballot"})


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"user": [1, 2], "ranking": [["a", ["b", "c"]], ["c"]]}),
        pd.DataFrame({"user": [1, 2], "ranking": [np.array([["a"], ["b", "c"]], dtype=object), [["c"]]]}),
        pl.DataFrame({"user": [1, 2], "ranking": [[["a"], ["b", "c"]], [["c"]]]}),
        pl.DataFrame({"user": ["1", "2"], "ranking": [[["a"], ["b", "c"]], [["c"]]]}).to_arrow(),
        [{"user": 1, "ranking": ["a", ["b", "c"]]}, {"user": 2, "ranking": [[], ["c"], []]}],
    ],
)
def test_lists_of_any_frame_are_read(frame):
    rankings = Rankings.from_frame(frame)
    assert rankings.to_lists() == [[["a"], ["b", "c"]], [["c"]]]
    assert rankings.rank.tolist() == [0, 1, 1, 0]


def test_integers_are_ids_of_items_without_texts():
    rankings = Rankings.from_frame({"user": [1], "ranking": [[[5], [3, 4]]]})
    assert rankings.items.texts is None
    assert rankings.items.ids.to_pylist() == ["5", "3", "4"]
    items = Items.from_texts(["x", "y", "z"], ids=[3, 4, 5])
    assert Rankings.from_frame({"user": [1], "ranking": [[5, 3]]}, items=items).to_lists() == [[["z"], ["x"]]]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"user": [1, 2], "ranking": [["a"], []]}, r"ranks nothing[\s\S]*column 'ranking', row 2"),
        ({"user": [1, 2], "ranking": [["a"], None]}, r"ranks nothing[\s\S]*column 'ranking', row 2"),
        ({"user": [1, 2], "ranking": [["a"], ["b", "a", "b"]]}, r"twice[\s\S]*column 'ranking', row 2"),
        ({"user": [1, 2], "ranking": [["a"], ["b", ["c", "b"]]]}, r"twice[\s\S]*column 'ranking', row 2"),
        ({"user": [1, 2], "ranking": [["a"], ["b", ""]]}, r"empty[\s\S]*column 'ranking', row 2"),
        ({"user": [1, 2], "ranking": [["a"], ["b", None]]}, r"empty[\s\S]*column 'ranking', row 2"),
        ({"user": [1, None], "ranking": [["a"], ["b"]]}, "column 'user', row 2"),
        ({"user": [1, 2], "ranking": [["a"], ["b"]], "weight": [1, -1]}, "column 'weight', row 2"),
    ],
)
def test_bad_ballots_are_refused_or_left_out_whole(columns, said):
    with pytest.raises(DataError, match=said):
        Rankings.from_frame(columns)
    with pytest.warns(DataWarning, match="left out 1 of 2"):
        assert Rankings.from_frame(columns, strict=False).to_lists() == [[["a"]]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rank": [1, None, 1]}, r"column 'rank', row 2"),
        ({"rank": [1, "first", 1]}, r"column 'rank', row 2"),
        ({"item": ["a", "a", "a"]}, r"twice[\s\S]*column 'item', row 2"),
        ({"weight": [1, 2, 1]}, r"differ in 'weight'[\s\S]*column 'weight', row 2"),
        ({"group": ["x", None, "x"]}, r"differ in 'group'[\s\S]*column 'group', row 2"),
        ({"user": ["u", "v", "w"], "ballot": [1, 1, 2]}, r"differ in 'user'[\s\S]*column 'user', row 2"),
    ],
)
def test_bad_entries_are_refused_or_left_out(changes, said):
    columns = {"user": ["u", "u", "v"], "item": ["a", "b", "a"], "rank": [1, 2, 1]} | changes
    with pytest.raises(DataError, match=said):
        Rankings.from_frame(columns)
    with pytest.warns(DataWarning, match="left out 1 of 3"):
        assert Rankings.from_frame(columns, strict=False).to_lists() == [[["a"]], [["a"]]]


def test_other_layouts_are_refused():
    with pytest.raises(DataError, match="must hold lists"):
        Rankings.from_frame({"user": [1], "ranking": ["a>b>c"]})
    with pytest.raises(DataError, match="did you mean 'position' for 'rank'"):
        Rankings.from_frame({"user": [1], "item": ["a"], "position": [1]})
    with pytest.raises(UsageError, match="layout"):
        Rankings.from_lists([["a"]]).to_arrow("wide")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"indptr": [0, 2]}, "does not cut"),
        ({"indptr": [0, 0, 3]}, "ranks nothing"),
        ({"item": [0, 0, 1]}, "twice"),
        ({"rank": [1, 0, 0]}, "fall"),
        ({"item": [0, 5, 1]}, "between 0 and 2"),
        ({"weight": [1, -1]}, "negative"),
        ({"levels": ["yes"]}, "between 0 and 0"),
    ],
)
def test_impossible_columns_are_refused(changes, said):
    columns = {"items": Items("abc"), "users": ["u"], "user": [0, 0], "indptr": [0, 2, 3]}
    columns |= {"item": [0, 1, 0], "rank": [0, 1, 0]} | changes
    with pytest.raises(DataError, match=said):
        Rankings(**columns)


def brute_force(made, names, *, below: bool) -> Counter:
    """Implied pairs as (ballot, first, second, outcome), the alphabetically first name first."""
    pairs: Counter = Counter()
    for ballot, ties in enumerate(made):
        rank = {name: place for place, tie in enumerate(ties) for name in tie}
        for a, b in combinations(names, 2):
            if a in rank and b in rank:
                pairs[ballot, a, b, 0.5 if rank[a] == rank[b] else float(rank[a] < rank[b])] += 1
            elif below and (a in rank or b in rank):
                pairs[ballot, a, b, float(a in rank)] += 1
    return pairs


@settings(max_examples=60)
@given(ballots(), st.booleans(), st.integers(0, 99))
def test_comparisons_are_those_of_brute_force(made, below, seed):
    names = "abcde"
    rankings = Rankings.from_lists(made, items=Items(names), weight=np.arange(len(made)) + 1)
    data = rankings.to_comparisons(unlisted="below" if below else "ignore", rng=seed)
    assert data.origin == "rankings"
    found: Counter = Counter()
    for u, i, j, o, w in zip(data.user, data.left, data.right, data.outcome, data.weight, strict=True):
        a, b, outcome = (names[i], names[j], o) if i < j else (names[j], names[i], 1 - o)
        found[int(u), a, b, float(outcome)] += 1
        assert w == u + 1
    assert found == brute_force(made, names, below=below)


def test_samples_of_pairs_are_pairs():
    made = [list("abcdefgh"), ["a", "b"]]
    rankings = Rankings.from_lists(made)
    data = rankings.to_comparisons(max_pairs_per_ballot=5, rng=3)
    assert np.bincount(data.user).tolist() == [5, 1]
    winner = np.where(data.outcome == 1, data.left, data.right)
    loser = np.where(data.outcome == 1, data.right, data.left)
    assert (winner < loser).all()
    assert len({tuple(pair) for pair in zip(data.user, winner, loser, strict=True)}) == 6
    assert data.equals(rankings.to_comparisons(max_pairs_per_ballot=5, rng=3))
    with pytest.raises(UsageError, match="unlisted"):
        rankings.to_comparisons(unlisted="above")


def test_every_ballot_of_many_at_once():
    generator = np.random.default_rng(0)
    n, m = 20_000, 6
    order = np.argsort(generator.random((n, m)), axis=1)
    rankings = Rankings(
        Items(np.arange(m)), np.arange(n), np.arange(n), np.arange(n + 1) * m, order.ravel(), np.tile(np.arange(m), n)
    )
    data = rankings.to_comparisons()
    assert len(data) == n * m * (m - 1) // 2
    place = np.argsort(order, axis=1)
    assert ((place[data.user, data.left] < place[data.user, data.right]) == (data.outcome == 1)).all()


def test_checks_and_splits_run():
    rankings = Rankings.from_lists([["a", "b"]] * 5 + [["b", "c", "a"]] * 5)
    train, test = rankings.split(test=0.3)
    assert len(train) + len(test) == 10
    assert rankings.check().n_rows == 10


def test_mixed_json_of_lists_and_names(tmp_path):
    rows = [{"user": "u", "ranking": ["a", "b"]}, {"user": "v", "ranking": [["a", "b"], "c"]}]
    (tmp_path / "r.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert Rankings.read(tmp_path / "r.jsonl").to_lists() == [[["a"], ["b"]], [["a", "b"], ["c"]]]


def test_no_ballots_at_all():
    none = Rankings.from_lists([])
    assert (len(none), none.to_lists(), len(none.to_comparisons(unlisted="below"))) == (0, [], 0)
    assert len(none.take([])) == 0
    assert len(Rankings.from_frame({"user": [], "item": [], "rank": []})) == 0
