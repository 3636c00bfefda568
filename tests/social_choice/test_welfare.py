"""Welfare functions: closed forms, limits, gradients, invariances; and the choice of one candidate by each."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pluralism.errors import UsageError
from pluralism.social_choice import Utilities
from pluralism.social_choice.choose_by_welfare import choose_by_welfare
from pluralism.social_choice.welfare import (
    cvar,
    cvar_weights,
    disagreement_point,
    effective_weights,
    egalitarian,
    leximin_order,
    log_nash,
    max_regret,
    p_mean,
    utilitarian,
)
from pluralism.testing.collective_strategies import utilities as some_utilities


def example(seed, batch=(5,), groups=4, positive=True):
    rng = np.random.default_rng(seed)
    u = rng.uniform(0.1, 3, (*batch, groups)) if positive else rng.normal(size=(*batch, groups))
    return u, rng.dirichlet(np.ones(groups))


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.01, 1.0))
def test_cvar_is_the_linear_programme(seed, alpha):
    u, shares = example(seed, (), 5, positive=False)
    solved = linprog(u, A_eq=np.ones((1, 5)), b_eq=[1.0], bounds=[(0, s / alpha) for s in shares])
    np.testing.assert_allclose(cvar(u, shares, alpha=alpha), solved.fun, atol=1e-9)
    weights = cvar_weights(u, shares, alpha=alpha)
    np.testing.assert_allclose(weights.sum(), 1)
    assert (weights <= shares / alpha + 1e-12).all()


def test_cvar_goes_from_the_worst_off_to_the_mean():
    u, shares = example(0, (50,), positive=False)
    np.testing.assert_allclose(cvar(u, shares, alpha=1.0), utilitarian(u, shares))
    np.testing.assert_allclose(cvar(u, shares, alpha=float(shares.min())), egalitarian(u))
    assert (np.diff([cvar(u, shares, alpha=a) for a in (0.1, 0.3, 0.6, 1.0)], axis=0) >= -1e-12).all()


def test_means_are_special_cases_and_rise_with_rho():
    u, shares = example(1, (20,))
    d = np.array([0.05, 0.0, -0.5, 0.1])
    np.testing.assert_allclose(p_mean(u, shares, rho=1, disagreement=d), (u - d) @ shares)
    np.testing.assert_allclose(p_mean(u, shares, rho=0, disagreement=d), np.prod((u - d) ** shares, axis=1))
    np.testing.assert_allclose(log_nash(u, shares, disagreement=d), np.log(p_mean(u, shares, rho=0, disagreement=d)))
    np.testing.assert_allclose(p_mean(u, shares, rho=-1), 1 / ((1 / u) @ shares))
    np.testing.assert_allclose(p_mean(u, shares, rho=0.5), (np.sqrt(u) @ shares) ** 2)
    np.testing.assert_allclose(p_mean(u, shares, rho=-np.inf), u.min(axis=1))
    np.testing.assert_allclose(p_mean(u, shares, rho=-2000), u.min(axis=1), rtol=0.01)
    np.testing.assert_allclose(p_mean(u, shares, rho=1e-9), p_mean(u, shares, rho=0), rtol=1e-6)
    means = np.array([p_mean(u, shares, rho=rho) for rho in (-np.inf, -5, -1, 0, 0.3, 1)])
    assert (np.diff(means, axis=0) >= -1e-12).all()


def test_losses_and_nothing():
    shares = np.array([0.5, 0.5, 0.0])
    assert log_nash(np.array([1.0, 0.0, 5.0]), shares) == -np.inf
    assert log_nash(np.array([1.0, -1.0, 5.0]), shares) == -np.inf
    assert log_nash(np.array([4.0, 1.0, -5.0]), shares) == pytest.approx(np.log(2))
    assert p_mean(np.array([1.0, 0.0, 5.0]), shares, rho=-1) == 0
    assert p_mean(np.array([1.0, 0.0, 5.0]), shares, rho=0.5) == pytest.approx(0.25)
    assert p_mean(np.array([1.0, -1.0, 5.0]), shares, rho=0.5) == -np.inf
    assert p_mean(np.array([1.0, -1.0, 5.0]), shares, rho=-np.inf) == -np.inf
    assert p_mean(np.array([1.0, -1.0, -5.0]), shares, rho=1) == 0
    assert np.isnan(effective_weights(np.array([1.0, 0.0, 5.0]), shares, rho=0)).all()


@pytest.mark.parametrize("rho", [1.0, 0.5, 0.0, -1.0, -6.0])
def test_effective_weights_are_gradient_shares(rho):
    u, shares = example(2, ())
    step = 1e-6 * np.eye(4)
    gradient = (p_mean(u + step, shares, rho=rho) - p_mean(u - step, shares, rho=rho)) / 2e-6
    np.testing.assert_allclose(effective_weights(u, shares, rho=rho), gradient / gradient.sum(), rtol=1e-5)


def test_effective_weights_of_the_least_gain_are_on_the_least():
    u = np.array([[1.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    weights = effective_weights(u, [0.6, 0.2, 0.2], rho=-np.inf)
    np.testing.assert_allclose(weights, [[0.75, 0.25, 0], [0, 1, 0]])


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=7))
def test_leximin_order_is_that_of_sorted_tuples(rows):
    order = leximin_order(np.array(rows, dtype=float))
    keys = [tuple(sorted(row)) for row in rows]
    assert sorted(i for tie in order for i in tie) == list(range(len(rows)))
    for tie in order:
        assert len({keys[i] for i in tie}) == 1
    firsts = [keys[tie[0]] for tie in order]
    assert firsts == sorted(set(keys), reverse=True)


def test_disagreement_is_the_mean_under_the_reference():
    utilities = Utilities([[[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]]], [[np.log(3), 0.0, -np.inf]])
    np.testing.assert_allclose(disagreement_point(utilities.values, utilities.log_reference), [[1.5, 0.5]])
    np.testing.assert_allclose(utilities.reference_mean, [[1.5, 0.5]])


@settings(max_examples=50)
@given(some_utilities(max_prompts=1), st.sampled_from(["utilitarian", "maxmin", "cvar", "minimax-regret", "nash"]))
def test_the_choice_is_the_best_candidate(utilities, welfare):
    alpha = 0.4 if welfare == "cvar" else None
    outcome = choose_by_welfare(utilities, welfare, alpha=alpha, comparable=True)
    u, shares = utilities.values[0, utilities.mask[0]], utilities.shares
    scores = {
        "utilitarian": u @ shares,
        "maxmin": u.min(axis=1),
        "cvar": cvar(u, shares, alpha=0.4),
        "minimax-regret": -(u.max(axis=0) - u).max(axis=1),
        "nash": np.exp(log_nash(u, shares, disagreement=utilities.reference_mean[0])),
    }[welfare]
    np.testing.assert_allclose(outcome.scores, scores, atol=1e-12)
    best = {outcome.candidates[i] for i in np.flatnonzero(scores >= scores.max() - 1e-9 * (np.ptp(u) or 1.0))}
    assert set(outcome.winners) == best
    assert json.loads(outcome.to_json())["winners"] == list(outcome.winners)


@settings(max_examples=40)
@given(some_utilities(max_prompts=1, equal=False), st.floats(0.1, 10), st.floats(-5, 5))
def test_nash_does_not_depend_on_units_of_a_group(utilities, scale, shift):
    values = utilities.values.copy()
    values[..., 0] = values[..., 0] * scale + shift
    changed = Utilities(values, utilities.log_reference, utilities.shares)
    first, second = choose_by_welfare(utilities, "nash"), choose_by_welfare(changed, "nash")
    if first.scores is not None and max(first.scores) > 1e-6:
        assert set(first.winners) == set(second.winners)


def test_leximin_and_its_tolerance():
    utilities = Utilities.from_matrix([[1.0, 1.0, 0.0], [2.0, 1.0 + 1e-13, 5.0]], unit="gain", candidates="abc")
    outcome = choose_by_welfare(utilities, "leximin")
    assert outcome.ranking == (("a",), ("b",), ("c",)) and outcome.scores is None
    assert choose_by_welfare(utilities, "maxmin").winners == ("a", "b")
    assert choose_by_welfare(utilities, "utilitarian").winners == ("c",)


def test_when_no_candidate_benefits_all():
    utilities = Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]], candidates="ab")
    outcome = choose_by_welfare(utilities, "nash")
    assert outcome.winners == ("a", "b") and "no candidate gives every group more" in outcome.notes[1]


def test_max_regret_by_hand():
    u = np.array([[1.0, 3.0], [2.0, 2.0]])
    np.testing.assert_allclose(max_regret(u, [2.0, 3.0]), [1.0, 1.0])


def test_bad_use_is_refused():
    raw = Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]])
    for welfare in ("utilitarian", "maxmin", "leximin", "minimax-regret"):
        with pytest.raises(UsageError, match="raw rewards"):
            choose_by_welfare(raw, welfare)
    gain = raw.to_unit("gain")
    for options in (
        {"welfare": "best"},
        {"welfare": "pmean"},
        {"welfare": "cvar"},
        {"welfare": "nash", "rho": 0.5},
        {"welfare": "pmean", "rho": 2.0},
        {"welfare": "cvar", "alpha": 0.0},
        {"welfare": "nash", "tolerance": -1.0},
    ):
        with pytest.raises(UsageError):
            choose_by_welfare(gain, **options)
    with pytest.raises(UsageError, match="prompts"):
        choose_by_welfare(Utilities(np.zeros((2, 2, 2))))
    with pytest.raises(UsageError, match="shares are 2"):
        utilitarian(np.zeros((3, 2)), [0.5, -0.5])
    with pytest.raises(UsageError, match="rho"):
        effective_weights(np.ones(2), rho=1.5)
