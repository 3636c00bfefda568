"""Planted faults of ratings and rankings, and their splits."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data import Items, Rankings, Ratings
from pluralism.data.check import check_file, check_frame
from pluralism.errors import UsageError


def _ratings(rows: list[tuple[str, str, float]], **options: Any) -> Ratings:
    user, item, value = zip(*rows, strict=True)
    frame = {"user": list(user), "item": list(item), "value": list(value)}
    return Ratings.from_frame(frame | options)


def _clean() -> list[tuple[str, str, float]]:
    rng = np.random.default_rng(0)
    return [(f"u{u}", f"item {i}", float(rng.integers(1, 6))) for u in range(12) for i in range(8)]


def test_clean_ratings_raise_nothing() -> None:
    report = _ratings(_clean(), time=list(range(96))).check()
    assert report.ok and not report.warnings
    assert [check.name for check in report if not check.applies] == ["users in several groups"]
    assert "96 rows" in report["rows"].found and report.subject == "ratings"


def test_planted_faults_of_ratings() -> None:
    rows = _clean()
    rows += [rows[5], ("u0", "item 0", rows[0][2] + 1)]
    rows += [("single", "item 0", 1.0)]
    rows += [("flat", f"item {i}", 3.0) for i in range(5)]
    rows += [("island", "other", 1.0), ("island", "another", 2.0)]
    report = _ratings(rows).check()
    assert report["exact duplicates"].count == 1
    assert (
        report["exact duplicates"].samples[0] | {"row": 97, "same_as_row": 6} == report["exact duplicates"].samples[0]
    )
    assert report["contradictory duplicates"].count == 2
    assert [s["row"] for s in report["contradictory duplicates"].samples] == [1, 98]
    assert report["users with one judgement"].samples == ({"user": "single"},)
    assert report["users with one value"].samples == ({"user": "flat", "value": 3.0, "ratings": 5},)
    assert report["connectedness"].count == 2 and report["connectedness"].measures["largest"] == 8
    assert {check.name for check in report.warnings} == {
        "exact duplicates",
        "contradictory duplicates",
        "users with one judgement",
        "users with one value",
        "connectedness",
    }


def test_attributes_are_rated_apart() -> None:
    rows = {"user": ["u", "u"], "item": ["a", "a"], "value": [1.0, 2.0], "attribute": ["kind", "clear"]}
    assert Ratings.from_frame(rows).check()["contradictory duplicates"].passed


def test_one_value_and_one_user() -> None:
    report = _ratings([("u", f"i{k}", 2.0) for k in range(6)]).check()
    assert report["values"].count == 6 and not report["values"].passed
    assert "no groups" in report["one user with most of the data"].found


def test_raw_ratings_list_all_faults(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,value,weight\nu,a,1,1\n,b,x,1\nu,,3,1\nu,c,inf,-1\nv,a,2,1\n")
    report = check_file(path, kind="ratings")
    assert {check.name: check.count for check in report.errors} == {
        "missing values": 1,
        "numbers": 1,
        "empty texts": 1,
        "value range": 1,
        "weight range": 1,
    }
    missing = check_frame({"user": ["u"], "item": ["a"], "vaule": [1.0]}, kind="ratings")
    assert [check.name for check in missing.errors] == ["columns"] and missing["values"].applies
    assert check_frame({"user": ["u"], "item": ["a"]}, kind="ratings")["values"].status == "not tested"


def test_clean_rankings_raise_nothing() -> None:
    report = Rankings.from_lists([["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]).check()
    assert report.ok and not report.warnings and report["over-long texts"].passed


def test_planted_faults_of_rankings() -> None:
    ballots = [["a", "b", "c"], ["c", ["a", "b"]], ["b"], [["a", "c"]], ["x", "y"]]
    data = Rankings.from_lists(ballots, user=["u", "v", "w", "w", "z"], weight=[1, 0, 1, 1, 1])
    report = data.check()
    assert report["weights of zero"].samples[0]["ballot"] == 2
    assert report["users with several ballots"].samples == ({"user": "w", "ballots": 2},)
    assert report["ballots that prefer nothing"].measures == {"one_item": 1, "all_tied": 1}
    assert report["partial and tied ballots"].measures == {"partial": 5, "tied": 2}
    assert report["connectedness"].count == 2
    # Without the ballot of weight 0: a > b > c, and a tied with c; b is alone; x > y.
    assert report["items always or never preferred"].measures == {"always": 1, "never": 1}
    assert report["separability by items"].measures == {"strong_components": 3, "components": 2}


@settings(max_examples=40)
@given(st.lists(st.permutations(list(range(5))), min_size=1, max_size=4), st.data())
def test_neighbours_on_ballots_have_the_strong_components_of_all_pairs(orders: list[list[int]], data: Any) -> None:
    graph = nx.DiGraph()
    ballots = []
    for order in orders:
        kept = order[: data.draw(st.integers(1, 5))]
        cuts = sorted({0, *data.draw(st.sets(st.integers(1, 4))), len(kept)} & set(range(len(kept) + 1)))
        groups = [kept[a:b] for a, b in itertools.pairwise(cuts)]
        ballots.append([[str(i) for i in group] for group in groups])
        graph.add_nodes_from(kept)
        for place, group in enumerate(groups):
            graph.add_edges_from((a, b) for a in group for b in group if a != b)
            graph.add_edges_from((a, b) for a in group for later in groups[place + 1 :] for b in later)
    report = Rankings.from_lists(ballots).check()
    strong = nx.number_strongly_connected_components(graph)
    weak = nx.number_weakly_connected_components(graph)
    assert report["separability by items"].measures == {"strong_components": strong, "components": weak}
    never_lose = sum(graph.in_degree(i) == 0 < graph.out_degree(i) for i in graph)
    assert report["items always or never preferred"].measures["always"] == never_lose


def test_raw_rankings_list_all_faults() -> None:
    rows = {"user": ["u", "u", "u", "v"], "item": ["a", "b", "a", "a"], "rank": [1, None, 2, 1]}
    report = check_frame(rows, kind="rankings")
    assert {check.name: check.count for check in report.errors} == {"missing values": 1, "repeated items": 1}
    assert report["repeated items"].samples[0]["row"] == 3
    missing = check_frame({"user": ["u"], "item": ["a"]}, kind="rankings")
    assert [check.name for check in missing.errors] == ["columns"]
    assert check_frame({"user": ["u"], "ranking": [["a", "b"]]}, kind="rankings").ok


def test_preflib_files_are_checked(tmp_path: Path) -> None:
    Rankings.from_lists([["a", "b"], ["b", "a"]], items=Items(ids=["a", "b"])).write(tmp_path / "x.soc")
    report = check_file(tmp_path / "x.soc", kind="rankings")
    assert report.ok and report.source == str(tmp_path / "x.soc")
    (tmp_path / "bad.soc").write_text("nonsense")
    assert [check.name for check in check_file(tmp_path / "bad.soc", kind="rankings").errors] == ["file"]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=2, max_size=30),
    st.sampled_from([0.1, 0.3, 0.7]),
    st.integers(0, 2),
)
def test_ratings_split_without_leakage(rows: list[tuple[int, int]], share: float, seed: int) -> None:
    user, item = (np.array(column) for column in zip(*rows, strict=True))
    data = Ratings.from_frame({"user": user, "item": item, "value": np.arange(len(user), dtype=float)})
    for by, code in (("vote", user * 10 + item), ("user", user), ("item", item)):
        if len(np.unique(code)) < 2:
            with pytest.raises(UsageError, match="only one"):
                data.split(test=share, by=by, rng=seed)
            continue
        train, test = data.split(test=share, by=by, rng=seed)
        assert len(train) and len(test)
        assert sorted([*train.value.tolist(), *test.value.tolist()]) == data.value.tolist()
        assert not set(code[train.value.astype(int)].tolist()) & set(code[test.value.astype(int)].tolist())


def test_every_user_keeps_a_share_of_votes() -> None:
    data = _ratings([(f"u{u}", f"i{i}", 1.0) for u in range(7) for i in range(10)])
    _, test = data.split(test=0.3, rng=0)
    assert np.bincount(test.user).tolist() == [3] * 7


def test_rankings_split_by_ballot_and_by_user() -> None:
    data = Rankings.from_lists([["a", "b"], ["b", "a"]] * 10, user=[f"u{k // 4}" for k in range(20)])
    train, test = data.split(test=0.25, rng=0)
    assert (len(train), len(test)) == (15, 5)
    train, test = data.split(test=0.2, by="user", rng=0)
    assert len(test) == 4 and not set(train.user.tolist()) & set(test.user.tolist())
    with pytest.raises(UsageError, match="only one ballot"):
        Rankings.from_lists([["a", "b"]]).split()
