"""The greedy slate against its definition, its guarantee, and the checker against brute force over coalitions."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.errors import ComparabilityWarning, DataError, UsageError
from pluralism.social_choice import Utilities
from pluralism.social_choice.greedy_bjr import check_balanced_representation, greedy_bjr

CELLS = st.integers(0, 4)


@st.composite
def matrices(draw, max_voters=7, max_statements=4):
    n, m = draw(st.integers(1, max_voters)), draw(st.integers(1, max_statements))
    rows = draw(st.lists(st.lists(CELLS, min_size=m, max_size=m), min_size=n, max_size=n))
    return np.array(rows, dtype=float)


def violated(values, chosen, places) -> bool:
    n, k = len(values), len(chosen)
    mine = [values[i, chosen[places[i]]] for i in range(n)]
    for size in range(1, n + 1):
        for coalition in combinations(range(n), size):
            if size * k < n:
                continue
            for c in range(values.shape[1]):
                if min(values[i, c] for i in coalition) > max(mine[i] for i in coalition):
                    return True
    return False


@settings(max_examples=50)
@given(matrices(), st.data())
def test_the_slate_is_balanced_and_justified(values, data):
    seats = data.draw(st.integers(1, len(values)))
    options = data.draw(st.sampled_from([{}, {"rng": 3}, {"order": [str(values.shape[1] - 1)]}]))
    slate = greedy_bjr(values, seats, **options)
    sizes = np.bincount(slate.assignment, minlength=seats)
    expected = [len(values) // seats + (place < len(values) % seats) for place in range(seats)]
    assert sizes.tolist() == expected
    check = check_balanced_representation(values, slate)
    assert check.holds and check.balanced
    chosen = [slate.candidates.index(name) for name in slate.statements]
    assert not violated(values, chosen, slate.assignment)
    for place, c in enumerate(chosen):
        assert values[slate.assignment == place, c].min() == slate.thresholds[place]


@settings(max_examples=50)
@given(matrices(max_voters=6), st.data())
def test_the_checker_is_brute_force_over_coalitions(values, data):
    n, m = values.shape
    chosen = data.draw(st.lists(st.integers(0, m - 1), min_size=1, max_size=3))
    places = np.array(data.draw(st.lists(st.integers(0, len(chosen) - 1), min_size=n, max_size=n)))
    check = check_balanced_representation(values, chosen, assignment=places)
    assert (check.statement is not None) == violated(values, chosen, places)
    if check.statement is not None:
        c, group = int(check.statement), list(check.coalition)
        assert len(group) * len(chosen) >= n
        assert values[group, c].min() >= check.threshold > max(values[i, chosen[places[i]]] for i in group)


def test_each_round_takes_the_statement_whose_last_supporter_likes_it_most():
    values = np.array([[5, 1, 3], [4, 1, 3], [0, 5, 3], [0, 2, 3]])
    slate = greedy_bjr(values, 2, candidates=["left", "right", "middle"])
    assert slate.statements == ("left", "middle")
    assert slate.assignment.tolist() == [0, 0, 1, 1]
    assert slate.thresholds == (4.0, 3.0) and not slate.ties
    assert slate.outcome.committees == (("left", "middle"),) and slate.outcome.unique
    assert slate.to_frame()["mean_utility"].to_pylist() == [4.5, 3.0]


def test_without_repeats_the_guarantee_is_lost_where_all_agree():
    values = np.array([[1.0, 0.0]] * 4)
    assert greedy_bjr(values, 2).statements == ("0", "0")
    slate = greedy_bjr(values, 2, repeats=False)
    assert slate.statements == ("0", "1")
    check = check_balanced_representation(values, slate)
    assert (check.verdict, check.statement, check.coalition) == ("violated", "0", (2, 3))


def test_ties_are_told_and_broken_as_asked():
    values = np.array([[1.0, 1.0], [1.0, 1.0]])
    slate = greedy_bjr(values, 2)
    assert len(slate.ties) == 3 and not slate.outcome.unique
    assert greedy_bjr(values, 2, order=["1"]).statements == ("1", "1")
    drawn = {greedy_bjr(values, 1, rng=seed).statements for seed in range(20)}
    assert drawn == {("0",), ("1",)}
    first = {int(greedy_bjr(values, 2, rng=seed).assignment[0]) for seed in range(20)}
    assert first == {0, 1}


@settings(max_examples=20)
@given(matrices())
def test_groups_of_utilities_are_voters(values):
    utilities = Utilities.from_matrix(values, unit="gain", candidates="abcdefg"[: values.shape[1]])
    slate, plain = greedy_bjr(utilities, 1), greedy_bjr(values, 1)
    assert [ord(name) - 97 for name in slate.statements] == [int(name) for name in plain.statements]
    assert check_balanced_representation(utilities, slate).holds
    assert json.loads(slate.to_json())["assignment"] == slate.assignment.tolist()
    assert repr(slate).startswith("Slate of 1")


def test_bad_use_is_refused():
    values = np.eye(3)
    for seats in (0, 4, True):
        with pytest.raises(UsageError, match="seats"):
            greedy_bjr(values, seats)
    with pytest.raises(UsageError, match="not by both"):
        greedy_bjr(values, 1, order=["0"], rng=0)
    with pytest.raises(UsageError, match="different statements"):
        greedy_bjr(np.ones((3, 2)), 3, repeats=False)
    with pytest.raises(DataError, match="finite"):
        greedy_bjr([[np.nan, 1.0]], 1)
    with pytest.raises(DataError, match="names"):
        greedy_bjr(values, 1, candidates=["a"])
    with pytest.raises(DataError, match="assignment"):
        check_balanced_representation(values, [0, 1], assignment=[0, 1, 2])
    with pytest.raises(UsageError, match="equally large"):
        greedy_bjr(Utilities.from_matrix(values, shares=[2, 1, 1], unit="gain"), 1)
    with pytest.warns(ComparabilityWarning):
        greedy_bjr(Utilities.from_matrix(values), 1)
