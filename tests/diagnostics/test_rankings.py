"""Ranking accuracy, what DPO could reach, and how hard pairs are: by hand, by optimal policies, by random cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instrument_checks import check_result
from scipy.special import expit, log_expit, logit

from pluralism.diagnostics import PairLogProbs, dpo_hardness, idealised_ranking_accuracy, ranking_accuracy
from pluralism.errors import DataError, UsageError

LOGS = st.floats(-80, -0.01)


def random_pairs(n, rng, *, tokens=False):
    counts = rng.integers(1, 30, size=(2, n)) if tokens else (None, None)
    return PairLogProbs(-rng.exponential(20, n), -rng.exponential(20, n), *counts)


def test_ranking_by_hand():
    pairs = PairLogProbs([-3.0, -9.0, -4.0, -2.0], [-4.0, -5.0, -4.0, -6.0], [1, 9, 2, 1], [1, 1, 2, 6])
    found = ranking_accuracy(pairs, groups=["a", "a", "b", "b"])
    # The third pair is a tie, which is not right; normalised, the second pair turns round and the last one falls.
    assert found.groups == ("all", "a", "b")
    np.testing.assert_array_equal(found.accuracy, [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(found.normalised, [0.5, 1.0, 0.0])
    np.testing.assert_array_equal(found.ties, [1, 0, 1])
    assert ((found.low < found.accuracy) & (found.accuracy < found.high)).all()
    check_result(found, rows=3)


def test_pairs_say_how_many_they_are():
    assert repr(PairLogProbs([-1.0, -2.0], [-2.0, -5.0])) == "PairLogProbs(2 pairs, mean margin 2.000 nats)"
    assert repr(PairLogProbs([], [])) == "PairLogProbs(0 pairs)"


def test_counts_of_tokens_are_needed_for_normalising():
    found = ranking_accuracy(PairLogProbs([-1.0], [-2.0]))
    assert np.isnan(found.normalised).all() and found.accuracy[0] == 1


def test_accuracy_of_groups_averages_to_that_of_all():
    rng = np.random.default_rng(0)
    pairs, groups = random_pairs(300, rng, tokens=True), rng.choice(list("abc"), 300)
    found = ranking_accuracy(pairs, groups=groups)
    np.testing.assert_allclose(found.accuracy[1:] @ found.pairs[1:] / 300, found.accuracy[0])
    np.testing.assert_allclose(found.normalised[1:] @ found.pairs[1:] / 300, found.normalised[0])


@settings(max_examples=40)
@given(LOGS, LOGS, st.floats(0.01, 0.99), st.floats(0.02, 5.0))
def test_idealised_accuracy_is_that_of_the_optimal_policy(chosen, rejected, alpha, beta):
    # The optimum of DPO's objective on all answers: pi(w) / pi(l) = p(w) / p(l) (alpha / (1 - alpha))^(1 / beta).
    log_ratio = chosen - rejected + np.log(alpha / (1 - alpha)) / beta
    found = idealised_ranking_accuracy(PairLogProbs([chosen], [rejected]), [alpha], beta=beta)
    if abs(log_ratio) > 1e-9:
        assert found.idealised[0] == (log_ratio > 0)


def test_the_optimal_policy_minimises_the_expected_loss():
    start, alpha, beta = PairLogProbs([-5.0], [-3.0]), 0.8, 0.4
    margins = np.linspace(-20, 20, 400_001)
    h = beta * (margins - start.margin[0])
    best = margins[np.argmin(-alpha * log_expit(h) - (1 - alpha) * log_expit(-h))]
    np.testing.assert_allclose(best, start.margin[0] + logit(alpha) / beta, atol=1e-3)


def test_groups_that_cannot_all_be_satisfied():
    start = PairLogProbs([-10.0, -10.0, -10.0], [-12.0, -4.0, -10.5])
    agreement = [[0.9, 0.7], [0.95, 0.1], [np.nan, 0.2]]
    policy = PairLogProbs([-9.0, -9.0, -9.0], [-12.0, -10.0, -8.0])
    found = idealised_ranking_accuracy(
        start, agreement, beta=1.0, policy=policy, shares=[3, 1], group_names=["many", "few"]
    )
    # Only the second pair divides the groups; the third was judged by one of them.
    assert found.contested == 1 and found.n_pairs == 3
    np.testing.assert_array_equal(found.pairs, [3, 2, 3])
    # many: logit(.95) = 2.94 does not overcome 6 nats; few: wants the second answer in pairs 2 and 3.
    np.testing.assert_allclose(found.idealised, [2 / 3, 1 / 2, 1.0])
    # All together have alpha .85, .7375 and .2: pair 2 stays below 0, which is what the few want.
    np.testing.assert_allclose(found.shared, [2 / 3, 1 / 2, 1.0])
    np.testing.assert_allclose(found.observed, [1.0, 1.0, 2 / 3])
    np.testing.assert_allclose(found.alignment_gap, [-1 / 3, -1 / 2, 1 / 3])
    # 0.75 + 0.25, then the larger side 0.75, then 0.25 alone.
    np.testing.assert_allclose(found.ceiling, (1 + 0.75 + 0.25) / (1 + 1 + 0.25))
    assert "1 of 3 pairs cannot be ranked right for all groups" in repr(found)
    check_result(found, rows=3)


def test_people_who_are_split_evenly_have_no_say():
    # As floats the mean of .2, .5 and .8 is .5, and that of .2, .95 and .35 a little off.
    found = idealised_ranking_accuracy(
        PairLogProbs([-1.0] * 2, [-1.0] * 2), [[0.2, 0.5, 0.8], [0.2, 0.95, 0.35]], beta=1.0
    )
    assert found.pairs.tolist() == [0, 2, 1, 2] and np.isnan(found.idealised[0])


def test_one_policy_for_all_never_beats_a_groups_own_when_the_reference_is_even():
    rng = np.random.default_rng(1)
    start = PairLogProbs(np.full(200, -5.0), np.full(200, -5.0))
    found = idealised_ranking_accuracy(start, rng.random((200, 3)), beta=0.3)
    # Without a reference to overcome, each group's own optimum is right everywhere.
    np.testing.assert_array_equal(found.idealised, 1.0)
    assert (found.shared[1:] < 1).all() and found.shared[0] == 1
    assert found.ceiling >= found.shared[1:].mean()


@settings(max_examples=40)
@given(LOGS, LOGS, LOGS, LOGS, st.floats(0.01, 10.0))
def test_a_pair_is_ranked_right_iff_its_loss_is_low_enough(chosen, rejected, first, second, beta):
    found = dpo_hardness(PairLogProbs([first], [second]), beta=beta, policy=PairLogProbs([chosen], [rejected]))
    loss = -log_expit(beta * ((chosen - first) - (rejected - second)))
    np.testing.assert_allclose(found.loss[0], loss, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(found.threshold[0], -log_expit(beta * (second - first)), rtol=1e-9, atol=1e-300)
    if abs(chosen - rejected) * beta > 1e-6 and max(found.loss[0], found.threshold[0]) > 1e-12:
        assert (found.loss[0] <= found.threshold[0]) == (chosen >= rejected) == found.right[0]


def test_the_equivalence_on_a_thousand_cases():
    rng = np.random.default_rng(2)
    policy, start = random_pairs(1000, rng), random_pairs(1000, rng)
    found = dpo_hardness(start, beta=0.05, policy=policy)
    np.testing.assert_array_equal(found.loss <= found.threshold, policy.margin >= 0)


def test_hardness_by_group():
    start = PairLogProbs([-1.0, -5.0, -5.0, -1.0], [-3.0, -2.0, -1.0, -2.0])
    policy = PairLogProbs([-1.0, -1.0, -6.0, -3.0], [-3.0, -2.0, -1.0, -2.0])
    found = dpo_hardness(start, beta=0.1, policy=policy, groups=["a", "a", "b", "b"])
    table = found.by_group().to_pydict()
    assert table["group"] == ["all", "a", "b"]
    assert table["reference_right"] == [0.5, 0.5, 0.5]
    # Of the two hard pairs one is mended, in a; of the two easy ones one is spoilt, in b.
    assert table["mended"] == [0.5, 1.0, 0.0] and table["spoilt"] == [0.5, 0.0, 1.0]
    np.testing.assert_allclose(found.hardness, [-2, 3, 4, -1])
    np.testing.assert_allclose(expit(-0.1 * found.hardness), 1 - np.exp(-found.threshold))
    check_result(found, rows=4)
    check_result(dpo_hardness(start, beta=0.1), rows=4)


def test_log_probs_of_a_language_model(tiny_lm):
    from tiny_lm import PROMPTS, RESPONSES, SYSTEMS

    for system, chosen, rejected in (("plain", "plain", "warm"), ("warm", "warm", "plain")):
        pairs = PairLogProbs.of(tiny_lm, PROMPTS, RESPONSES[chosen], RESPONSES[rejected], system=SYSTEMS[system])
        assert ranking_accuracy(pairs).accuracy[0] == 1
        first = tiny_lm.log_probs(PROMPTS, RESPONSES[chosen], system=SYSTEMS[system])
        np.testing.assert_allclose(pairs.chosen, first.total)
        np.testing.assert_array_equal(pairs.chosen_tokens, first.n_tokens)
    with pytest.raises(DataError, match="one of each"):
        PairLogProbs.of(tiny_lm, PROMPTS, PROMPTS[:1], PROMPTS)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: ranking_accuracy(PairLogProbs([], [])), DataError, "no rows"),
        (lambda: PairLogProbs([1.0], [np.nan]), DataError, "NaN"),
        (lambda: PairLogProbs([1.0, 2.0], [1.0]), DataError, "shape"),
        (lambda: PairLogProbs([1.0], [1.0], [1]), DataError, "one side"),
        (lambda: PairLogProbs([1.0], [1.0], [0], [1]), DataError, "below 1"),
        (lambda: ranking_accuracy(PairLogProbs([1.0], [0.0]), groups=["all"]), DataError, "all rows together"),
        (lambda: ranking_accuracy(PairLogProbs([1.0], [0.0]), level=1.0), UsageError, "level"),
        (lambda: dpo_hardness(PairLogProbs([1.0], [0.0]), beta=0.0), UsageError, "beta"),
        (lambda: idealised_ranking_accuracy(PairLogProbs([1.0], [0.0]), [1.2], beta=1.0), DataError, "in \\[0, 1\\]"),
        (lambda: idealised_ranking_accuracy(PairLogProbs([1.0], [0.0]), [[np.nan]], beta=1.0), DataError, "no group"),
    ],
)
def test_bad_input_is_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()
