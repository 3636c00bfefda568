from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pluralism.data import simulate_ideal_points, simulate_mixture
from pluralism.data.questions import draw_questions
from pluralism.data.simulate import flip
from pluralism.errors import UsageError

ALPHA = 1e-6  # Two-sided level of each binomial bound: a true simulator fails about once in a million checks.


def _assert_frequency(hits: np.ndarray, probability: np.ndarray) -> None:
    """The number of hits of independent Bernoulli draws is within normal bounds of its expectation."""
    spread = math.sqrt(float(np.sum(probability * (1 - probability))))
    assert abs(hits.sum() - probability.sum()) <= stats.norm.isf(ALPHA / 2) * spread + 1


@pytest.mark.parametrize("seed", range(3))
def test_outcomes_follow_the_declared_probabilities(seed: int) -> None:
    simulation = simulate_mixture(
        n_users=300,
        n_items=60,
        pairs_per_user=100,
        scale=2.0,
        ties=0.7,
        position_bias=0.4,
        noise=0.1,
        item_effects=0.5,
        covariate_effects={"length": [0.0, 0.5, -0.5]},
        rng=seed,
    )
    data, truth = simulation.comparisons, simulation.truth
    tie = data.outcome == 0.5
    _assert_frequency(tie, truth.tie_probability)
    _assert_frequency(data.outcome[~tie] == 1.0, truth.probability[~tie])
    _assert_frequency(truth.lapsed, np.full(len(data), 0.1))
    for low, high in itertools.pairwise([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]):
        bin_ = ~tie & (truth.probability >= low) & (truth.probability <= high)
        _assert_frequency(data.outcome[bin_] == 1.0, truth.probability[bin_])


def test_probabilities_are_davidsons_with_bias_and_lapses() -> None:
    ties, bias, noise = 0.8, 0.3, 0.2
    simulation = simulate_mixture(n_users=20, ties=ties, position_bias=bias, noise=noise, item_effects=1.0, rng=0)
    data, truth = simulation.comparisons, simulation.truth
    group = truth.groups[data.user]
    left, right = truth.item_rewards[data.left, group] + bias, truth.item_rewards[data.right, group]
    # Davidson in worths: p_left : p_right : p_tie = a : b : nu sqrt(a b).
    a, b = np.exp(left), np.exp(right)
    total = a + b + ties * np.sqrt(a * b)
    p_left, p_right, p_tie = a / total, b / total, ties * np.sqrt(a * b) / total
    np.testing.assert_allclose(truth.tie_probability, (1 - noise) * p_tie, rtol=1e-9)
    p_left, p_right = (1 - noise) * p_left + noise / 2, (1 - noise) * p_right + noise / 2
    np.testing.assert_allclose(truth.probability, p_left / (p_left + p_right), rtol=1e-9)


def test_item_rewards_add_up_and_have_the_declared_scale() -> None:
    simulation = simulate_mixture(
        n_groups=4,
        scale=2.5,
        item_effects=0.7,
        covariate_effects={"length": 0.4, "age": [0, 1, 2, 3]},
        decay=1.0,
        rng=0,
    )
    items, truth = simulation.comparisons.items, simulation.truth
    linear = items.features.astype(np.float64) @ truth.heads.T
    np.testing.assert_allclose(np.sqrt(2) * linear.std(axis=0), 2.5)
    covariates = sum(items.covariate(name)[:, None] * truth.covariate_effects[name] for name in ("length", "age"))
    np.testing.assert_allclose(truth.item_rewards, linear + truth.item_effects[:, None] + covariates)
    assert truth.covariate_effects["length"].tolist() == [0.4] * 4
    assert 0.5 < truth.item_effects.std() < 0.9
    # A decaying spectrum: the first feature varies most, and the mean squared norm stays 1.
    variance = items.features.var(axis=0)
    assert variance[0] > 4 * variance[-1]
    assert abs(np.mean(np.sum(items.features.astype(float) ** 2, axis=1)) - 1) < 1e-5


def test_groups_meet_their_shares_and_are_written_on_the_rows() -> None:
    simulation = simulate_mixture(n_users=240, n_groups=4, group_weights=[0.4, 0.3, 0.22, 0.08], rng=0)
    data, truth = simulation.comparisons, simulation.truth
    assert np.bincount(truth.groups).tolist() == [96, 72, 53, 19]
    np.testing.assert_array_equal(data.group, truth.groups[data.user])
    assert not np.all(np.diff(truth.groups) >= 0)


@pytest.mark.parametrize("agreement", [0.0, 0.5, 1.0])
def test_agreement_is_the_correlation_of_groups(agreement: float) -> None:
    rewards = [simulate_mixture(n_groups=2, dim=200, agreement=agreement, rng=s).truth.item_rewards for s in range(5)]
    found = np.mean([np.corrcoef(r.T)[0, 1] for r in rewards])
    assert abs(found - agreement) < 0.1


def test_prompts_are_never_mixed() -> None:
    data = simulate_mixture(n_items=50, n_prompts=7, rng=0).comparisons
    codes = data.items.prompt_codes()
    np.testing.assert_array_equal(codes[data.left], codes[data.right])
    assert sorted(np.bincount(codes).tolist()) == [7, 7, 7, 7, 7, 7, 8]


