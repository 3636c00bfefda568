"""CVaR, robust means, power means, Nash welfare and pessimism: what each must do, in limits and by its conditions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.errors import ComparabilityWarning, UsageError
from pluralism.policy import cvar, kl_optimal, maxmin, nash, p_mean, pessimistic, robust_mean
from pluralism.social_choice import Utilities
from pluralism.social_choice.welfare import cvar as worst_share
from pluralism.social_choice.welfare import effective_weights
from pluralism.social_choice.welfare import p_mean as welfare
from pluralism.testing.collective_strategies import utilities


@pytest.fixture(scope="module")
def made():
    """Three groups, partly opposed, with something for all."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(12, 5, 1)), rng.normal(size=(12, 5, 3))
    own[..., 2] = -own[..., 0]
    return Utilities(shared + own, rng.normal(size=(12, 5)), [0.6, 0.3, 0.1]).to_unit("gain")


@settings(max_examples=40)
@given(utilities(), st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([0.15, 0.5, 0.9]))
def test_the_worst_off_share_of_people(raw, beta, alpha):
    found = cvar(raw.to_unit("gain"), alpha=alpha, beta=beta)
    gain = raw.to_unit("gain")
    order = np.argsort(found.group_utilities)
    mass, value = alpha, 0.0
    for k in order:
        part = min(mass, gain.shares[k])
        value += part * found.group_utilities[k]
        mass -= part
    width = max(float(np.ptp(gain.values)), 1e-9)
    assert found.certificate.gap <= 1e-7 * width
    assert found.certificate.primal[0] == pytest.approx(value / alpha - beta * found.kl_mean, abs=1e-6 * width)
    assert np.all(found.certificate.weights <= gain.shares / alpha + 1e-7)


def test_cvar_goes_from_maxmin_to_the_mean(made):
    beta = 0.2
    np.testing.assert_allclose(cvar(made, alpha=1.0, beta=beta).probs, kl_optimal(made, beta=beta).probs)
    np.testing.assert_allclose(cvar(made, alpha=0.05, beta=beta).probs, maxmin(made, beta=beta).probs, atol=1e-5)
    alphas = (0.1, 0.4, 0.7, 1.0)
    found = [cvar(made, alpha=a, beta=0.0).group_utilities for a in alphas]
    for i, a in enumerate(alphas):
        worst_off = [worst_share(gains, made.shares, alpha=a) for gains in found]
        assert worst_off[i] >= max(worst_off) - 1e-6


@pytest.mark.parametrize("divergence", ["chi_square", "kl"])
def test_robust_means_stay_in_their_ball_and_meet_the_mean(made, divergence):
    beta = 0.2
    for radius in (0.01, 0.5, 3.0):
        found = robust_mean(made, radius=radius, divergence=divergence, beta=beta)
        w, s = found.certificate.weights[0], made.shares
        spent = (
            np.sum((w - s) ** 2 / s) if divergence == "chi_square" else np.sum(w * np.log(np.maximum(w, 1e-300) / s))
        )
        assert spent <= radius * (1 + 1e-6)
        assert found.certificate.gap <= 1e-7
    near = robust_mean(made, radius=1e-8, divergence=divergence, beta=beta)
    np.testing.assert_allclose(near.probs, kl_optimal(made, beta=beta).probs, atol=1e-3)
    far = robust_mean(made, radius=100.0, divergence=divergence, beta=beta)
    np.testing.assert_allclose(far.probs, maxmin(made, beta=beta).probs, atol=1e-4)


@pytest.mark.parametrize("rho", [0.7, 0.3, 0.0, -1.0, -4.0])
def test_power_means_weigh_groups_by_what_they_gain(made, rho):
    found = p_mean(made, rho=rho, beta=0.2)
    gains = found.group_utilities
    assert found.certificate.gap <= 1e-7
    value = welfare(gains, made.shares, rho=rho) - 0.2 * found.kl_mean
    assert found.certificate.primal[0] == pytest.approx(value, abs=1e-6)
    expected = effective_weights(gains, made.shares, rho=rho)
    np.testing.assert_allclose(found.certificate.weights[0], expected, atol=1e-4)


def test_smaller_exponents_give_the_worst_off_more(made):
    least = [p_mean(made, rho=rho, beta=0.0).group_utilities.min() for rho in (1.0, 0.5, 0.0, -2.0, -20.0, -np.inf)]
    assert np.all(np.diff(least) >= -1e-5)
    assert least[-1] == pytest.approx(maxmin(made, beta=0.0).group_utilities.min(), abs=1e-6)


def test_nash_welfare_has_its_fixed_point(made):
    beta = 0.3
    found = nash(made, beta=beta)
    gains = found.group_utilities
    logs = made.log_reference + (made.values @ (made.shares / gains)) / beta
    logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
    np.testing.assert_allclose(found.probs, np.exp(logs), atol=1e-5)
    value = made.shares @ np.log(gains) - beta * found.kl_mean
    assert found.certificate.primal[0] == pytest.approx(value, abs=1e-7)
    assert found.certificate.gap <= 1e-7


def test_nash_without_a_price_uses_only_what_counts_most(made):
    found = nash(made, beta=0.0)
    worth = np.where(made.mask, made.values @ (made.shares / found.group_utilities), -np.inf)
    best = worth.max(axis=1, keepdims=True)
    assert np.all((found.probs < 1e-5) | (worth > best - 1e-4))


def test_the_unit_of_a_group_does_not_matter_to_nash(made):
    scaled = Utilities(made.values * np.array([1.0, 50.0, 0.02]), made.log_reference, made.shares, unit="gain")
    np.testing.assert_allclose(nash(scaled, beta=0.3).probs, nash(made, beta=0.3).probs, atol=1e-6)
    assert np.abs(maxmin(scaled, beta=0.3).probs - maxmin(made, beta=0.3).probs).max() > 0.01


