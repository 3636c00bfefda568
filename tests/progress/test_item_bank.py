"""Items: choices, behaviour, and the values that a policy implies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from pluralism.errors import DataError, UsageError
from pluralism.progress.item_bank import ItemBank


def test_values_come_back_from_the_policy_they_make() -> None:
    bank = ItemBank.synthetic(6, rng=0, sharpness=1.5)
    values = np.random.default_rng(0).normal(size=(7, 6))
    np.testing.assert_allclose(bank.implied_values(bank.policy(values)), values, atol=1e-3)


def test_implied_values_are_the_maximum_likelihood_logit() -> None:
    bank = ItemBank.synthetic(3, n_evaluation=10, rng=2)
    policy = np.random.default_rng(1).dirichlet(np.ones(4), size=10)

    def loss(w: np.ndarray) -> float:
        logits = bank.evaluation @ w
        return -float((policy * (logits - logsumexp(logits, axis=1, keepdims=True))).sum())

    best = minimize(loss, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(bank.implied_values(policy), best, atol=1e-4)


def test_a_uniform_choice_is_no_behaviour_and_a_certain_one_has_finite_values() -> None:
    bank = ItemBank.synthetic(4, n_evaluation=6, rng=0)
    uniform = bank.normalised(np.zeros((6, 4)))
    np.testing.assert_allclose(uniform, 0.25)
    np.testing.assert_allclose(bank.behaviour(uniform), 0.0, atol=1e-12)
    np.testing.assert_allclose(bank.implied_values(uniform), 0.0, atol=1e-6)
    sure = np.eye(4)[np.argmax(bank.evaluation @ np.ones(4), axis=1)]
    values = bank.implied_values(sure)
    assert np.isfinite(values).all()
    assert (np.argmax(bank.evaluation @ values, axis=1) == np.argmax(sure, axis=1)).all()


def test_what_is_asked_is_not_what_is_scored() -> None:
    bank = ItemBank.synthetic(3, rng=0)
    asked = {row.tobytes() for row in bank.query.reshape(-1, 3)}
    assert not asked & {row.tobytes() for row in bank.evaluation.reshape(-1, 3)}
    leaking = bank.evaluation.copy()
    leaking[5, 2] = bank.query[17, 1]
    with pytest.raises(DataError, match="can also be asked about") as caught:
        ItemBank(bank.query, leaking)
    assert "evaluation item 5" in str(caught.value)
    with pytest.raises(UsageError, match="negative"):
        bank.normalised(np.full((32, 4), -1.0))
    with pytest.raises(DataError, match="not finite"):
        ItemBank(np.full((2, 2, 3), np.nan), bank.evaluation)
    with pytest.raises(DataError, match="differ in dimension"):
        ItemBank(bank.query, bank.evaluation[..., :2])
