import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from pluralism.solvers import PairProblem
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.item_tables import HeadTable
from pluralism.solvers.prototypes import _Partition, _Profile
from pluralism.solvers.simplex_users import dirichlet_prior, place_users, user_posterior

ALPHA = np.array([0.4, 0.8, 1.6])


def population(rng, n_users=30, n_answers=8, n_items=40, alpha=ALPHA, size=2.0, graded=False):
    table = rng.normal(size=(n_items, len(alpha))) * size
    weights = rng.dirichlet(alpha, size=n_users)
    user = np.repeat(np.arange(n_users), n_answers)
    left = rng.integers(n_items, size=len(user))
    right = (left + 1 + rng.integers(n_items - 1, size=len(user))) % n_items
    z = np.sum((table[left] - table[right]) * weights[user], axis=1)
    outcome = (rng.random(len(user)) < 1 / (1 + np.exp(-z))).astype(float)
    weight = np.ones(len(user))
    if graded:
        outcome[::3], weight[::4], weight[::7] = 0.7, 2.5, 0.0
    problem, _ = PairProblem.build(user, left, right, outcome, weight, n_users=n_users, n_items=n_items)
    return problem, table, weights


def user_loss(problem, table, alpha, u, logits):
    rows = slice(problem.user_start[u], problem.user_start[u + 1])
    w = softmax(logits)
    z = (table[problem.left[rows]] - table[problem.right[rows]]) @ w
    loss = problem.weight[rows] @ (np.logaddexp(0, z) - problem.outcome[rows] * z)
    return loss - alpha @ np.log(np.maximum(w, 1e-300))


@pytest.mark.parametrize("alpha", [ALPHA, np.array([0.05, 0.05, 0.05]), np.array([30.0, 5.0, 1.0])])
def test_weights_are_the_best_on_the_simplex(alpha):
    problem, table, _ = population(np.random.default_rng([1, 1]), n_users=12, size=4.0, graded=True)
    placed = place_users(problem, table, alpha)
    np.testing.assert_allclose(placed.weights.sum(axis=1), 1.0, atol=1e-12)
    for u in range(12):
        found = user_loss(problem, table, alpha, u, np.log(placed.weights[u]))
        best = minimize(lambda t, u=u: user_loss(problem, table, alpha, u, t), np.zeros(3), method="BFGS", tol=1e-10)
        assert found <= best.fun + 1e-8


def test_users_without_answers_are_at_the_prior_mean():
    problem, table, _ = population(np.random.default_rng([1, 2]), n_users=4)
    empty, _ = PairProblem.build(*(np.zeros(0, dtype=int) for _ in range(5)), n_users=4, n_items=problem.n_items)
    mean = ALPHA / ALPHA.sum()
    np.testing.assert_allclose(place_users(empty, table, ALPHA).weights, np.tile(mean, (4, 1)), rtol=1e-12)
    posterior = user_posterior(empty, table, ALPHA)
    np.testing.assert_allclose(posterior.mean, np.tile(mean, (4, 1)), rtol=1e-12)
    np.testing.assert_allclose(np.trace(posterior.covariance[0]), (1 - mean @ mean) / (ALPHA.sum() + 1), rtol=1e-12)
    np.testing.assert_array_equal(posterior.evidence, 0.0)