@pytest.mark.parametrize("scope", ["global", "per_prompt"])
def test_where_nobody_can_gain_without_a_loser_the_reference_stays(scope):
    opposed = Utilities.from_matrix([[1.0, -1.0], [-1.0, 1.0]], shares=[0.7, 0.3], unit="gain")
    for found in (nash(opposed, beta=0.1, scope=scope), p_mean(opposed, rho=-1.0, beta=0.1, scope=scope)):
        np.testing.assert_allclose(found.probs, 0.5)
        assert "No policy serves all groups" in found.notes[0]
    # with nothing as the point of disagreement there is something to share, by the shares
    shared = Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]], shares=[0.7, 0.3], unit="gain")
    found = nash(shared, beta=0.0, disagreement=[0.0, 0.0], scope=scope)
    np.testing.assert_allclose(found.probs, [[0.7, 0.3]], atol=1e-6)


def test_on_some_prompts_only():
    values = np.array([[[1.0, -1.0], [-1.0, 1.0]], [[2.0, 2.0], [0.0, 0.0]]])
    found = nash(Utilities(values).to_unit("gain"), beta=0.0, scope="per_prompt")
    np.testing.assert_allclose(found.probs, [[0.5, 0.5], [1.0, 0.0]], atol=1e-6)
    assert "On 1 of 2 prompts" in found.notes[0]


def test_pessimism_trusts_credible_members(made):
    beta = 0.2
    plain = pessimistic(made, beta=beta)
    np.testing.assert_allclose(plain.probs, maxmin(made, beta=beta).probs, atol=1e-6)
    one = pessimistic(made, beta=beta, loss=[0.0, 1e6, 1e6], eta=1.0)
    np.testing.assert_allclose(one.probs, kl_optimal(made, beta=beta, weights=[1, 0, 0]).probs, atol=1e-5)
    loss = np.array([3.0, 3.2, 3.1])
    found = pessimistic(made, beta=beta, loss=loss, eta=2.0)
    value = (found.group_utilities + (loss - 3.0) / 2.0).min() - beta * found.kl_mean
    assert found.certificate.primal[0] == pytest.approx(value, abs=1e-7)
    assert found.certificate.gap <= 1e-7
    for eta in (1e-3, 1e-12):
        sure = pessimistic(made, beta=beta, loss=loss, eta=eta)
        np.testing.assert_allclose(sure.probs, kl_optimal(made, beta=beta, weights=[1, 0, 0]).probs, atol=1e-9)
        assert sure.certificate.gap <= 1e-9


def test_a_share_too_small_to_hold_anybody_back_is_maxmin(made):
    for alpha in (0.1, 1e-3, 1e-300):
        found = cvar(made, alpha=alpha, beta=0.1)
        np.testing.assert_allclose(found.probs, maxmin(made, beta=0.1).probs, atol=1e-5)
        assert found.certificate.gap <= 1e-8


@pytest.mark.parametrize("beta", [1e8, 1e12, 1e300])
def test_prices_so_high_that_only_the_reference_is_left(made, beta):
    unit = np.ptp(made.values)
    for rule in (maxmin, kl_optimal):
        found = rule(made, beta=beta)
        np.testing.assert_allclose(found.probs, np.exp(made.log_reference), atol=1e-7)
        assert 0.0 <= found.kl_mean <= (unit / beta) ** 2 + 1e-30
        assert abs(found.certificate.gap) <= 1e-9 * unit
    if beta > 1e13:
        for each in (lambda: nash(made, beta=beta), lambda: p_mean(made, rho=0.5, beta=beta)):
            with pytest.raises(UsageError, match="below rounding"):
                each()


def test_settings_that_cannot_work_are_refused(made):
    with pytest.warns(ComparabilityWarning):
        cvar(Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]]), alpha=0.5, beta=1.0)
    calls = [
        lambda: cvar(made, alpha=0.0, beta=1.0),
        lambda: robust_mean(made, radius=-1.0, beta=1.0),
        lambda: robust_mean(made, radius=1.0, beta=1.0, divergence="tv"),
        lambda: p_mean(made, rho=1.5, beta=1.0),
        lambda: nash(made, beta=1.0, disagreement=[0.0]),
        lambda: pessimistic(made, beta=1.0, eta=0.0),
        lambda: pessimistic(made, beta=1.0, loss=[1.0]),
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call()


def test_units_far_apart_do_not_hide_what_all_can_gain():
    matrix = np.array([[2.0, 0.0, 1.2], [0.0, 1.0, 0.7]])
    plain = nash(Utilities.from_matrix(matrix, unit="gain"), beta=0.0)
    apart = nash(Utilities.from_matrix(matrix * [[1e9], [1.0]], unit="gain"), beta=0.0)
    assert not apart.notes
    np.testing.assert_allclose(apart.probs, plain.probs, atol=1e-5)


def test_groups_of_no_share_do_not_count_in_power_means():
    made = Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]], shares=[1.0, 0.0], unit="gain")
    for rho in (-np.inf, -50.0):
        np.testing.assert_allclose(p_mean(made, rho=rho, beta=0.0).probs, [[1.0, 0.0]], atol=1e-6)


def test_groups_that_do_not_care_bring_no_warning():
    made = Utilities.from_matrix([[2.0, 2.0], [3.0, 3.0]], unit="gain")
    np.testing.assert_allclose(maxmin(made, beta=0.0).group_utilities, [2.0, 3.0])
