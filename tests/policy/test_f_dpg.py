"""f-divergences by their formulas, gradients by differences and by enumeration of samples, and where descents end."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from scipy.optimize import minimize

from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.policy import FinitePolicy, binary_target, f_divergence, f_dpg, f_dpg_sampled, kl_optimal
from pluralism.social_choice import Utilities
from pluralism.solvers.f_divergences import F_DIVERGENCES, divergence_gradient, divergence_values, pseudo_reward
from pluralism.solvers.f_dpg import sampled_gradient
from pluralism.solvers.log_policies import log_normalise

NAMES = list(F_DIVERGENCES)
FORMULAS = {
    "reverse_kl": lambda q, t: q * np.log(q / t),
    "forward_kl": lambda q, t: t * np.log(t / q),
    "total_variation": lambda q, t: 0.5 * np.abs(q - t),
    "jensen_shannon": lambda q, t: q * np.log(2 * q / (q + t)) + t * np.log(2 * t / (q + t)),
    "reverse_chi2": lambda q, t: (q - t) ** 2 / t,
    "forward_chi2": lambda q, t: (q - t) ** 2 / q,
}


def pair(seed, prompts=4, candidates=6):
    rng = np.random.default_rng(seed)
    return log_normalise(2 * rng.normal(size=(prompts, candidates))), log_normalise(
        2 * rng.normal(size=(prompts, candidates))
    )


@pytest.mark.parametrize("name", NAMES)
def test_values_follow_the_formulas(name):
    q, t = pair(0)
    expected = FORMULAS[name](np.exp(q), np.exp(t)).sum(axis=1)
    np.testing.assert_allclose(divergence_values(F_DIVERGENCES[name], q, t), expected, rtol=1e-10)
    np.testing.assert_allclose(divergence_values(F_DIVERGENCES[name], q, q), 0.0, atol=1e-15)
    padded = np.full((4, 1), -np.inf)
    wide = [np.hstack([each, padded]) for each in (q, t)]
    np.testing.assert_allclose(divergence_values(F_DIVERGENCES[name], *wide), expected, rtol=1e-10)


def test_where_supports_differ():
    half, other = np.log(np.array([[0.5, 0.5, 1e-300]])), np.log(np.array([[1e-300, 0.5, 0.5]]))
    half[0, 2] = other[0, 0] = -np.inf
    values = {name: divergence_values(F_DIVERGENCES[name], half, other)[0] for name in NAMES}
    assert values["total_variation"] == pytest.approx(0.5)
    assert values["jensen_shannon"] == pytest.approx(np.log(2))
    assert all(np.isinf(values[name]) for name in ("reverse_kl", "forward_kl", "reverse_chi2", "forward_chi2"))
    # a target that leaves out a candidate is no trouble for the forward ones
    inside, outside = np.log(np.array([[0.25, 0.75]])), np.array([[-np.inf, 0.0]])
    assert divergence_values(F_DIVERGENCES["forward_kl"], inside, outside)[0] == pytest.approx(-np.log(0.75))
    assert divergence_values(F_DIVERGENCES["forward_chi2"], inside, outside)[0] == pytest.approx(1 / 0.75 - 1)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_differences(name):
    rng = np.random.default_rng(1)
    theta, (_, t) = rng.normal(size=(1, 6)), pair(1, prompts=1)
    f = F_DIVERGENCES[name]
    gradient = divergence_gradient(f, log_normalise(theta), t)[0]
    for j in range(6):
        step = np.zeros((1, 6))
        step[0, j] = 1e-6
        up, down = (divergence_values(f, log_normalise(theta + sign * step), t)[0] for sign in (1, -1))
        assert (up - down) / 2e-6 == pytest.approx(gradient[j], rel=1e-5, abs=1e-7)


def test_pseudo_rewards():
    a = np.array([[0.2, 0.7, 3.0]])
    t = np.log(np.array([[0.4, 0.4, 0.2]]))
    q = t + np.log(a)
    expected = {
        "reverse_kl": -np.log(a) - 1,
        "forward_kl": 1 / a,
        "total_variation": [[0.5, 0.5, -0.5]],
        "jensen_shannon": -np.log(2 * a / (a + 1)),
        "reverse_chi2": 2 * (1 - a),
        "forward_chi2": a**-2.0 - 1,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(pseudo_reward(F_DIVERGENCES[name], q, t), values, rtol=1e-12)
    far = pseudo_reward(F_DIVERGENCES["jensen_shannon"], np.array([[0.0]]), np.array([[-900.0]]))
    assert far[0, 0] == pytest.approx(-np.log(2))


def target(seed=0, prompts=5, candidates=6):
    rng = np.random.default_rng(seed)
    raw = Utilities(rng.normal(size=(prompts, candidates, 2)), rng.normal(size=(prompts, candidates)))
    return kl_optimal(raw, beta=0.4)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "total_variation"])
def test_a_free_softmax_reaches_the_target(name):
    aim = target()
    policy = f_dpg(aim, divergence=name)
    np.testing.assert_allclose(policy.probs, aim.probs, atol=1e-9)
    assert policy.certificate.holds(1e-8)
    np.testing.assert_allclose(f_divergence(policy, aim, name), 0.0, atol=1e-12)


def test_total_variation_descends_slowly_to_the_target():
    aim = target(prompts=2, candidates=3)
    policy = f_dpg(aim, divergence="total_variation", max_iter=5000)
    np.testing.assert_allclose(policy.probs, aim.probs, atol=1e-5)
    with pytest.warns(ConvergenceWarning, match="stopped after 3 steps"):
        f_dpg(aim, divergence="total_variation", max_iter=3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "total_variation"])
def test_log_linear_policies_are_stationary_and_optimal(name):
    aim = target(1)
    phi = np.random.default_rng(2).normal(size=(5, 6, 2))
    policy = f_dpg(aim, divergence=name, features=phi)
    assert policy.certificate.stationarity < 1e-5

    def loss(coef):
        return divergence_values(
            F_DIVERGENCES[name], log_normalise(aim.utilities.log_reference + phi @ coef), aim.log_probs
        ).mean()

    found = min(minimize(loss, start, method="Nelder-Mead").fun for start in ([0.0, 0.0], [1.0, -1.0]))
    assert policy.certificate.gap == pytest.approx(found, abs=1e-6)
    assert policy.certificate.gap < loss(np.zeros(2)) - 1e-3


def test_total_variation_over_features_keeps_its_best_point():
    aim = target(1)
    phi = np.random.default_rng(2).normal(size=(5, 6, 1))
    with pytest.warns(ConvergenceWarning):
        policy = f_dpg(aim, divergence="total_variation", features=phi, max_iter=500)
    grid = np.linspace(-4, 4, 801)
    values = [
        divergence_values(
            F_DIVERGENCES["total_variation"],
            log_normalise(aim.utilities.log_reference + c * phi[..., 0]),
            aim.log_probs,
        ).mean()
        for c in grid
    ]
    assert policy.certificate.gap == pytest.approx(min(values), abs=2e-3)


def test_reverse_kl_takes_one_mode_and_forward_kl_covers_both():
    place = np.linspace(-3, 3, 61)
    raw = Utilities(np.zeros((1, 61, 1)))
    bimodal = np.logaddexp(-((place - 1.6) ** 2) / 0.08, -((place + 1.6) ** 2) / 0.08 - 1.0)[None]
    aim = FinitePolicy(log_normalise(bimodal), raw, "two modes")
    phi = np.stack([place, place**2], axis=1)[None]
    near = place > 0

    def right(name):
        return f_dpg(aim, divergence=name, features=phi).probs[0, near].sum()

    assert right("reverse_kl") > 0.99
    assert 0.6 < right("forward_kl") < 0.8


def test_targets_without_full_support():
    raw = Utilities.from_matrix([[1.0, 2.0, 0.0]], reference=[0.2, 0.5, 0.3])
    aim = binary_target(raw, [[True, True, False]])
    for name in ("reverse_kl", "reverse_chi2"):
        with pytest.raises(DataError, match="infinite") as caught:
            f_dpg(aim, divergence=name)
        assert "forward_kl" in caught.value.fix and "reverse" not in caught.value.fix
    policy = f_dpg(aim, divergence="jensen_shannon")
    np.testing.assert_allclose(policy.probs, aim.probs, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_sampled_gradients_are_without_bias(name, baseline):
    q, t = pair(3, prompts=1, candidates=3)
    b = pair(4, prompts=1, candidates=3)[0]
    draws = np.array(list(itertools.product(range(3), repeat=2)))
    chance = np.exp(b[0][draws].sum(axis=1))
    rows = [np.repeat(each, len(draws), axis=0) for each in (q, t, b)]
    f = F_DIVERGENCES[name]
    mean = chance @ sampled_gradient(f, *rows, draws, baseline)
    np.testing.assert_allclose(mean, divergence_gradient(f, q, t)[0], atol=1e-12)


def test_a_baseline_takes_off_noise():
    q, t = pair(5, prompts=1, candidates=5)
    f = F_DIVERGENCES["forward_kl"]
    reward = np.exp(q) @ pseudo_reward(f, q, t).T
    draws = np.random.default_rng(0).choice(5, size=(20_000, 4), p=np.exp(q[0]))
    rows = [np.repeat(each, len(draws), axis=0) for each in (q, t, q)]
    plain, less = (sampled_gradient(f, *rows, draws, b).var(axis=0).sum() for b in (0.0, float(reward[0, 0])))
    assert less < 0.8 * plain


@pytest.mark.parametrize("proposal", ["policy", "reference"])
@pytest.mark.parametrize("name", ["reverse_kl", "forward_kl", "jensen_shannon"])
def test_sampled_descents_come_near(name, proposal):
    aim = target(2)
    run = f_dpg_sampled(aim, divergence=name, proposal=proposal, n_steps=200, learning_rate=0.4, rng=1)
    assert run.divergence[-1] < 0.1 * run.divergence[0]
    assert run.divergence[-1] == pytest.approx(f_divergence(run.policy, aim, name).mean())
    assert run.partition_error[-1] < 0.2 < run.partition_error[0]
    exact = f_dpg_sampled(aim, divergence=name, n_steps=5, known_partition=True, baseline=False)
    np.testing.assert_array_equal(exact.partition_error, 0.0)
    again = f_dpg_sampled(aim, divergence=name, proposal=proposal, n_steps=200, learning_rate=0.4, rng=1)
    np.testing.assert_array_equal(run.divergence, again.divergence)
    assert run.to_frame().num_rows == 201 and json.loads(run.to_json())["divergence"][0] > 0
    assert "200 steps" in repr(run)


def test_refusals():
    aim = target()
    with pytest.raises(UsageError, match="divergence"):
        f_dpg(aim, divergence="hellinger")
    with pytest.raises(DataError, match="Features"):
        f_dpg(aim, features=np.zeros((5, 5, 1)))
    with pytest.raises(DataError, match="different candidates"):
        f_divergence(aim, kl_optimal(Utilities.from_matrix([[0.0, 1.0]]), beta=1.0))
    for bad in ({"n_samples": 0}, {"n_steps": 0}, {"learning_rate": 0.0}, {"proposal": "target"}):
        with pytest.raises(UsageError):
            f_dpg_sampled(aim, **bad)
    with pytest.raises(DataError, match="allowed"):
        binary_target(aim.utilities, np.zeros((5, 6), bool))
    with pytest.raises(DataError, match="bool array"):
        binary_target(aim.utilities, np.ones((5, 6)))
