"""Plackett-Luce, PRO and SPPO losses: enumeration, Bradley-Terry, numpy and torch alike, gradients by differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pluralism.errors import DataError, UsageError
from pluralism.policy import (
    PreferenceGame,
    plackett_luce_nll,
    pro_loss,
    self_play,
    soft_win_rates,
    sppo_log_partition,
    sppo_loss,
)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_probabilities_of_all_orders_sum_to_one(n):
    scores = 5 * np.random.default_rng(n).normal(size=n)
    orders = np.array(list(itertools.permutations(range(n))))
    assert np.exp(-plackett_luce_nll(scores[orders])).sum() == pytest.approx(1.0, abs=1e-12)


def test_a_partial_ranking_is_the_sum_over_its_completions():
    scores = np.random.default_rng(0).normal(size=5)
    for known in (1, 2, 3):
        whole = sum(
            np.exp(-plackett_luce_nll(scores[list(order)]))
            for order in itertools.permutations(range(5))
            if order[:known] == tuple(range(known))
        )
        assert np.exp(-plackett_luce_nll(scores, n_ranked=known)) == pytest.approx(whole)


def test_two_candidates_are_bradley_terry():
    gap = np.linspace(-50, 50, 11)
    pairs = np.stack([gap, np.zeros(11)], axis=1)
    np.testing.assert_allclose(plackett_luce_nll(pairs), np.logaddexp(0, -gap), atol=1e-12)
    np.testing.assert_allclose(pro_loss(pairs), np.logaddexp(0, -gap), atol=1e-12)
    np.testing.assert_allclose(
        pro_loss(pairs, rewards=np.broadcast_to([2.0, 0.5], (11, 2))), np.logaddexp(0, -1.5 * gap), atol=1e-12
    )


def test_pro_follows_its_equation():
    rng = np.random.default_rng(0)
    s, rho = rng.normal(size=5), np.sort(rng.normal(size=5))[::-1]
    expected = 0.0
    for k in range(4):
        gaps = rho[k] - rho[k + 1 :]
        top = np.exp(s[k] * gaps.max())
        expected -= np.log(top / (top + np.sum(np.exp(s[k + 1 :] * gaps))))
    assert pro_loss(s, rewards=rho) == pytest.approx(expected)
    with_best = pro_loss(s, rewards=rho, best_log_prob=-12.5, sft_weight=0.05)
    assert with_best == pytest.approx(expected + 0.05 * 16 * 12.5)
    padded = np.append(s, np.nan)
    short = pro_loss(padded, rewards=np.append(rho, 99.0), n_candidates=5, best_log_prob=-12.5, sft_weight=0.05)
    assert short == pytest.approx(with_best)
    assert pro_loss(s, rewards=rho, n_ranked=4) == pytest.approx(expected)
    assert pro_loss(s, rewards=rho, n_ranked=1) < expected


def test_large_scores_do_not_overflow():
    far = np.array([1e4, 0.0, -1e4])
    assert plackett_luce_nll(far) == 0.0 and plackett_luce_nll(far[::-1]) == pytest.approx(3e4)
    assert np.isfinite(pro_loss(far[::-1], rewards=[100.0, 0.0, -100.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_and_numpy_agree(dtype):
    rng = np.random.default_rng(0)
    s, rho = rng.normal(size=(4, 6)), np.sort(rng.normal(size=(4, 6)))[:, ::-1].copy()
    options = {"n_candidates": [6, 4, 5, 1], "n_ranked": [6, 2, 3, 1]}
    tensor = torch.tensor(s, dtype=dtype, requires_grad=True)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    for loss, extra in (
        (plackett_luce_nll, {}),
        (pro_loss, {"rewards": rho, "best_log_prob": [-1.0, -2.0, -3.0, -4.0], "sft_weight": 0.1}),
    ):
        ours = loss(tensor, **options, **extra)
        assert ours.dtype == dtype and ours.shape == (4,)
        np.testing.assert_allclose(ours.detach().numpy(), loss(s, **options, **extra), rtol=tolerance, atol=tolerance)
        (gradient,) = torch.autograd.grad(ours.sum(), tensor)
        assert torch.isfinite(gradient).all() and torch.all(gradient[1, 4:] == 0) and torch.all(gradient[3] == 0)


def test_gradients_are_finite_differences():
    s = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    rho = torch.tensor([[4.0, 3.0, 3.0, 1.0, 0.0]] * 3, dtype=torch.float64)
    best = torch.tensor([-3.0, -2.0, -1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: plackett_luce_nll(x, n_ranked=[2, 5, 3], n_candidates=[4, 5, 5]), s)
    assert torch.autograd.gradcheck(lambda x, b: pro_loss(x, rewards=rho, best_log_prob=b, sft_weight=0.3), (s, best))


def test_equal_rewards_push_nothing_apart():
    s = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(pro_loss(s, rewards=[1.0, 1.0, 1.0]), s)
    assert torch.all(gradient == 0)


def test_ranking_refusals():
    with pytest.raises(UsageError, match="rise"):
        pro_loss(np.zeros(3), rewards=[1.0, 2.0, 0.0])
    with pytest.raises(UsageError, match="do not fit"):
        pro_loss(np.zeros(3), rewards=[1.0, 0.0])
    with pytest.raises(UsageError, match="go together"):
        pro_loss(np.zeros(3), sft_weight=0.1)
    with pytest.raises(UsageError, match="sft_weight"):
        pro_loss(np.zeros(3), best_log_prob=-1.0, sft_weight=-0.1)
    for bad in (0, 4, [1, 1]):
        with pytest.raises(UsageError, match="n_ranked"):
            plackett_luce_nll(np.zeros(3), n_ranked=bad)
    with pytest.raises(UsageError, match="scores"):
        plackett_luce_nll(torch.zeros(3, dtype=torch.int64))


def test_one_round_of_self_play_has_no_loss_with_the_exact_partition():
    rng = np.random.default_rng(0)
    skew = rng.normal(size=(2, 5, 5))
    game = PreferenceGame.from_matrix(
        1 / (1 + np.exp(skew.transpose(0, 2, 1) - skew)), log_reference=rng.normal(size=(2, 5))
    )
    play = self_play(game, n_rounds=2, eta=0.8)
    p, wins = game.utilities.log_reference, game.win_rates(game.reference_policy)
    log_z = sppo_log_partition(p, wins, eta=0.8)
    np.testing.assert_allclose(sppo_loss(play.last.log_probs - p, wins, eta=0.8, log_partition=log_z), 0.0, atol=1e-25)
    # one half for log Z / eta is off by the variance of the wins
    mean_square = np.sum(np.exp(p) * wins**2, axis=1) - 0.25
    np.testing.assert_allclose(log_z, 0.4 + 0.32 * mean_square, atol=2e-3)
    off = sppo_loss(play.last.log_probs - p, wins, eta=0.8)
    np.testing.assert_allclose(off, ((0.4 - log_z) ** 2)[:, None] * np.ones(5), atol=1e-15)


def test_soft_targets_and_torch():
    wins = np.array([[0.5, 0.9, 0.6], [0.1, 0.5, 0.2], [0.4, 0.8, 0.5]])
    np.testing.assert_allclose(soft_win_rates(wins), wins.mean(axis=1))
    np.testing.assert_allclose(soft_win_rates(wins, include_self=False), [0.75, 0.15, 0.6])
    ratio = torch.tensor([0.1, -0.2, 0.0], dtype=torch.float64, requires_grad=True)
    loss = sppo_loss(ratio, soft_win_rates(wins), eta=2.0)
    np.testing.assert_allclose(loss.detach(), (ratio.detach().numpy() - 2 * (wins.mean(axis=1) - 0.5)) ** 2)
    assert torch.autograd.gradcheck(lambda x: sppo_loss(x, soft_win_rates(wins), eta=2.0), ratio)
    log_q = torch.log_softmax(ratio, 0)
    assert float(sppo_log_partition(log_q, [0.5, 0.5, 0.5], eta=2.0).detach()) == pytest.approx(1.0)
    with pytest.raises(DataError, match="square"):
        soft_win_rates([[0.5, 1.5], [0.0, 0.5]])
    with pytest.raises(DataError, match="no other"):
        soft_win_rates([[0.5]], include_self=False)
    with pytest.raises(UsageError, match="eta"):
        sppo_loss(ratio, [0.5] * 3, eta=0.0)