@pytest.mark.parametrize("counts", [[3, 0, 28, 15, 60], [1] * 5])
def test_nobody_is_asked_twice_while_there_are_new_pairs(counts: list[int]) -> None:
    prompt = np.array([0, 1, 0, 1, 0, 2, 0, 0, 0, 0])  # 21 pairs of prompt 0 and 1 of prompt 1
    user, left, right = draw_questions(np.random.default_rng(0), np.array(counts), prompt)
    assert np.bincount(user, minlength=5).tolist() == counts
    for u, n in enumerate(counts):
        asked = np.column_stack([np.minimum(left, right), np.maximum(left, right)])[user == u]
        _, times = np.unique(asked, axis=0, return_counts=True)
        assert len(times) == min(n, 22)
        assert n == 0 or times.max() - (times.min() if n >= 22 else 1) <= 1
    assert np.all(prompt[left] == prompt[right]) and np.all(left != right)


def test_questions_are_uniform_over_pairs_and_orders() -> None:
    prompt = np.array([0, 0, 0, 1, 1])
    _, left, right = draw_questions(np.random.default_rng(1), np.ones(20_000, dtype=int), prompt)
    _, times = np.unique(np.column_stack([left, right]), axis=0, return_counts=True)
    assert len(times) == 8
    assert stats.chisquare(times).pvalue > ALPHA


def test_ideal_points_follow_the_declared_probabilities() -> None:
    simulation = simulate_ideal_points(
        n_users=100, n_items=50, pairs_per_user=200, concentration=0.5, spread=0.2, scale=2.0, ties=0.3, rng=0
    )
    data, truth = simulation.comparisons, simulation.truth
    features = data.items.features.astype(np.float64)
    distance = np.sum((features[None] - truth.ideal_points[:, None]) ** 2, axis=2)
    difference = truth.sharpness * (distance[data.user, data.right] - distance[data.user, data.left])
    np.testing.assert_allclose(truth.probability, 1 / (1 + np.exp(-difference)), atol=1e-9)
    tie = data.outcome == 0.5
    _assert_frequency(tie, truth.tie_probability)
    _assert_frequency(data.outcome[~tie] == 1.0, truth.probability[~tie])
    # The scale is the root mean square over users of the standard deviation of log-odds over pairs.
    spread = truth.sharpness * np.sqrt(2) * distance.std(axis=1)
    assert abs(np.sqrt(np.mean(spread**2)) - 2.0) < 1e-9
    np.testing.assert_allclose(truth.user_weights.sum(axis=1), 1)
    np.testing.assert_array_equal(truth.groups, truth.user_weights.argmax(axis=1))


def test_pure_ideal_points_are_the_prototypes_and_never_err_at_infinite_scale() -> None:
    simulation = simulate_ideal_points(n_users=50, group_weights=[0.5, 0.3, 0.2], scale=math.inf, rng=0)
    data, truth = simulation.comparisons, simulation.truth
    np.testing.assert_array_equal(truth.ideal_points, truth.prototypes[truth.groups])
    np.testing.assert_array_equal(data.outcome, truth.probability)
    rewards = truth.item_rewards[:, truth.groups[data.user]]
    won = np.where(data.outcome == 1, data.left, data.right)
    lost = np.where(data.outcome == 1, data.right, data.left)
    rows = np.arange(len(data))
    assert np.all(rewards[won, rows] > rewards[lost, rows])


def test_seeds_repeat_and_differ() -> None:
    for simulate in (simulate_mixture, simulate_ideal_points):
        first, again, other = (simulate(n_users=20, ties=0.2, noise=0.1, rng=seed) for seed in (0, 0, 1))
        assert first.comparisons.equals(again.comparisons)
        assert not first.comparisons.equals(other.comparisons)


def test_flip_turns_the_stated_share_of_rows() -> None:
    data = simulate_mixture(n_users=50, rng=0).comparisons
    noisy = flip(data, 0.2, rng=0)
    assert int((noisy.outcome != data.outcome).sum()) == 200
    assert np.all((noisy.outcome == data.outcome) | (noisy.outcome == 1 - data.outcome))
    assert flip(data, 0.0).equals(data) and flip(data, 1.0).outcome.tolist() == (1 - data.outcome).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_weights": [0.5, 0.5]}, "3 non-negative"),
        ({"group_weights": [0.5, 0.5, -0.1]}, "3 non-negative"),
        ({"n_users": 2}, "too few"),
        ({"scale": -1.0}, "scale"),
        ({"ties": -0.1}, "Davidson"),
        ({"noise": 1.5}, "noise"),
        ({"position_bias": math.nan}, "position_bias"),
        ({"scale": math.inf, "ties": 0.5}, "never err"),
        ({"n_items": 5, "n_prompts": 3}, "cannot be shared"),
        ({"n_items": 1}, "nothing to compare"),
        ({"pairs_per_user": [1, 2]}, "pairs_per_user"),
        ({"agreement": 2.0}, "agreement"),
        ({"covariate_effects": {"age": [1.0, 2.0]}}, "covariate_effects"),
    ],
)
def test_impossible_populations_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        simulate_mixture(**options)
