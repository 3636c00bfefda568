"""Planted faults of comparisons: each is found with its exact count, and none in clean data."""

from __future__ import annotations

import json
from collections.abc import Callable

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from pluralism.data import Comparisons, Items, simulate_mixture
from pluralism.data.check import check_comparisons, rater_agreement
from pluralism.data.report import Check, DataReport
from pluralism.data.simulate import flip

EVERY_CHECK = [
    "columns",
    "misspelt columns",
    "missing values",
    "numbers",
    "weight range",
    "times",
    "ids",
    "unicode",
    "unknown items",
    "empty texts",
    "outcome range",
    "self-comparisons",
    "rows",
    "exact duplicates",
    "contradictory duplicates",
    "weights of zero",
    "time order",
    "over-long texts",
    "users with one judgement",
    "one user with most of the data",
    "users in several groups",
    "identical users",
    "raters against the others",
    "raters at random",
    "sources against the others",
    "order bias",
    "tie share",
    "connectedness",
    "items never compared",
    "items always or never preferred",
    "separability by items",
    "separability by features",
]


def _clean(seed: int = 0, **options: object) -> Comparisons:
    """One opinion, many answers to each of few items: nothing to remark on."""
    settings = {"n_users": 60, "n_groups": 1, "n_items": 20, "pairs_per_user": 40, "scale": 1.2, "ties": 0.2}
    return simulate_mixture(**(settings | options), rng=seed).comparisons


def _with(data: Comparisons, **columns: object) -> Comparisons:
    """The same comparisons with other columns."""
    names = ("items", "users", "user", "left", "right", "outcome", "weight", "time", "source", "sources")
    return Comparisons(**({name: getattr(data, name) for name in names} | columns))


def _failed(report: DataReport) -> set[str]:
    return {check.name for check in report if not check.passed}


