"""The likelihood pass against brute force: values, responsibilities and every gradient."""

import numpy as np
import pytest
from problems import random_problem
from scipy.special import logsumexp

from pluralism.solvers import MixtureObjective, PairProblem, Terms, group_log_likelihood, pair_pass
from pluralism.solvers import pairs as pairs_module


def davidson_log_p(z, outcome, tie):
    """log p written as in Davidson (1970), with soft outcomes between left and right."""
    left, right = np.exp(z / 2), np.exp(-z / 2)
    total = left + right + tie
    tied = outcome == 0.5
    if tie > 0 and tied:
        return np.log(tie / total)
    return outcome * np.log(left / total) + (1 - outcome) * np.log(right / total)


def brute_force(problem, scores, effects, log_weights, tie):
    n_groups = scores.shape[1]
    log_p = np.zeros((problem.n_users, n_groups))
    for u in range(problem.n_users):
        for i in range(problem.user_start[u], problem.user_start[u + 1]):
            for k in range(n_groups):
                z = scores[problem.left[i], k] - scores[problem.right[i], k] + problem.design[i] @ effects[:, k]
                log_p[u, k] += problem.weight[i] * davidson_log_p(z, problem.outcome[i], tie)
    joint = log_p + log_weights
    return log_p, logsumexp(joint, axis=1), np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


@pytest.mark.parametrize("tie", [0.0, 0.8])
@pytest.mark.parametrize("unit_weights", [True, False])
def test_likelihood_and_responsibilities_equal_brute_force(tie, unit_weights):
    problem = random_problem(unit_weights=unit_weights)
    rng = np.random.default_rng(1)
    scores, effects = rng.normal(size=(problem.n_items, 3)), rng.normal(size=(2, 3))
    log_weights = np.log([0.5, 0.3, 0.2])
    log_p, total, posterior = brute_force(problem, scores, effects, log_weights, tie)
    result = pair_pass(problem, scores, effects, log_weights, tie=tie)
    np.testing.assert_allclose(result.log_likelihood, total, rtol=1e-10)
    np.testing.assert_allclose(result.responsibility, posterior, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(group_log_likelihood(problem, scores, effects, tie=tie), log_p, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "terms",
    [
        Terms(ridge=1.3),
        Terms(ridge=1.3, item_precision=2.0),
        Terms(ridge=0.7, item_precision=2.0, shared=5.0, ties=True, concentration=3.0),
        Terms(ridge=0.7, item_precision=2.0, shared=5.0, ties=True, temperature=True, lapse=True),
        Terms(ridge=0.7, temperature=True),
        Terms(ridge=0.7, lapse=True),
    ],
)
@pytest.mark.parametrize("n_groups", [1, 3])
def test_gradient_equals_finite_differences(terms, n_groups):
    objective = MixtureObjective(random_problem(), n_groups, terms)
    x = np.random.default_rng(2).normal(size=objective.size) * 0.3
    _, gradient = objective(x)
    step = 1e-5
    numeric = [(objective(x + step * e)[0] - objective(x - step * e)[0]) / (2 * step) for e in np.eye(objective.size)]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-5)


def test_gradient_with_fixed_responsibilities_equals_finite_differences():
    problem = random_problem()
    labels = np.random.default_rng(3).integers(2, size=problem.n_users)
    objective = MixtureObjective(problem, 2, Terms(ridge=1.0), responsibility=np.eye(2)[labels])
    x = np.random.default_rng(4).normal(size=objective.size) * 0.3
    _, gradient = objective(x)
    numeric = [(objective(x + 1e-5 * e)[0] - objective(x - 1e-5 * e)[0]) / 2e-5 for e in np.eye(objective.size)]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-5)


def test_threads_give_the_result_of_one_thread(monkeypatch):
    problem = random_problem(n_users=300, rows=6000)
    scores = np.random.default_rng(5).normal(size=(problem.n_items, 2))
    alone = pair_pass(problem, scores, np.zeros((2, 2)), np.log([0.5, 0.5]))
    assert len(problem.chunks) == 2
    monkeypatch.setattr(pairs_module, "MIN_ROWS_PER_CHUNK", 10)
    monkeypatch.setattr(pairs_module.numba, "get_num_threads", lambda: 3)
    shared = random_problem(n_users=300, rows=6000)
    assert len(shared.chunks) == 4
    together = pair_pass(shared, scores, np.zeros((2, 2)), np.log([0.5, 0.5]))
    np.testing.assert_allclose(together.scores_gradient, alone.scores_gradient, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(together.log_likelihood, alone.log_likelihood, rtol=1e-12)


def test_extreme_scores_stay_finite():
    problem = random_problem()
    scores = np.linspace(-1e6, 1e6, problem.n_items)[:, None] @ np.array([[1.0, -1.0]])
    result = pair_pass(problem, scores, np.zeros((2, 2)), np.log([0.5, 0.5]))
    assert np.isfinite(result.log_likelihood).all()
    assert np.isfinite(result.scores_gradient).all()


def test_a_user_with_very_many_answers_does_not_overflow_the_product():
    rows = 5000
    problem, _ = PairProblem.build(
        np.zeros(rows, dtype=int),
        np.zeros(rows, dtype=int),
        np.ones(rows, dtype=int),
        np.ones(rows),
        np.ones(rows),
        n_users=1,
        n_items=2,
    )
    result = pair_pass(problem, np.zeros((2, 1)), np.zeros((0, 1)), np.zeros(1))
    assert result.log_likelihood[0] == pytest.approx(-rows * np.log(2), rel=1e-12)


def test_rows_are_sorted_by_user_and_the_order_is_returned():
    user = np.array([2, 0, 1, 0])
    problem, order = PairProblem.build(
        user, np.arange(4), np.arange(1, 5), np.ones(4), np.ones(4), n_users=4, n_items=5
    )
    assert problem.user.tolist() == [0, 0, 1, 2]
    assert order.tolist() == [1, 3, 2, 0]
    assert problem.left.tolist() == [1, 3, 2, 0]
    assert problem.voters.tolist() == [1, 1, 1, 0]
