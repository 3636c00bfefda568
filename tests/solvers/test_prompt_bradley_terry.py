"""Rewards of each prompt: the stationary point, another optimiser, and DPO on a softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from pluralism.errors import UsageError
from pluralism.solvers.prompt_bradley_terry import fit_prompt_bradley_terry


def wins_of(seed, shape=(4, 5)):
    rng = np.random.default_rng(seed)
    wins = rng.poisson(1.0, size=(*shape, shape[1])).astype(float)
    wins[:, np.arange(shape[1]), np.arange(shape[1])] = 0
    return wins


def test_against_another_optimiser():
    wins = wins_of(0)
    found = fit_prompt_bradley_terry(wins, precision=0.3)
    for x in range(4):

        def loss(r, w=wins[x]):
            return -np.sum(w * log_expit(r[:, None] - r)) + 0.15 * r @ r

        np.testing.assert_allclose(found[x], minimize(loss, np.zeros(5), tol=1e-12).x, atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-9)


def test_prompts_do_not_touch_each_other():
    wins = wins_of(1)
    together = fit_prompt_bradley_terry(wins, precision=0.1)
    np.testing.assert_allclose(together[2], fit_prompt_bradley_terry(wins[2:3], precision=0.1)[0], atol=1e-8)


def test_no_comparisons_and_overwhelming_ones():
    wins = np.zeros((2, 2, 2))
    wins[1, 0, 1] = 1e6
    found = fit_prompt_bradley_terry(wins, precision=1e-3)
    np.testing.assert_array_equal(found[0], 0)
    difference = found[1, 0] - found[1, 1]
    # At the optimum the pull of the wins is that of the prior.
    np.testing.assert_allclose(1e6 * expit(-difference), 1e-3 * found[1, 0], rtol=1e-4)


def test_it_is_the_optimum_of_dpo_for_a_softmax():
    """Gradient descent on DPO's loss of a softmax policy, whose implicit rewards carry the prior."""
    wins = torch.tensor(wins_of(2, (1, 4))[0])
    log_p = torch.log_softmax(torch.tensor([0.3, -0.5, 1.0, 0.0], dtype=torch.float64), 0)
    beta, logits = 0.5, torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        reward = beta * (torch.log_softmax(logits, 0) - log_p)
        centred = reward - reward.mean()
        apart = reward[:, None] - reward
        loss = -(wins * torch.nn.functional.logsigmoid(apart)).sum() + 0.1 * (centred**2).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    reward = beta * (torch.log_softmax(logits, 0) - log_p).detach()
    found = fit_prompt_bradley_terry(wins[None].numpy(), precision=0.2)[0]
    np.testing.assert_allclose(found, (reward - reward.mean()).numpy(), atol=1e-5)


def test_a_prior_is_needed():
    with pytest.raises(UsageError, match="precision"):
        fit_prompt_bradley_terry(np.zeros((1, 2, 2)), precision=0.0)
