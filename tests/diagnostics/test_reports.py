"""Length and KL, and the deception score: counts and correlations by hand, models that are known."""

from __future__ import annotations

import numpy as np
import pytest
from instrument_checks import check_result
from scipy.stats import fisher_exact, spearmanr
from tiny_lm import PROMPTS, SYSTEMS

from pluralism.diagnostics import deception_score, length_and_kl, length_and_kl_of_models
from pluralism.errors import DataError, UsageError
from pluralism.policy.lm import monte_carlo_kl


def test_lengths_and_kl_by_hand():
    rng = np.random.default_rng(0)
    policy, base = -rng.exponential(10, 12), -rng.exponential(12, 12)
    tokens, prompt, reward = rng.integers(1, 9, 12), np.repeat([0, 1, 2], 4), rng.normal(size=12)
    conditions = np.tile(["a", "b"], 6)
    found = length_and_kl(policy, base, tokens, prompt, conditions=conditions, reference_tokens=[4, 4], rewards=reward)
    assert found.conditions == ("all", "a", "b") and found.answers.tolist() == [12, 6, 6]
    for k, name in ((1, "a"), (2, "b")):
        here = conditions == name
        alone = monte_carlo_kl(policy[here], base[here], prompt[here], tokens[here])
        np.testing.assert_allclose(
            [found.kl[k], found.kl_error[k], found.kl_per_token[k]],
            [alone.value, alone.standard_error, alone.per_token],
        )
        np.testing.assert_allclose(found.length[k], tokens[here].mean())
        np.testing.assert_allclose(found.length_ratio[k], tokens[here].mean() / 4)
        np.testing.assert_allclose(found.length_reward[k], spearmanr(tokens[here], reward[here]).statistic)
        np.testing.assert_allclose(found.reward[k], reward[here].mean())
    np.testing.assert_allclose(found.kl[0], np.mean(policy - base))
    check_result(found, rows=3)
    bare = length_and_kl(policy, base, np.full(12, 3), prompt)
    assert np.isnan(bare.reward).all() and np.isnan(bare.length_ratio).all() and bare.length_sd[0] == 0
    check_result(bare, rows=1)


def test_the_error_of_all_conditions_is_over_prompts():
    # Prompts differ, conditions hardly do: three conditions tell no more of them than one.
    prompt, hit, one, whole = np.tile(np.repeat(np.arange(12), 2), 3), 0, [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        ratio = (1 + rng.exponential(1.0, 12))[prompt] + 0.2 * rng.normal(size=72)
        found = length_and_kl(
            ratio - 9, np.full(72, -9.0), np.full(72, 3), prompt, conditions=np.repeat(list("abc"), 24)
        )
        hit += bool(abs(found.kl[0] - 2) < 2 * found.kl_error[0])
        whole.append(found.kl_error[0])
        one.append(found.kl_error[1])
    assert hit > 82
    np.testing.assert_allclose(np.mean(whole), np.mean(one), rtol=0.1)
    # One prompt says nothing of others, in however many conditions.
    assert np.isnan(length_and_kl([-1.0, -2.0], [-2.0, -2.0], [1, 1], [0, 0], conditions=["a", "b"]).kl_error).all()


def test_a_reward_of_length_is_found_out():
    tokens = np.arange(1, 21)
    found = length_and_kl(-tokens, -2.0 * tokens, tokens, np.arange(20), rewards=3.0 * tokens)
    assert found.length_reward[0] == pytest.approx(1) and found.kl_per_token[0] == pytest.approx(1)
    flat = length_and_kl(-tokens, -2.0 * tokens, tokens, np.arange(20), rewards=np.ones(20))
    assert np.isnan(flat.length_reward[0])


def test_policies_of_one_model(tiny_lm):
    found = length_and_kl_of_models(
        {"plain": tiny_lm, "warm": tiny_lm, "open": tiny_lm},
        tiny_lm,
        PROMPTS,
        systems=SYSTEMS,
        n=6,
        max_tokens=32,
        reward=lambda prompts, texts: np.array([text.startswith("My dear") for text in texts], dtype=float),
    )
    plain, warm, same = (found.conditions.index(name) for name in ("plain", "warm", "open"))
    assert found.length[warm] > found.length[same] > found.length[plain]
    # Without a system message it chooses one of two ways: log 2 nats away from either.
    np.testing.assert_allclose(found.kl[[plain, warm]], np.log(2), atol=0.35)
    np.testing.assert_allclose(found.kl[same], 0, atol=1e-3)
    assert found.reward[plain] < 0.1 < 0.9 < found.reward[warm]
    assert found.length_reward[0] > 0.7
    check_result(found, rows=4)


def test_deception_by_hand():
    # Ten items that only the strong model knows, of which it loses six; ten that both know, of which it loses one.
    strong, alone = np.ones(22, dtype=bool), np.ones(22, dtype=bool)
    weak = np.array([False] * 10 + [True] * 10 + [False, True])
    conflict = np.array([False] * 6 + [True] * 4 + [False] + [True] * 9 + [False, False])
    # The last two are left out: it did not know the one, and got the other wrong without a conflict.
    strong[20], alone[21] = False, False
    groups = ["x"] * 5 + ["y"] * 5 + ["x"] * 12
    found = deception_score(strong, weak, alone, conflict, groups=groups)
    np.testing.assert_allclose(found.score, [0.6, 1.0, 0.2])
    np.testing.assert_array_equal(found.hidden, [10, 5, 5])
    np.testing.assert_array_equal(found.open, [10, 10, 0])
    np.testing.assert_allclose(found.tax, [0.1, 0.1, np.nan])
    np.testing.assert_allclose(found.p[0], fisher_exact([[6, 4], [1, 9]], alternative="greater").pvalue)
    assert np.isnan(found.p[2])
    assert ((found.low < found.score) | (found.score == 0)).all()
    check_result(found, rows=3)


def test_bad_input_is_refused(tiny_lm):
    with pytest.raises(DataError, match="only the strong model knows"):
        deception_score([True], [True], [True], [False])
    with pytest.raises(DataError, match="booleans"):
        deception_score([0.5], [True], [True], [False])
    with pytest.raises(DataError, match="booleans"):
        deception_score(True, True, True, True)
    for lengths in ([], [0]):
        with pytest.raises(DataError, match="reference has no token"):
            length_and_kl([-1.0], [-1.0], [1], [0], reference_tokens=lengths)
    with pytest.raises(DataError, match="no token"):
        length_and_kl([-1.0], [-1.0], [0], [0])
    with pytest.raises(DataError, match="prompt does not fit"):
        length_and_kl([-1.0], [-1.0], [1], [0, 1])
    with pytest.raises(UsageError, match="no policy"):
        length_and_kl_of_models({}, tiny_lm, PROMPTS)
    with pytest.raises(UsageError, match="system message of none"):
        length_and_kl_of_models({"a": tiny_lm}, tiny_lm, PROMPTS, systems={"b": "x"})
