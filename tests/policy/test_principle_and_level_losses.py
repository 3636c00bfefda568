"""Losses of principles and of levels: by hand, by enumeration of a channel, numpy and torch alike, bad inputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import UsageError
from pluralism.policy import sami_loss, trpa_loss
from pluralism.policy.sami_loss import column_bound, row_bound


def test_sami_is_both_cross_entropies():
    x = np.array([[0.0, -1.0], [-3.0, -0.5]])
    rows = [np.log(np.exp(0) + np.exp(-1)) - 0, np.log(np.exp(-3) + np.exp(-0.5)) + 0.5]
    columns = [np.log(np.exp(0) + np.exp(-3)) - 0, np.log(np.exp(-1) + np.exp(-0.5)) + 0.5]
    assert sami_loss(x) == pytest.approx((np.mean(rows) + np.mean(columns)) / 2)
    assert sami_loss(np.stack([x, x.T])) == pytest.approx([sami_loss(x)] * 2)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_sami_is_its_bounds_and_falls_to_zero_for_perfect_heed(n, seed):
    x = 5 * np.random.default_rng(seed).normal(size=(3, n, n))
    np.testing.assert_allclose(sami_loss(x), np.log(n) - (row_bound(x) + column_bound(x)) / 2, atol=1e-12)
    assert (column_bound(x) <= np.log(n) + 1e-12).all()
    assert sami_loss(x + 1e4 * np.eye(n)) == pytest.approx(0.0, abs=1e-12)


def test_the_column_bound_of_exact_scores_is_the_mutual_information_and_no_score_beats_it():
    rng = np.random.default_rng(0)
    channel = rng.dirichlet(np.ones(3), size=2)
    joint = channel / 2
    information = np.sum(joint * np.log(channel / channel.mean(axis=0)))

    def expected(bound, scores):
        total = 0.0
        for answers in itertools.product(range(3), repeat=2):
            p = channel[0, answers[0]] * channel[1, answers[1]]
            total += p * bound(scores[:, list(answers)])
        return total

    assert expected(column_bound, np.log(channel)) == pytest.approx(information)
    for _ in range(20):
        assert expected(column_bound, rng.normal(size=(2, 3))) < information
    # rows compare with draws of other principles alone, which can say too much
    assert expected(row_bound, np.log(channel)) > information


def test_trpa_by_hand_with_the_best_level_counting_more():
    ratio, levels = np.array([0.4, 0.1, -0.2, 0.3]), [1, 2, 2, 4]

    def term(weight, gap):
        return np.log1p(np.exp(-0.7 * weight * gap))

    pairs = [term(2.5, 0.3), term(2.5, 0.6), term(2.5, 0.1), term(1.0, -0.2), term(1.0, -0.5)]
    assert trpa_loss(ratio, levels, beta=0.7) == pytest.approx(np.mean(pairs))


def test_trpa_does_not_read_places_without_a_response_and_one_level_is_zero():
    ratio = np.array([[0.4, 0.1, np.nan], [0.3, 0.3, 0.1]])
    loss = trpa_loss(ratio, [[1, 3, 0], [2, 2, 2]], beta=1.0)
    assert loss == pytest.approx([np.log1p(np.exp(-2.5 * 0.3)), 0.0])


@pytest.mark.parametrize("loss", [sami_loss, lambda x: trpa_loss(x, [[1, 2, 2], [3, 1, 0], [2, 2, 2]], beta=0.5).sum()])
def test_torch_gives_the_same_value_and_its_gradient(loss):
    x = torch.tensor(np.random.default_rng(1).normal(size=(3, 3)), requires_grad=True)
    assert loss(x).item() == pytest.approx(float(loss(x.detach().numpy())))
    assert torch.autograd.gradcheck(loss, (x,))


@pytest.mark.parametrize("x", [np.zeros((1, 1)), np.zeros((2, 3)), np.zeros(3)])
def test_sami_refuses_what_is_no_square_of_two(x):
    with pytest.raises(UsageError, match="square"):
        sami_loss(x)


@pytest.mark.parametrize(
    ("levels", "options", "word"),
    [
        ([1], {}, "levels"),
        ([1, -1], {}, "levels"),
        ([1, 1.5], {}, "levels"),
        ([1, 2], {"beta": 0.0}, "beta"),
        ([1, 2], {"anisotropy": float("nan")}, "anisotropy"),
    ],
)
def test_trpa_refuses_wrong_levels_and_settings(levels, options, word):
    with pytest.raises(UsageError, match=word):
        trpa_loss(np.zeros(2), levels, **{"beta": 1.0, **options})
