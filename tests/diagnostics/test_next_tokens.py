"""Branching factor, the likeliest tokens, token shift: uniform and Markov models, counts by hand, a known model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instrument_checks import check_result
from tiny_lm import PROMPTS, SYSTEMS

from pluralism.diagnostics import (
    branching_factor,
    branching_factor_of_tokens,
    token_shift,
    token_shift_of_ranks,
    top_k_entropy,
    top_k_mass,
    top_k_of_model,
)
from pluralism.diagnostics.next_tokens import entropy, nucleus
from pluralism.errors import DataError, UsageError


@pytest.fixture(scope="module")
def uniform_lm(tiny_lm):
    """The tiny model with a head of zeros: every token is as likely as any other."""
    model = tiny_lm.copy(name="uniform")
    head = torch.nn.Linear(64, model.network.config.vocab_size, bias=False)
    torch.nn.init.zeros_(head.weight)
    model.network.set_output_embeddings(head)
    return model


@pytest.fixture(scope="module")
def answers(tiny_lm):
    return tiny_lm.generate(PROMPTS, n=4, max_tokens=24, rng=0)


def vocabulary(model):
    return model.network.config.vocab_size


def test_a_uniform_model_branches_into_its_vocabulary(uniform_lm):
    answers = uniform_lm.generate(PROMPTS[:2], n=2, max_tokens=5, rng=0)
    for estimator in ("entropy", "aep", "rule"):
        found = branching_factor(uniform_lm, answers, estimator=estimator)
        np.testing.assert_allclose(found.per_prompt, vocabulary(uniform_lm), rtol=1e-5)
        np.testing.assert_allclose(found.position, vocabulary(uniform_lm), rtol=1e-5)
    # Truncation keeps as many tokens as have the mass.
    cut = branching_factor(uniform_lm, answers, top_p=0.5, estimator="entropy")
    np.testing.assert_allclose(cut.mean, np.ceil(0.5 * vocabulary(uniform_lm)), rtol=0.01)
    assert 0 < cut.outside < 1
    top = top_k_of_model(uniform_lm, answers, k=7)
    np.testing.assert_allclose(top.entropy, np.log(7), rtol=1e-5)
    np.testing.assert_allclose(top.mass, 7 / vocabulary(uniform_lm), rtol=1e-4)


def test_estimators_agree_on_a_markov_chain():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), size=5)
    stationary = np.linalg.matrix_power(p, 200)[0]
    rate = -np.sum(stationary[:, None] * p * np.log(p))
    state = rng.choice(5, p=stationary, size=60)
    entropies, logs = [], []
    for _ in range(400):
        following = np.array([rng.choice(5, p=p[s]) for s in state])
        entropies.append(-np.sum(p[state] * np.log(p[state]), axis=1))
        logs.append(np.log(p[state, following]))
        state = following
    rows = ([np.array(column) for column in zip(*values, strict=True)] for values in (entropies, logs))
    exact, drawn = ([*values] for values in rows)
    for estimator in ("entropy", "aep"):
        found = branching_factor_of_tokens(exact, drawn, np.zeros(60, dtype=int), estimator=estimator)
        np.testing.assert_allclose(found.per_prompt, np.exp(rate), rtol=0.02)


def test_the_rule_takes_likelihoods_of_long_answers_alone():
    short, long = np.full(10, 1.0), np.full(80, 1.0)
    found = branching_factor_of_tokens([short, long], [-2 * short, -2 * long], [0, 1])
    assert found.estimator == ("entropy", "aep")
    np.testing.assert_allclose(found.per_prompt, np.exp([1.0, 2.0]))
    np.testing.assert_allclose(found.mean, np.exp([1.0, 2.0]).mean())
    assert found.low < found.mean < found.high
    check_result(found, rows=2)


def test_positions_are_averaged_before_they_are_combined():
    # At position 1 the mean is 1.5, at position 2 it is 3; answers of equal weight would give 1.25 and 2.5 instead.
    found = branching_factor_of_tokens([np.array([1.0]), np.array([2.0, 3.0])], [np.zeros(1), np.zeros(2)], [0, 0])
    np.testing.assert_allclose(np.log(found.per_prompt), (1.5 + 3) / 2)
    np.testing.assert_allclose(np.log(found.position), [1.5, 3])
    np.testing.assert_array_equal(found.position_count, [2, 1])
    # Positions beyond the quantile of lengths are left out.
    short, long = np.ones(1), np.array([1.0, 9.0])
    found = branching_factor_of_tokens([short] * 3 + [long], [-short] * 3 + [-long], [0] * 4, quantile=0.5)
    np.testing.assert_allclose(np.log(found.per_prompt), 1.0)


def test_a_system_message_narrows_the_tiny_model(tiny_lm):
    free = tiny_lm.generate(PROMPTS, n=8, max_tokens=24, rng=1)
    told = tiny_lm.generate(PROMPTS, n=8, max_tokens=24, rng=1, system=SYSTEMS["plain"])
    open_, narrow = branching_factor(tiny_lm, free), branching_factor(tiny_lm, told, system=SYSTEMS["plain"])
    # Without one it first chooses between plain and warm, and knows the rest.
    assert open_.position[0] > 1.5 and narrow.position[0] < 1.3
    assert narrow.mean < open_.mean
    cold = branching_factor(tiny_lm, free, temperature=0.5)
    assert (cold.position <= open_.position + 1e-6).all()


def test_log_probs_are_those_that_were_drawn(tiny_lm, answers):
    found = branching_factor(tiny_lm, answers, estimator="aep")
    rates = -answers.log_probs / answers.n_tokens
    expected = np.exp([rates[answers.prompt == k].mean() for k in range(len(PROMPTS))])
    np.testing.assert_allclose(found.per_prompt, expected, rtol=1e-4)


@settings(max_examples=40)
@given(st.lists(st.floats(-4, 4), min_size=2, max_size=12), st.floats(0.01, 1.0))
def test_the_nucleus_is_the_smallest_set_of_the_mass(values, top_p):
    p = torch.softmax(torch.tensor([values], dtype=torch.float64), dim=-1)
    kept = torch.isfinite(nucleus(p.log(), top_p))[0].numpy()
    mass, ordered = p[0].numpy(), np.sort(p[0].numpy())[::-1]
    size = int(np.searchsorted(np.cumsum(ordered), top_p - 1e-12)) + 1
    assert abs(kept.sum() - min(size, len(values))) <= (np.abs(np.cumsum(ordered) - top_p) < 1e-9).any()
    assert mass[kept].min() >= mass[~kept].max(initial=0.0)
    np.testing.assert_allclose(nucleus(p.log(), top_p).exp().sum(), 1)


def test_entropy_and_mass_of_the_likeliest_by_hand():
    logits = torch.log(torch.tensor([[0.4, 0.4, 0.1, 0.1], [1.0, 0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(top_k_entropy(logits, 2).numpy(), [np.log(2), 0], atol=1e-6)
    np.testing.assert_allclose(top_k_mass(logits, 2).numpy(), [0.8, 1], rtol=1e-6)
    np.testing.assert_allclose(top_k_entropy(logits, 4).numpy(), entropy(torch.log_softmax(logits, -1)), atol=1e-6)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_logits_neither_overflow_nor_lose_their_differences(size):
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    moved, top = logits + 1e4, torch.softmax(logits.double(), dim=-1)[0, :2].numpy()
    np.testing.assert_allclose(top_k_mass(moved, 2), top.sum(), rtol=1e-5)
    np.testing.assert_allclose(top_k_entropy(moved, 2), -np.sum(top / top.sum() * np.log(top / top.sum())), rtol=1e-4)
    far = torch.tensor([[size, 0.0, -size, -torch.inf]])
    assert (top_k_mass(far, 1), top_k_entropy(far, 3), entropy(nucleus(far, 0.9))) == (1, 0, 0)


def test_top_k_of_a_model(tiny_lm, answers):
    found = top_k_of_model(tiny_lm, answers, k=5)
    assert found.count[0] == len(answers) and (np.diff(found.count) <= 0).all()
    assert (found.entropy <= np.log(5)).all() and (found.mass <= 1).all()
    # Where it has learnt what to say, the likeliest tokens have the mass.
    assert found.mass.mean() > 0.9
    check_result(found)


def test_a_model_is_not_shifted_from_itself(tiny_lm):
    greedy = tiny_lm.generate(PROMPTS, temperature=0.0, max_tokens=24)
    same = token_shift(tiny_lm, greedy)
    assert same.shares == {"unshifted": 1.0, "marginal": 0.0, "shifted": 0.0}
    assert same.most_shifted().num_rows == 0
    assert sum(map(len, same.ranks)) == greedy.n_tokens.sum()
    check_result(same, rows=int(greedy.n_tokens.sum()))


def test_a_warm_model_shifts_its_first_words(tiny_lm):
    warm = tiny_lm.generate(PROMPTS, temperature=0.0, max_tokens=32, system=SYSTEMS["warm"])
    found = token_shift(tiny_lm, warm, system=SYSTEMS["plain"])
    table = found.by_position().to_pydict()
    # All answers begin otherwise than the plain model would; its own continuation of a warm start is warm.
    assert table["unshifted"][0] == 0 and table["probability"][0] < 0.1
    assert np.mean(table["unshifted"][1:6]) > table["unshifted"][0]
    chosen = tiny_lm.tokenizer.decode([warm.tokens[0][0]])
    assert found.tokens[0][0] == chosen
    # The log-probabilities that the ranks come with are the model's own.
    total = tiny_lm.log_probs(PROMPTS[:1], [warm.texts[0]], system=SYSTEMS["plain"]).per_token[0]
    np.testing.assert_allclose(np.log(found.probabilities[0]), total, rtol=1e-3, atol=1e-5)


def test_kinds_of_ranks_by_hand():
    found = token_shift_of_ranks([[1, 2, 4], [3, 9]], [[0.9, 0.1, 0.01], [0.2, 0.0]], [["a", "b", "c"], ["b", "c"]])
    assert found.shares == {"unshifted": 0.2, "marginal": 0.4, "shifted": 0.4}
    assert found.most_shifted().to_pylist() == [{"token": "c", "shifted": 2, "chosen": 2, "share": 1.0}]
    assert found.by_position().to_pydict()["shifted"] == [0.0, 0.5, 1.0]
    assert found.by_position().to_pydict()["answers"] == [2, 2, 1]
    # All of a position is drawn, also of the only one.
    one = token_shift_of_ranks([[1], [4]], [[0.9], [0.01]], [["a"], ["b"]]).plot()
    spans = [patch.get_path().get_extents() for patch in one.patches]
    np.testing.assert_allclose([(span.x0, span.x1) for span in spans], [[0.5, 1.5]] * 3)
    assert [(span.y0, span.y1) for span in spans] == [(0, 0.5), (0.5, 0.5), (0.5, 1)]


def test_bad_input_is_refused(tiny_lm, answers):
    with pytest.raises(UsageError, match="top_p"):
        branching_factor(tiny_lm, answers, top_p=0.0)
    with pytest.raises(UsageError, match="temperature"):
        branching_factor(tiny_lm, answers, temperature=0.0)
    with pytest.raises(UsageError, match="estimator"):
        branching_factor(tiny_lm, answers, estimator="mean")
    with pytest.raises(UsageError, match="k="):
        top_k_of_model(tiny_lm, answers, k=100_000)
    with pytest.raises(UsageError, match="system messages"):
        token_shift(tiny_lm, answers, system=["a"])
    with pytest.raises(DataError, match="do not fit"):
        branching_factor_of_tokens([np.ones(2)], [-np.ones(2)], [0, 1])
    with pytest.raises(DataError, match="not one entropy"):
        branching_factor_of_tokens([np.ones(2)], [-np.ones(3)], [0])
    for ranks, chances, said in (
        ([[0]], [[0.5]], "Ranks"),
        ([[np.nan]], [[0.5]], "Ranks"),
        ([[]], [[]], "Ranks"),
        ([[1.5]], [[0.5]], "whole number"),
        ([[1]], [[np.nan]], "Probabilities"),
        ([[1]], [[1.2]], "Probabilities"),
        ([[1, 2]], [[0.5]], "do not fit"),
    ):
        with pytest.raises(DataError, match=said):
            token_shift_of_ranks(ranks, chances, [["a"]])
    with pytest.raises(UsageError, match="long"):
        branching_factor_of_tokens([np.ones(2)], [-np.ones(2)], [0], long=np.nan)
    with pytest.raises(DataError, match="Entropies"):
        branching_factor_of_tokens([np.array([1.0, np.nan])], [-np.ones(2)], [0])
    with pytest.raises(DataError, match="Log-probabilities"):
        branching_factor_of_tokens([np.ones(2)], [np.array([-1.0, -np.inf])], [0], estimator="aep")
    with pytest.raises(UsageError, match="whole number"):
        top_k_mass(torch.zeros(1, 4), 2.5)