def test_the_gradient_for_the_table_is_that_of_the_profile():
    problem, table, _ = population(np.random.default_rng([1, 3]), graded=True)
    gradient = place_users(problem, table, ALPHA).gradient
    rng = np.random.default_rng([1, 4])
    for _ in range(10):
        direction = rng.normal(size=table.shape)
        up, down = (place_users(problem, table + s * 1e-5 * direction, ALPHA).value.sum() for s in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(np.sum(gradient * direction), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("n_answers", [1, 6, 40])
def test_the_posterior_agrees_with_brute_force(n_answers):
    rng = np.random.default_rng([1, 5, n_answers])
    problem, table, _ = population(rng, n_users=6, n_answers=n_answers, graded=True, size=1.0)
    posterior = user_posterior(problem, table, ALPHA, n_draws=4096)
    draws = rng.dirichlet(ALPHA, size=400_000)
    for u in range(6):
        rows = slice(problem.user_start[u], problem.user_start[u + 1])
        z = draws @ (table[problem.left[rows]] - table[problem.right[rows]]).T
        log_p = (problem.outcome[rows] * z - np.logaddexp(0, z)) @ problem.weight[rows]
        share = softmax(log_p)
        mean = share @ draws
        np.testing.assert_allclose(posterior.mean[u], mean, atol=0.01)
        np.testing.assert_allclose(posterior.covariance[u], (draws.T * share) @ draws - np.outer(mean, mean), atol=5e-3)
        assert posterior.evidence[u] == pytest.approx(np.log(np.mean(np.exp(log_p))), abs=0.02)
    assert np.all(posterior.ess > 100)
    assert np.all(posterior.ess <= 4096)


def test_the_prior_is_recovered_over_seeds():
    found = []
    for seed in range(5):
        problem, table, _ = population(np.random.default_rng([2, seed]), n_users=500, n_answers=30, size=2.0)
        found.append(
            dirichlet_prior(
                np.ones(3), problem.voters, lambda a, p=problem, t=table: user_posterior(p, t, a, n_draws=128)
            )
        )
    np.testing.assert_allclose(np.exp(np.log(found).mean(axis=0)), ALPHA, rtol=0.25)


def test_one_prototype_is_a_plain_likelihood():
    problem, table, _ = population(np.random.default_rng([1, 6]))
    placed = place_users(problem, table[:, :1], np.ones(1))
    z = (table[problem.left] - table[problem.right])[:, 0]
    assert placed.value.sum() == pytest.approx(np.sum(np.logaddexp(0, z) - problem.outcome * z))
    assert np.all(user_posterior(problem, table[:, :1], np.ones(1)).mean == 1.0)


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("kind", ["heads", "quadratic", "latent", "features", "prompts"])
def test_gradients_of_all_tables(kind, partition, small_features):
    problem, features = small_features
    rng = np.random.default_rng([3, 1])
    prompts = rng.normal(size=(problem.n_items, 2)) if kind.startswith("prompts") else None
    if kind in ("heads", "quadratic"):
        table = HeadTable(features, 2, 0.3, quadratic=kind == "quadratic")
    else:
        table = IdealTable(features, 2, 3, 0.3, prompts=prompts, in_features=kind == "features")
    objective = _Partition(problem, table) if partition else _Profile(problem, table, np.array([0.5, 1.0]))
    x = 0.5 * rng.normal(size=table.size + 2 * partition)
    _, gradient = objective(x)
    steps = 1e-5 * np.eye(len(x))
    numeric = [(objective(x + step)[0] - objective(x - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient, numeric, atol=1e-5 * np.abs(gradient).max())
    start = table.start(rng.normal(size=(features.dim, 2)), None, rng)
    assert start.shape == (table.size,)
    swapped = table.permuted(start, np.array([1, 0]))
    np.testing.assert_allclose(table.table(swapped), table.table(start)[:, ::-1], atol=1e-12)


def test_starts_have_the_rewards_of_their_heads(small_features):
    _, features = small_features
    heads = np.random.default_rng([3, 2]).normal(size=(features.dim, 2))
    expected = features.matmul(heads)
    np.testing.assert_allclose(HeadTable(features, 2, 1.0, quadratic=False).table(heads.ravel()), expected)
    for in_features in (False, True):
        table = IdealTable(features, 2, 2, 1.0, in_features=in_features)
        x = table.start(heads, None, np.random.default_rng(0))
        difference = table.table(x) - expected
        np.testing.assert_allclose(difference[:, 0], difference[:, 1], atol=1e-9)


def test_prototypes_in_feature_space_are_mapped_as_items_are(small_features):
    _, features = small_features
    rng = np.random.default_rng([3, 4])
    a, p = rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    among, latent = IdealTable(features, 2, 3, 1.0, in_features=True), IdealTable(features, 2, 3, 1.0)
    found = among.table(np.concatenate([a.ravel(), p.ravel()]))
    np.testing.assert_allclose(found, latent.table(np.concatenate([a.ravel(), (p @ a.T).ravel()])), atol=1e-12)
    # what a prototype likes best is itself
    place = features.rows(np.arange(20)) @ a.T
    np.testing.assert_array_equal(found.argmax(axis=0), [np.sum((place - q) ** 2, axis=1).argmin() for q in p @ a.T])


@pytest.fixture
def small_features():
    from pluralism.solvers import FeatureMatrix

    rng = np.random.default_rng([3, 3])
    problem, _, _ = population(rng, n_users=10, n_items=20)
    return problem, CentredFeatures.of(FeatureMatrix(rng.normal(size=(20, 4)) + 3.0), np.arange(20))