@pytest.mark.parametrize("seed", range(5))
def test_clean_data_raise_nothing_and_every_check_is_stated(seed: int) -> None:
    data = _clean(seed)
    data = _with(data, time=np.arange(len(data), dtype=float), source=["a", "b"] * (len(data) // 2), sources=None)
    report = data.check()
    assert [check.name for check in report] == EVERY_CHECK
    assert _failed(report) == set() and report.ok and not report.warnings
    assert [check.name for check in report if not check.applies] == ["over-long texts", "users in several groups"]


def test_exact_duplicates_are_counted_without_their_originals() -> None:
    data = _clean()
    report = data.concat(data.take(np.array([3, 3, 7]))).check()
    check = report["exact duplicates"]
    assert (check.count, check.share) == (3, 3 / len(data.concat(data.take(np.arange(3)))))
    assert [(s["row"], s["same_as_row"]) for s in check.samples] == [(2401, 4), (2402, 4), (2403, 8)]
    assert "exact duplicates" in _failed(report) and report.ok


def test_the_same_answer_at_another_time_is_no_duplicate() -> None:
    data = Comparisons.from_arrays(["a", "a"], ["b", "b"], user=["u", "u"], time=[1.0, 2.0])
    assert data.check()["exact duplicates"].passed
    again = Comparisons.from_arrays(["a", "a"], ["b", "b"], user=["u", "u"], time=[2.0, 2.0])
    assert again.check()["exact duplicates"].count == 1


def test_contradictions_are_of_one_user_on_one_unordered_pair() -> None:
    data = Comparisons.from_arrays(
        ["a", "b", "a", "a", "c", "c", "c"],
        ["b", "a", "b", "b", "d", "d", "d"],
        user=["u", "u", "u", "v", "v", "v", "w"],
        # u prefers a, then a again (swapped: b loses), then b; v on a-b alone; v is torn on c-d; w agrees with v once.
        outcome=[1.0, 0.0, 0.0, 0.0, 1.0, 0.2, 1.0],
    )
    check = data.check()["contradictory duplicates"]
    assert not check.passed and check.count == 5 and check.measures == {"pairs": 2}
    assert {s["row"] for s in check.samples} == {1, 2, 3, 5, 6}
    tied = Comparisons.from_arrays(["a", "a"], ["b", "b"], user=["u", "u"], outcome=[1.0, 0.5])
    assert tied.check()["contradictory duplicates"].passed


def test_weights_of_zero() -> None:
    data = _clean()
    weight = np.ones(len(data))
    weight[[1, 5]] = 0
    check = _with(data, weight=weight).check()["weights of zero"]
    assert (check.count, check.status, [s["row"] for s in check.samples]) == (2, "warning", [2, 6])
    nothing = _with(data, weight=np.zeros(len(data))).check()
    assert not nothing.ok and nothing["weights of zero"].level == "error"


@pytest.mark.parametrize("dates", [False, True])
def test_time_order_counts_steps_back(dates: bool) -> None:
    data = _clean().take(np.arange(6))
    time = np.array([1, 2, 5, 3, 4, 0], dtype="datetime64[s]" if dates else float)
    time[1] = "NaT" if dates else np.nan
    check = _with(data, time=time).check()["time order"]
    assert check.count == 2 and [s["row"] for s in check.samples] == [4, 6]
    assert check.measures["rows_without_time"] == 1


def test_users_with_one_judgement() -> None:
    data = _clean(pairs_per_user=[1, 1, 1] + [40] * 57)
    check = data.check()["users with one judgement"]
    assert check.count == 3 and check.share == 3 / 60
    assert [s["user"] for s in check.samples] == ["user-0", "user-1", "user-2"]


def test_one_user_with_most_of_the_data() -> None:
    check = _clean(n_items=80, pairs_per_user=[1000] + [5] * 59).check()["one user with most of the data"]
    assert check.count == 1000 and check.share == pytest.approx(1000 / 1295)
    assert check.samples[0] == {"user": "user-0", "rows": 1000}
    assert "no groups" in _clean(n_users=1).check()["one user with most of the data"].found


@pytest.mark.parametrize(("left", "right"), [(60, 40), (700, 300), (5, 0), (505, 495), (0, 50)])
def test_order_bias_is_the_exact_binomial_test(left: int, right: int) -> None:
    n = left + right
    items = Items(ids=[str(code) for code in range(n + 1)])
    data = Comparisons.from_arrays(
        np.zeros(n + 10, dtype=int),
        np.append(np.arange(1, n + 1), np.ones(10, dtype=int)),
        items=items,
        outcome=[1.0] * left + [0.0] * right + [0.5] * 10,
    )
    check = data.check()["order bias"]
    expected = stats.binomtest(left, n, 0.5).pvalue
    assert check.measures["p_value"] == pytest.approx(expected)
    assert check.share == pytest.approx(left / n)
    assert check.passed == (expected >= 0.001)


def test_order_bias_of_large_data_must_be_more_than_a_trifle() -> None:
    rng = np.random.default_rng(0)
    data = Comparisons.from_arrays(rng.integers(0, 50, 200_000), 50 + rng.integers(0, 50, 200_000))
    slight = _with(data, outcome=(rng.random(200_000) < 0.51).astype(float)).check()["order bias"]
    assert slight.measures["p_value"] < 1e-6 and slight.passed


def test_order_bias_needs_an_order() -> None:
    made = Comparisons.from_arrays(["a"] * 30, ["b"] * 30, origin="ratings")
    assert made.check()["order bias"].status == "not tested"
    assert "written first" in Comparisons.from_arrays(["a"] * 30, ["b"] * 30).check()["order bias"].found


@pytest.mark.parametrize(("ties", "passed"), [(0, True), (3, True), (5, True), (6, False), (10, False)])
def test_tie_share(ties: int, passed: bool) -> None:
    data = _clean(ties=0.0).take(np.arange(10))
    outcome = np.array(data.outcome)
    outcome[:ties] = 0.5
    report = _with(data, outcome=outcome).check()
    check = report["tie share"]
    assert (check.count, check.share, check.passed) == (ties, ties / 10, passed)
    assert report.ok
    if ties == 10:
        assert "nothing" in check.found and report["order bias"].status == "not tested"


def test_components_are_those_of_networkx() -> None:
    rng = np.random.default_rng(3)
    left = rng.integers(0, 60, 40)
    right = (left + rng.integers(1, 60, 40)) % 60
    graph = nx.Graph(list(zip(left.tolist(), right.tolist(), strict=True)))
    sizes = sorted((len(c) for c in nx.connected_components(graph)), reverse=True)
    report = Comparisons.from_arrays(left, right, items=Items(ids=[str(code) for code in range(60)])).check()
    check = report["connectedness"]
    assert check.count == len(sizes) > 1 and check.measures["largest"] == sizes[0]
    assert [s["items"] for s in check.samples] == sizes[:5]
    assert check.share == pytest.approx(1 - sizes[0] / sum(sizes))
    assert report["items never compared"].count == 60 - graph.number_of_nodes()


def test_rows_of_weight_zero_connect_nothing() -> None:
    data = Comparisons.from_arrays(["a", "b", "c"], ["b", "c", "d"], weight=[1.0, 0.0, 1.0])
    assert data.check()["connectedness"].count == 2


def test_prompts_are_no_loss_of_connection() -> None:
    data = simulate_mixture(n_users=100, n_groups=1, n_items=30, n_prompts=6, rng=0).comparisons
    check = data.check()["connectedness"]
    assert check.passed and check.measures == {"components": 6, "expected": 6, "largest": 5}
    codes = data.items.prompt_codes()
    first = np.flatnonzero(codes == 0)
    inside = np.isin(data.left, first[:2]) == np.isin(data.right, first[:2])
    broken = data.take((codes[data.left] != 0) | inside).check()["connectedness"]
    assert not broken.passed and broken.count == 7


def test_items_always_and_never_preferred() -> None:
    #   best beats a, b; a beats b, b beats a, and both beat worst; c and d only tie.
    left = ["best", "best", "a", "b", "a", "b", "c"]
    right = ["a", "b", "b", "a", "worst", "worst", "d"]
    data = Comparisons.from_arrays(left, right, outcome=[1.0] * 6 + [0.5])
    report = data.check()
    check = report["items always or never preferred"]
    assert check.measures == {"always": 1, "never": 1}
    assert {s["item"]: s["preferred"] for s in check.samples} == {"best": "always", "worst": "never"}
    # Sets: {best}, {a, b}, {worst}, {c, d}; components: {best, a, b, worst}, {c, d}.
    separable = report["separability by items"]
    assert separable.measures == {"strong_components": 4, "components": 2} and not separable.passed
    assert {s["item"] for s in separable.samples} == {"best", "worst"}


def test_two_camps_without_an_undefeated_item_are_separable() -> None:
    left = ["a", "b", "c", "d", "a"]
    right = ["b", "a", "d", "c", "c"]
    report = Comparisons.from_arrays(left, right, outcome=[1.0] * 5).check()
    assert report["items always or never preferred"].passed
    assert report["separability by items"].count == 1
    mended = Comparisons.from_arrays([*left, "d"], [*right, "b"], outcome=[1.0] * 6).check()
    assert mended["separability by items"].passed


def test_separability_by_features() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((50, 6))
    left, right = rng.integers(0, 25, 60), 25 + rng.integers(0, 25, 60)
    better = ((features[left] - features[right]) @ rng.standard_normal(6) > 0).astype(float)
    items = Items(ids=[str(code) for code in range(50)], features=features)
    check = Comparisons.from_arrays(left, right, items=items, outcome=better).check()["separability by features"]
    n_pairs = len(set(zip(left.tolist(), right.tolist(), strict=True)))
    assert not check.passed and check.measures == {"pairs": n_pairs, "dim": 6}
    mixed = flip(Comparisons.from_arrays(left, right, items=items, outcome=better), 0.3).check()
    assert mixed["separability by features"].passed
    wide = Comparisons.from_arrays([0], [1], items=Items(ids=["a", "b"], features=np.ones((2, 2000))))
    assert wide.check()["separability by features"].status == "not tested"


def test_contrary_raters_are_found_and_nobody_else() -> None:
    data = _clean(n_users=40, scale=3.0, ties=0.0)
    outcome = np.where(data.user < 3, 1 - data.outcome, data.outcome)
    report = _with(data, outcome=outcome).check()
    check = report["raters against the others"]
    assert check.count == 3 and {s["user"] for s in check.samples} == {"user-0", "user-1", "user-2"}
    assert check.share == 3 / 40
    assert report["raters at random"].passed


def test_random_raters_are_found_and_nobody_else() -> None:
    data = _clean(n_users=40, scale=4.0, ties=0.0, pairs_per_user=150)
    coins = np.random.default_rng(5).integers(0, 2, len(data)).astype(float)
    report = _with(data, outcome=np.where(data.user < 4, coins, data.outcome)).check()
    assert {s["user"] for s in report["raters at random"].samples} == {f"user-{u}" for u in range(4)}
    assert report["raters against the others"].passed


def test_agreement_leaves_the_rater_out_of_the_majority() -> None:
    rng = np.random.default_rng(0)
    left = rng.integers(0, 4, 200)
    right = (left + rng.integers(1, 4, 200)) % 4
    user, outcome = rng.integers(0, 6, 200), rng.choice([0.0, 0.5, 1.0], 200)
    data = Comparisons.from_arrays(left, right, user=[f"u{u}" for u in user], outcome=outcome)
    votes: dict[tuple[int, int], dict[str, float]] = {}
    for label, a, b, y in zip(data.users.take(data.user).to_pylist(), left, right, outcome, strict=True):
        sign = float(np.sign(y - 0.5))
        cell = votes.setdefault((min(a, b), max(a, b)), {})
        cell[label] = cell.get(label, 0) + (sign if a < b else -sign)
    found = rater_agreement(data)
    for rater, label in enumerate(data.users.to_pylist()):
        n = agreed = 0
        for cell in votes.values():
            others = np.sign(sum(np.sign(v) for other, v in cell.items() if other != label))
            if cell.get(label, 0) != 0 and others != 0:
                n, agreed = n + 1, agreed + int(np.sign(cell[label]) == others)
        assert (found.n[rater], found.agreed[rater]) == (n, agreed)
    assert found.to_frame().column_names == ["rater", "n", "agreement", "p_below_chance"]


def test_a_source_with_swapped_columns_is_found() -> None:
    data = _clean(scale=3.0, ties=0.0)
    source = np.random.default_rng(0).integers(0, 3, len(data))
    outcome = np.where(source == 2, 1 - data.outcome, data.outcome)
    report = _with(data, outcome=outcome, source=source, sources=["a", "b", "swapped"]).check()
    assert [s["source"] for s in report["sources against the others"].samples] == ["swapped"]


def test_identical_users_are_found_unless_chance_explains_them() -> None:
    data = _clean(n_users=30, n_items=60, pairs_per_user=20, ties=0.0)
    copies = [data.take(data.user == 0), data.take(data.user == 0), data.take(data.user == 1)]
    users = ["copy-1", "copy-2", "copy-3"]
    for copy, label in zip(copies, users, strict=True):
        swapped = copy.take(np.random.default_rng(0).permutation(len(copy))).swapped()
        data = data.concat(_with(swapped, users=[label], user=np.zeros(len(copy), dtype=int)))
    check = data.check()["identical users"]
    assert check.count == 5 and check.measures == {"sets": 2}
    assert [s["users"] for s in check.samples] == ["user-0, copy-1, copy-2", "user-1, copy-3"]

    # A questionnaire on which everybody agrees: equal sheets are no wonder.
    pairs = np.column_stack([np.arange(8), np.arange(8) + 8])
    same = Comparisons.from_arrays(
        np.tile(pairs[:, 0], 50), np.tile(pairs[:, 1], 50), user=np.repeat(np.arange(50), 8).tolist()
    )
    assert same.check()["identical users"].passed


def test_long_texts_are_named() -> None:
    texts = ["short", "word " * 300, "x" * 2000, "word " * 150]
    items = Items.from_texts(texts, prompts=["p"] * 4)
    data = Comparisons.from_arrays(np.array([0, 2]), np.array([1, 3]), items=items)
    check = data.check()["over-long texts"]
    assert check.count == 2 and check.share == 0.5 and len(check.samples) == 2


def test_no_rows_is_an_error_and_all_else_is_not_tested() -> None:
    report = _clean().take(np.zeros(2400, dtype=bool)).check()
    assert [check.name for check in report.errors] == ["rows"]
    assert [check.name for check in report] == EVERY_CHECK
    assert all(not check.applies for check in list(report)[13:])


def test_rows_left_out_by_a_lenient_reader_are_warnings() -> None:
    frame = {"user": ["u", "v", "w"], "left": ["a", "b", "c"], "right": ["b", "b", "d"], "outcome": [1.0, 1.0, 2.0]}
    with pytest.warns(UserWarning, match="left out 2 of 3 rows"):
        data = Comparisons.from_frame(frame, strict=False)
    report = data.check()
    assert report.ok and report["self-comparisons"].status == "warning"
    assert report["outcome range"].samples[0]["row"] == 3 and "left out" in report["outcome range"].found


def _report() -> DataReport:
    data = _clean(pairs_per_user=[1] + [40] * 59, position_bias=1.0)
    return check_comparisons(data)


def test_a_report_says_it_all_in_words_rows_and_json() -> None:
    report = _report()
    text = repr(report)
    assert text.startswith("Data check: 2,361 comparisons; 0 errors, 2 warnings, ")
    assert all(name in text for name in EVERY_CHECK)
    assert "fix: Ask these people" in text and "· user 'user-0'" in text
    assert max(len(line) for line in text.splitlines()) <= 120
    parsed = json.loads(report.to_json())
    assert parsed["ok"] is True and parsed["n_warnings"] == 2
    assert [check["name"] for check in parsed["checks"]] == EVERY_CHECK
    frame = report.to_frame()
    assert frame.num_rows == len(report) == len(EVERY_CHECK)
    order = frame.filter(pa.compute.equal(frame["name"], "order bias")).to_pylist()[0]
    assert order["status"] == "warning" and json.loads(order["samples"])[0]["row"] >= 1
    with pytest.raises(KeyError, match="order biass"):
        report["order biass"]


def test_json_is_strict_about_what_is_no_number() -> None:
    check = Check("x", "error", False, "found", samples=({"row": np.int64(1), "value": float("nan")},), fix="mend")
    report = DataReport("comparisons", 1, (check,), source="votes.csv")
    assert json.loads(report.to_json())["checks"][0]["samples"] == [{"row": 1, "value": None}]
    assert "Data check of votes.csv: 1 comparisons; 1 error, 0 warnings, 0 passed" in repr(report)


def test_errors_of_a_report_can_be_raised_as_one() -> None:
    first = Check(
        "a", "error", False, "First.", count=3, samples=({"row": 7, "column": "user", "value": None},), fix="Do."
    )
    second = Check("b", "error", False, "Second.")
    with pytest.raises(
        ValueError, match=r"First. Second.(.|\n)*votes.csv, row 7 \(and 2 more\), column 'user'"
    ) as info:
        DataReport("comparisons", 9, (first, second), source="votes.csv").raise_for_errors()
    assert "fix:   Do." in str(info.value)
    _report().raise_for_errors()


@pytest.mark.parametrize("change", [lambda d: d.swapped(), lambda d: d.take(np.arange(len(d))[::-1])])
def test_counts_do_not_depend_on_order_or_side(change: Callable[[Comparisons], Comparisons]) -> None:
    data = simulate_mixture(n_users=30, n_items=30, ties=0.5, rng=4).comparisons
    data = data.concat(data.take(np.arange(5)))
    first, second = data.check(), change(data).check()
    for check in first:
        if check.name != "order bias":
            assert (check.count, check.passed, check.share) == (
                second[check.name].count,
                second[check.name].passed,
                second[check.name].share,
            )


def test_users_in_several_groups_are_named():
    data = _clean()
    assert data.check()["users in several groups"].passed is not False
    groups = np.zeros(len(data), np.int32)
    groups[data.user == 3] = np.arange(int((data.user == 3).sum())) % 2
    check = _with(data, group=groups, groups=["a", "b"]).check()["users in several groups"]
    assert check.passed is False
    assert check.count == 1
    assert check.samples[0]["groups"] == 2
