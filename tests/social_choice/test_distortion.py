"""Distortion: vertices of small polytopes, closed forms, and utilities that attain what is claimed."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from pluralism.errors import DataError, UsageError
from pluralism.social_choice import Lottery, Outcome, Profile, borda, find_rule
from pluralism.social_choice.distortion import realised_distortion, worst_case_distortion
from pluralism.testing.collective_strategies import profiles


def elect(profile, *names) -> Outcome:
    return Outcome("given", profile.candidates, names)


def by_vertices(profile: Profile, chances: np.ndarray, model: str) -> float:
    """The largest ratio over all combinations of the extreme utilities of strict complete ballots."""
    m, worst = profile.n_candidates, 1.0
    choices = []
    for row in profile.levels:
        order = np.argsort(row)
        sizes = range(1, m + 1) if model == "unit-sum" else range(1, m)
        vertices = []
        for size in sizes:
            u = np.zeros(m)
            u[order[:size]] = 1.0 / size if model == "unit-sum" else 1.0
            vertices.append(u)
        choices.append(vertices)
    for utilities in product(*choices):
        totals = profile.counts @ np.array(utilities)
        got, best = totals @ chances, totals.max()
        if best > 0:
            worst = max(worst, np.inf if got == 0 else best / got)
    return worst


@settings(max_examples=25)
@given(profiles(min_candidates=2, max_candidates=4, max_ballots=3, ties=False, truncated=False))
@pytest.mark.parametrize("model", ["unit-sum", "unit-range"])
def test_worst_cases_are_at_vertices(model, profile):
    chances = np.zeros(profile.n_candidates)
    chances[0] = 1.0
    found = worst_case_distortion(profile, elect(profile, "a"), model=model)
    expected = by_vertices(profile, chances, model)
    assert found.value == pytest.approx(expected, rel=1e-6)
    even = np.full(profile.n_candidates, 1 / profile.n_candidates)
    lottery = Lottery("even", profile.candidates, even, True, 0.0)
    drawn = worst_case_distortion(profile, lottery, model=model)
    assert drawn.value == pytest.approx(by_vertices(profile, even, model), rel=1e-6)


@pytest.mark.parametrize("first", [1, 2, 3, 5])
def test_metric_distortion_of_two_candidates(first):
    profile = Profile.from_orders(["ab", "ba"], [first, 6 - first])
    found = worst_case_distortion(profile, elect(profile, "a"), model="metric")
    # Elkind and Faliszewski 2014; Anshelevich et al. 2018: 2 / share - 1, three where the votes are even.
    assert found.value == pytest.approx(2 / (first / 6) - 1)
    assert found.best == "b"


@settings(max_examples=15)
@given(profiles(min_candidates=2, max_candidates=4, max_ballots=4))
def test_distances_are_a_metric_that_attains_the_value(profile):
    outcome = find_rule("copeland")(profile)
    found = worst_case_distortion(profile, outcome, model="metric")
    # Anshelevich et al. 2018: whoever is in the uncovered set is at most five times as far; ballots here may be short.
    if profile.complete and profile.strict:
        assert found.value <= 5 + 1e-6
    ballots, d = profile.compressed(), found.utilities
    assert d is not None and (d >= -1e-9).all()
    n, m = d.shape
    for b, a, c, e in product(range(n), range(n), range(m), range(m)):
        assert d[b, c] <= d[b, e] + d[a, e] + d[a, c] + 1e-7
    for row, distances in zip(ballots.levels, d, strict=True):
        for c, e in product(range(m), range(m)):
            if 0 <= row[c] < row[e] or (row[c] >= 0 > row[e] and profile.unlisted == "below"):
                assert distances[c] <= distances[e] + 1e-7
    if np.isfinite(found.value):
        again = realised_distortion(np.maximum(d, 0), elect(ballots, *found.chosen), weights=ballots.counts, costs=True)
        assert again.value == pytest.approx(found.value, rel=1e-5)


@settings(max_examples=25)
@given(profiles(min_candidates=2, max_candidates=4))
@pytest.mark.parametrize("model", ["unit-sum", "unit-range"])
def test_utilities_are_allowed_by_the_ballots_and_attain_the_value(model, profile):
    found = worst_case_distortion(profile, borda(profile), model=model)
    ballots, u = profile.compressed(), found.utilities
    assert found.value >= 1
    for row, values in zip(ballots.levels, u, strict=True):
        for a, b in product(range(profile.n_candidates), repeat=2):
            if 0 <= row[a] < row[b] or (row[a] >= 0 > row[b] and profile.unlisted == "below"):
                assert values[a] >= values[b] - 1e-7
    if np.isfinite(found.value):
        if model == "unit-sum":
            np.testing.assert_allclose(u.sum(axis=1), 1, atol=1e-6)
        else:
            np.testing.assert_allclose([u.min(axis=1), u.max(axis=1)], [[0] * len(u), [1] * len(u)], atol=1e-6)
        again = realised_distortion(np.maximum(u, 0), elect(ballots, *found.chosen), weights=ballots.counts)
        assert again.value == pytest.approx(found.value, rel=1e-4)
    # No random utilities that the ballots allow are worse.
    rng = np.random.default_rng(0)
    for _ in range(10 if profile.complete and profile.strict else 0):
        drawn = -np.sort(-rng.exponential(size=ballots.levels.shape), axis=1)
        drawn = np.take_along_axis(drawn, ballots.levels.astype(np.int64), axis=1)
        drawn = drawn / drawn.sum(axis=1, keepdims=True)
        if model == "unit-range":
            drawn = (drawn - drawn.min(axis=1, keepdims=True)) / np.ptp(drawn, axis=1, keepdims=True)
        realised = realised_distortion(drawn, borda(ballots), weights=ballots.counts)
        assert realised.value <= found.value * (1 + 1e-6)


def test_a_choice_that_can_be_worth_nothing():
    profile = Profile.from_orders(["ab"], [2])
    assert worst_case_distortion(profile, elect(profile, "b")).value == np.inf
    assert worst_case_distortion(profile, elect(profile, "b")).to_dict()["value"] is None
    assert worst_case_distortion(profile, elect(profile, "a")).value == 1
    assert worst_case_distortion(profile, elect(profile, "a", "b")).chosen == ("b",)
    assert worst_case_distortion(profile, elect(profile, "b"), model="metric").value == np.inf
    alone = Profile.from_orders([["a"]])
    for model in ("unit-sum", "unit-range", "metric"):
        assert worst_case_distortion(alone, elect(alone, "a"), model=model).value == 1


def test_realised_distortion_by_hand():
    outcome = Outcome("given", ("a", "b"), ("a", "b"))
    utilities = np.array([[3.0, 1.0], [0.0, 1.0]])
    found = realised_distortion(utilities, outcome)
    assert (found.value, found.chosen, found.best) == (1.5, ("b",), "a")
    assert realised_distortion(utilities, outcome, weights=[1, 4]).value == 5 / 3
    assert realised_distortion(utilities, outcome, costs=True).value == 1.5
    lottery = Lottery("even", ("a", "b"), np.array([0.5, 0.5]), True, 0.0)
    assert realised_distortion(utilities, lottery).value == 1.2
    assert json.loads(found.to_json())["value"] == 1.5
    assert found.to_frame()["best"].to_pylist() == ["a"]


def test_bad_use_is_refused():
    profile = Profile.from_orders(["ab", "ba"])
    with pytest.raises(UsageError, match="no model"):
        worst_case_distortion(profile, elect(profile, "a"), model="euclidean")
    with pytest.raises(UsageError, match="not one of this profile"):
        worst_case_distortion(profile, Outcome("given", ("x", "y"), ("x",)))
    many = Profile(range(6), np.random.default_rng(0).permuted(np.tile(np.arange(6), (200, 1)), axis=1))
    with pytest.raises(UsageError, match="too many for metric"):
        worst_case_distortion(many, elect(many, "0"), model="metric")
    with pytest.raises(DataError, match="at least 0"):
        realised_distortion([[-1.0, 0.0]], Outcome("given", ("a", "b"), ("a",)))
    with pytest.raises(DataError, match="Weights"):
        realised_distortion([[1.0, 0.0]], Outcome("given", ("a", "b"), ("a",)), weights=[0.0])
