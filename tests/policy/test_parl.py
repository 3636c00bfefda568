"""PARL on finite candidates: gradients against finite differences of what is enumerated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pluralism.errors import UsageError
from pluralism.policy.parl import hypergradient, soft_policy, upper_gradient
from pluralism.solvers.tilt import tilt

BETA = 0.7


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(3, 4))
    logs[1, 3] = -np.inf
    logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
    return logs, rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4)), np.array([0.5, 0.3, 0.2])


def differences(loss, at, step=1e-6):
    out = np.zeros_like(at)
    for i in range(len(at)):
        ahead, back = at.copy(), at.copy()
        ahead[i] += step
        back[i] -= step
        out[i] = (loss(ahead) - loss(back)) / (2 * step)
    return out


def test_the_layer_is_the_tilted_reference(problem):
    logs, _, utility, _ = problem
    probs = soft_policy(torch.tensor(utility), logs, beta=BETA).numpy()
    np.testing.assert_allclose(probs, np.exp(tilt(utility, logs, BETA)[0]), atol=1e-12)
    assert probs[1, 3] == 0.0


def test_the_hypergradient_is_a_covariance(problem):
    logs, table, utility, weights = problem
    at = np.array([0.4, -1.1])

    def value(nu):
        probs = np.exp(tilt(np.tensordot(nu, table, 1), logs, BETA)[0])
        return weights @ np.sum(probs * utility, axis=1)

    probs = np.exp(tilt(np.tensordot(at, table, 1), logs, BETA)[0])
    found = hypergradient(table, probs, utility, beta=BETA, prompt_weights=weights)
    np.testing.assert_allclose(found, differences(value, at), atol=1e-8)
    layer = torch.tensor(at, requires_grad=True)
    rewards = torch.einsum("p,pxy->xy", layer, torch.tensor(table))
    objective = torch.tensor(weights) @ (soft_policy(rewards, logs, beta=BETA) * torch.tensor(utility)).sum(dim=1)
    objective.backward()
    np.testing.assert_allclose(layer.grad.numpy(), found, atol=1e-12)


def losses(rewards):
    """Logistic losses of labels by a fixed preference."""
    difference = rewards[:, :, None] - rewards[:, None, :]
    truth = torch.sigmoid(torch.arange(4.0, dtype=rewards.dtype)[:, None] - torch.arange(4.0, dtype=rewards.dtype))
    return -(
        truth * torch.nn.functional.logsigmoid(difference) + (1 - truth) * torch.nn.functional.logsigmoid(-difference)
    )


def test_the_data_follow_the_policy(problem):
    logs, table, _, weights = problem
    at = np.array([0.4, -1.1])

    def reward(nu):
        return torch.einsum("p,pxy->xy", nu, torch.tensor(table))

    def loss(nu, drawn_at=None):
        rewards = reward(torch.tensor(nu))
        drawn = rewards if drawn_at is None else reward(torch.tensor(drawn_at))
        probs = soft_policy(drawn, logs, beta=BETA)
        return float(torch.einsum("x,xi,xj,xij->", torch.tensor(weights), probs, probs, losses(rewards)))

    options = {"beta": BETA, "prompt_weights": weights}
    value, full = upper_gradient(reward, torch.tensor(at), losses, logs, **options)
    assert value == pytest.approx(loss(at))
    np.testing.assert_allclose(full.numpy(), differences(loss, at), atol=1e-7)
    _, partial = upper_gradient(reward, torch.tensor(at), losses, logs, include_score_term=False, **options)
    np.testing.assert_allclose(partial.numpy(), differences(lambda nu: loss(nu, at), at), atol=1e-7)
    assert np.abs(full.numpy() - partial.numpy()).max() > 0.01


def test_settings(problem):
    logs, _, utility, _ = problem
    with pytest.raises(UsageError):
        soft_policy(torch.tensor(utility), logs, beta=0.0)
    with pytest.raises(UsageError, match="do not fit"):
        soft_policy(torch.tensor(utility[:, :2]), logs, beta=1.0)
