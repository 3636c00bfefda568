"""Inference-aware policies: published numbers, fixed points, optima by search, and what no transform may change."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pluralism.calibration import CDFCalibrator
from pluralism.errors import UsageError
from pluralism.policy import (
    FinitePolicy,
    best_of_n,
    calibrated_tilt,
    compare_inference,
    infalign,
    inference_aware_win_rate,
    win_rate,
    worst_of_n,
)
from pluralism.policy.win_rate import reference_place
from pluralism.social_choice import Utilities
from pluralism.solvers.infalign import inference_levels, inference_win_rate, win_rate_gradient
from pluralism.solvers.log_policies import log_normalise
from pluralism.solvers.reward_levels import mid_cdf
from pluralism.testing.collective_strategies import utilities

QUANTILES = Utilities.from_matrix([np.arange(200.0)])
BOTH = ("best_of_n", "worst_of_n")


def random_utilities(seed, prompts=6, candidates=7, groups=1):
    rng = np.random.default_rng(seed)
    return Utilities(rng.normal(size=(prompts, candidates, groups)), rng.normal(size=(prompts, candidates)))


@pytest.mark.parametrize(
    ("inference", "kl", "optimum", "identity", "transforms"),
    [
        ("best_of_n", 0.25, 0.7967, 0.7303, {5: 0.7855, 10: 0.7965}),
        ("best_of_n", 1.0, 0.9401, 0.8768, {5: 0.9188, 10: 0.9345}),
        ("worst_of_n", 0.25, 0.8583, 0.7847, {-5: 0.8539, -10: 0.8563}),
    ],
)
def test_two_hundred_quantiles_and_four_draws(inference, kl, optimum, identity, transforms):
    def wins(policy):
        np.testing.assert_allclose(policy.kl, kl, rtol=1e-7)
        return inference_aware_win_rate(policy, n=4, inference=inference)[0]

    assert wins(infalign(QUANTILES, n=4, inference=inference, kl=kl, n_starts=3)) == pytest.approx(optimum, abs=5e-5)
    assert wins(calibrated_tilt(QUANTILES, kl=kl)) == pytest.approx(identity, abs=5e-5)
    for t, expected in transforms.items():
        assert wins(calibrated_tilt(QUANTILES, t=t, kl=kl)) == pytest.approx(expected, abs=5e-5)


def test_the_best_transform_grows_with_the_number_of_draws():
    def best(n):
        strengths = np.arange(1.0, 30.0, 2.0)
        wins = [inference_aware_win_rate(calibrated_tilt(QUANTILES, t=t, kl=0.25), n=n)[0] for t in strengths]
        return strengths[int(np.argmax(wins))]

    assert 4 <= best(2) <= 6
    assert best(2) < best(4) < best(8)


@given(utilities())
def test_the_mean_place_under_the_reference_is_a_half(raw):
    place = reference_place(raw, None)
    np.testing.assert_allclose(np.sum(np.exp(raw.log_reference) * place, axis=1), 0.5)
    np.testing.assert_allclose(win_rate(FinitePolicy(raw.log_reference, raw, "reference")), 0.5)


@pytest.mark.parametrize("inference", BOTH)
@pytest.mark.parametrize("n", [1.0, 2.0, 3.5, 9.0])
def test_the_gradient_is_the_derivative_of_the_win_rate(inference, n):
    rng = np.random.default_rng(0)
    p, q = (rng.dirichlet(np.ones(6))[None] for _ in range(2))
    place = mid_cdf(inference_levels(np.log(p), n, inference))
    phi = win_rate_gradient(np.log(q), place, n, inference)[0]
    for _ in range(5):
        step = rng.normal(size=6)
        step -= step.mean()
        h = 1e-6
        up, down = (inference_win_rate(np.log(q + sign * h * step), np.log(p), n, inference)[0] for sign in (1, -1))
        assert (up - down) / (2 * h) == pytest.approx(phi @ step, abs=1e-7)


@settings(max_examples=25)
@given(utilities(), st.sampled_from([1.0, 2.0, 4.5, 30.0]), st.sampled_from(BOTH), st.sampled_from([0.01, 0.2, 2.0]))
def test_the_policy_is_a_fixed_point(raw, n, inference, beta):
    policy = infalign(raw, n=n, inference=inference, beta=beta, n_starts=2)
    assert policy.certificate.stationarity < 1e-8
    assert policy.certificate.gap >= -1e-9
    if inference == "best_of_n":
        assert policy.certificate.gap <= 1e-8
    for other in (FinitePolicy(raw.log_reference, raw, "p"), best_of_n(raw, 2), worst_of_n(raw, 2)):
        reached = inference_aware_win_rate(other, n=n, inference=inference) - beta * other.kl
        assert np.all(reached <= policy.certificate.dual + 1e-9)


@pytest.mark.parametrize("inference", BOTH)
def test_a_search_finds_nothing_better(inference):
    raw = random_utilities(0, prompts=1, candidates=3)
    policy = infalign(raw, n=3, inference=inference, beta=0.15)

    def loss(logits):
        other = FinitePolicy(log_normalise(np.append(logits, 0.0)[None]), raw, "search")
        return 0.15 * other.kl[0] - inference_aware_win_rate(other, n=3, inference=inference)[0]

    rng = np.random.default_rng(0)
    found = min(minimize(loss, rng.normal(size=2) * 3, method="Nelder-Mead").fun for _ in range(3))
    reached = inference_aware_win_rate(policy, n=3, inference=inference)[0] - 0.15 * policy.kl[0]
    assert reached == pytest.approx(-found, abs=1e-6)


@pytest.mark.parametrize("inference", BOTH)
@pytest.mark.parametrize("seed", range(2))
def test_at_equal_kl_no_transform_wins_more(inference, seed):
    raw = random_utilities(seed, prompts=8, candidates=12, groups=2)
    found = compare_inference(raw, n=4, kl=0.4, inference=inference)
    np.testing.assert_allclose(found.kl, 0.4, rtol=1e-6)
    assert found.names[-1] == "optimum" and len(found.names) == 6
    assert np.all(found.inference_win_rate[:-1] <= found.inference_win_rate[-1] + 1e-9)
    assert found.inference_win_rate[-1] > found.inference_win_rate[1] + 0.01
    # for one draw nothing beats the identity
    assert found.win_rate[1] == pytest.approx(found.win_rate.max())
    assert found.to_frame().num_rows == 6 and json.loads(found.to_json())["n"] == 4.0
    assert "optimum" in repr(found)


def test_worst_of_n_has_local_optima_and_says_so():
    raw = random_utilities(4, prompts=30, candidates=8)
    policy = infalign(raw, n=8, inference="worst_of_n", beta=0.3, n_starts=8)
    single = infalign(raw, n=8, inference="worst_of_n", beta=0.3, n_starts=1)
    better = policy.certificate.primal - single.certificate.primal
    assert np.all(better >= -1e-9) and better.max() > 1e-3
    assert "8 starts" in policy.notes[0]
    again = infalign(raw, n=8, inference="worst_of_n", beta=0.3, n_starts=8)
    np.testing.assert_array_equal(policy.log_probs, again.log_probs)


@pytest.mark.parametrize("inference", BOTH)
def test_one_draw_is_the_win_rate_optimum(inference):
    raw = random_utilities(1)
    np.testing.assert_allclose(
        infalign(raw, n=1, inference=inference, kl=0.3).probs, calibrated_tilt(raw, kl=0.3).probs, atol=1e-7
    )
    np.testing.assert_allclose(
        infalign(raw, n=1, inference=inference, beta=0.5).probs, calibrated_tilt(raw, beta=0.5).probs, atol=1e-9
    )


def test_increasing_transforms_of_a_prompt_change_nothing():
    raw = random_utilities(2, prompts=3)
    other = Utilities(np.exp(3 * raw.values) + 5, raw.log_reference)
    for inference in BOTH:
        np.testing.assert_allclose(
            *(infalign(each, n=4, inference=inference, kl=0.3, n_starts=2).probs for each in (raw, other)), atol=1e-12
        )
    np.testing.assert_allclose(*(calibrated_tilt(each, t=5, kl=0.3).probs for each in (raw, other)), atol=1e-12)


def test_reference_samples_calibrate_as_the_candidates_do():
    rng = np.random.default_rng(0)
    raw = Utilities(rng.integers(0, 5, size=(4, 9, 1)).astype(float))
    calibrator = CDFCalibrator(shrinkage=0).fit(raw.values)
    np.testing.assert_allclose(calibrator.transform(raw.values)[..., 0], reference_place(raw, None))
    np.testing.assert_allclose(
        calibrated_tilt(raw, t=4, beta=5.0, calibrator=calibrator).probs, calibrated_tilt(raw, t=4, beta=5.0).probs
    )
    scarce = CDFCalibrator(shrinkage=0).fit(raw.values[:, :3])
    assert not np.allclose(
        calibrated_tilt(raw, beta=0.1, calibrator=scarce).probs, calibrated_tilt(raw, beta=0.1).probs
    )


def test_large_and_no_budgets():
    raw = Utilities([[[0.0], [1.0], [1.0]], [[0.0], [0.0], [0.0]]], np.log([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]))
    for inference in BOTH:
        full = infalign(raw, n=4, inference=inference, kl=20.0)
        np.testing.assert_allclose(full.probs, [[0.0, 0.6, 0.4], [0.5, 0.3, 0.2]])
        none = infalign(raw, n=4, inference=inference, kl=0.0)
        np.testing.assert_allclose(none.probs, np.exp(raw.log_reference))


def test_refusals():
    raw = random_utilities(0)
    for settings_ in ({}, {"beta": 0.1, "kl": 0.1}, {"beta": 0.0}, {"kl": -1.0}):
        with pytest.raises(UsageError):
            infalign(raw, n=4, **settings_)
        with pytest.raises(UsageError):
            calibrated_tilt(raw, **settings_)
    with pytest.raises(UsageError, match="inference"):
        infalign(raw, n=4, beta=0.1, inference="median_of_n")
    with pytest.raises(UsageError, match="n_starts"):
        infalign(raw, n=4, beta=0.1, inference="worst_of_n", n_starts=0)
    with pytest.raises(UsageError, match="number of draws"):
        infalign(raw, n=0.5, beta=0.1)
    with pytest.raises(UsageError, match="t="):
        calibrated_tilt(raw, t=0.0, beta=0.1)
