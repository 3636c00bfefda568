import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from pluralism.solvers import FeatureMatrix, PairProblem, Terms, fit_hard_mixture, fit_mixture, group_log_likelihood
from pluralism.solvers.initialise import assignments, kmeans
from pluralism.solvers.objective import pair_gram


def planted(seed, n_users=150, weights=(0.6, 0.3, 0.1), rows_per_user=20, dim=16, n_items=300, scale=3.0):
    rng = np.random.default_rng([seed, 99])
    features = rng.normal(size=(n_items, dim)) / np.sqrt(dim)
    heads = rng.normal(size=(dim, len(weights)))
    heads *= scale / np.linalg.norm(heads, axis=0) * np.sqrt(dim) / 2
    counts = np.floor(np.array(weights) * n_users).astype(int)
    counts[0] += n_users - counts.sum()
    group = rng.permutation(np.repeat(np.arange(len(weights)), counts))
    user = np.repeat(np.arange(n_users), rows_per_user)
    left = rng.integers(n_items, size=len(user))
    right = (left + 1 + rng.integers(n_items - 1, size=len(user))) % n_items
    z = np.einsum("ij,ij->i", features[left] - features[right], heads[:, group[user]].T)
    outcome = (rng.random(len(user)) < 1 / (1 + np.exp(-z))).astype(float)
    problem, _ = PairProblem.build(
        user,
        left,
        right,
        outcome,
        np.ones(len(user)),
        n_users=n_users,
        n_items=n_items,
        features=FeatureMatrix(features),
    )
    return problem, group, heads


@pytest.mark.parametrize("seed", range(5))
def test_recovers_planted_groups(seed):
    problem, group, heads = planted(seed)
    fit = fit_mixture(problem, 3, Terms(ridge=1.0), rng=np.random.default_rng(seed))
    scores = problem.features.array @ heads
    oracle = group_log_likelihood(problem, scores, np.zeros((0, 3))) + np.log([0.6, 0.3, 0.1])
    best_possible = adjusted_rand_score(group, oracle.argmax(1))
    assert adjusted_rand_score(group, fit.responsibility.argmax(1)) >= best_possible - 0.08
    np.testing.assert_allclose(np.exp(fit.parameters.log_weights), [0.6, 0.3, 0.1], atol=0.04)


@pytest.mark.parametrize("seed", range(3))
def test_penalised_likelihood_never_falls_and_the_gradient_vanishes(seed):
    problem, _, _ = planted(seed, n_users=60)
    terms = Terms(ridge=1.0, item_precision=5.0, ties=True, shared=4.0)
    fit = fit_mixture(problem, 3, terms, rng=np.random.default_rng(seed))
    assert fit.converged
    assert np.all(np.diff(fit.path) <= 1e-9)
    assert fit.gradient_norm < 0.05
    assert min(fit.start_objectives) >= fit.objective - 1e-6


def test_group_weights_satisfy_the_em_fixed_point():
    problem, _, _ = planted(0)
    fit = fit_mixture(problem, 3, Terms(ridge=1.0, concentration=2.0), rng=np.random.default_rng(0), tol=1e-12)
    counts = fit.responsibility.sum(axis=0) + 1.0
    np.testing.assert_allclose(np.exp(fit.parameters.log_weights), counts / counts.sum(), atol=1e-5)


def test_groups_come_in_order_of_falling_weight():
    problem, _, _ = planted(1)
    for seed in range(3):
        fit = fit_mixture(problem, 3, Terms(ridge=1.0), rng=np.random.default_rng(seed))
        assert np.all(np.diff(fit.parameters.log_weights) <= 1e-9)


def test_one_group_equals_ridge_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    problem, _, _ = planted(2)
    difference = problem.features.array[problem.left] - problem.features.array[problem.right]
    theirs = LogisticRegression(C=1 / 2.5, fit_intercept=False, tol=1e-10, max_iter=1000)
    theirs.fit(difference, problem.outcome)
    ours = fit_mixture(problem, 1, Terms(ridge=2.5), rng=np.random.default_rng(0), tol=1e-13)
    np.testing.assert_allclose(ours.parameters.heads[:, 0], theirs.coef_[0], atol=1e-4)


def test_hard_em_recovers_groups_and_its_objective_never_falls_short_of_the_start():
    problem, group, _ = planted(3, weights=(0.5, 0.5))
    fit = fit_hard_mixture(problem, 2, Terms(ridge=1.0), rng=np.random.default_rng(0))
    assert adjusted_rand_score(group, fit.responsibility.argmax(1)) >= 0.95
    assert np.all(np.diff(fit.path) <= 1e-6)
    assert set(np.unique(fit.responsibility)) <= {0.0, 1.0}


def test_more_groups_than_users_is_finite():
    problem, _, _ = planted(4, n_users=3, rows_per_user=5)
    fit = fit_mixture(problem, 6, Terms(ridge=1.0), rng=np.random.default_rng(0))
    assert np.isfinite(fit.objective)
    assert np.isfinite(fit.parameters.heads).all()


def test_kmeans_finds_separate_clusters_and_ignores_weightless_points():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 30)
    points = np.array([[0, 0], [10, 0], [0, 10]])[truth] + rng.normal(size=(90, 2))
    labels, inertia = kmeans(points, np.ones(90), 3, rng)
    assert adjusted_rand_score(truth, labels) == 1.0
    assert inertia < 90 * 4
    points[0] = [1e6, 1e6]
    weight = np.ones(90)
    weight[0] = 0.0
    labels, _ = kmeans(points, weight, 3, rng)
    assert adjusted_rand_score(truth[1:], labels[1:]) == 1.0


def test_candidate_labellings_do_not_repeat_each_other():
    problem, group, _ = planted(0)
    rng = np.random.default_rng(0)
    found = assignments(problem, 3, Terms(), pair_gram(problem, rng), rng, 8)
    assert max(adjusted_rand_score(group, labels) for labels in found) > 0.6
    for i, a in enumerate(found):
        assert all(adjusted_rand_score(a, b) < 0.999 for b in found[:i])
