import numpy as np
import pytest
from scipy.special import expit

from pluralism.solvers import FeatureMatrix, PairProblem
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.item_tables import HeadTable
from pluralism.solvers.prototype_starts import PrototypeStarts
from pluralism.solvers.prototypes import fit_prototypes
from pluralism.solvers.sampled_users import sampled_users
from pluralism.solvers.simplex_users import place_users


def planted(seed=0, *, dim=20, latent=3, groups=3, n_users=120, n_answers=60, n_items=500, bent=1.0):
    """Answers by distances in a few of many dimensions, and the truth."""
    rng = np.random.default_rng([21, seed])
    x = rng.normal(size=(n_items, dim)) / np.sqrt(np.arange(1, dim + 1))
    a = np.linalg.qr(rng.normal(size=(dim, latent)))[0].T
    f = x @ a.T
    a, f = a / f.std(), f / f.std()
    points = 1.5 * rng.normal(size=(groups, latent))
    group = rng.integers(groups, size=n_users)
    user = np.repeat(np.arange(n_users), n_answers)
    left = rng.integers(n_items, size=len(user))
    right = (left + 1 + rng.integers(n_items - 1, size=len(user))) % n_items
    table = 2.0 * f @ points.T - bent * np.sum(f**2, axis=1)[:, None]
    z = table[left, group[user]] - table[right, group[user]]
    outcome = (rng.random(len(z)) < expit(z)).astype(float)
    problem, _ = PairProblem.build(
        user, left, right, outcome, np.ones(len(z)), n_users=n_users, n_items=n_items, features=FeatureMatrix(x)
    )
    return problem, CentredFeatures.of(problem.features, np.arange(n_items)), a, table, group


def test_a_start_knows_the_dimensions_in_which_rewards_bend():
    for seed in range(5):
        problem, features, a, _, _ = planted(seed)
        table = IdealTable(features, 3, 3, 1.0)
        x = PrototypeStarts(problem, features, np.random.default_rng(0)).vectors(table, 1)[0]
        found, wanted = features.matmul(table.parts(x)[0].T), features.matmul(a.T)
        rest = wanted - found @ np.linalg.lstsq(found, wanted, rcond=None)[0]
        assert np.sum(rest**2) < 0.35 * np.sum((wanted - wanted.mean(axis=0)) ** 2)


def test_a_start_tells_people_apart_and_is_of_about_the_right_size():
    problem, features, _, truth, group = planted(1)
    for table in (HeadTable(features, 3, 1.0, quadratic=True), IdealTable(features, 3, 3, 1.0)):
        x = PrototypeStarts(problem, features, np.random.default_rng(0)).vectors(table, 1)[0]
        labels = place_users(problem, table.table(x), np.full(3, 0.3), gradient=False).weights.argmax(axis=1)
        counts = np.zeros((3, 3))
        np.add.at(counts, (group, labels), 1)
        assert counts.max(axis=1).sum() > 0.85 * len(group)
    z, wanted = (t[problem.left] - t[problem.right] for t in (table.table(x), truth))
    assert 0.4 < z.std() / wanted.std() < 2.5


def test_starts_do_not_depend_on_the_order_of_users():
    problem, features, _, _, _ = planted(2, n_users=40)
    order = np.random.default_rng(3).permutation(problem.n_users)
    rows = (order[problem.user], problem.left, problem.right, problem.outcome, problem.weight)
    shuffled, _ = PairProblem.build(*rows, n_users=40, n_items=problem.n_items, features=problem.features)
    found = []
    for p in (problem, shuffled):
        table = IdealTable(features, 2, 3, 1.0)
        starts = PrototypeStarts(p, features, np.random.default_rng(0))
        # the sketch of the Gram matrix draws rows, so it is the same for both
        starts.__dict__["gram"] = PrototypeStarts(problem, features, np.random.default_rng(0)).gram
        found.append(table.table(starts.vectors(table, 1)[0]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_many_starts_differ_and_one_prototype_has_one():
    problem, features, _, _, _ = planted(3, n_users=40)
    starts = PrototypeStarts(problem, features, np.random.default_rng(0))
    made = starts.vectors(IdealTable(features, 3, 3, 1.0), 4)
    assert len(made) == 4
    assert min(np.abs(made[i] - made[j]).max() for i in range(4) for j in range(i)) > 1e-3
    assert len(starts.vectors(IdealTable(features, 1, 3, 1.0), 4)) == 1


@pytest.mark.parametrize("most", [2000, 10_000])
def test_a_sample_keeps_whole_users_and_their_items(most):
    problem, _, _, table, _ = planted(4)
    some = sampled_users(problem, most, np.random.default_rng(0))
    whole = len(problem.left)
    assert (len(some.rows) == whole) == (most > whole)
    users = np.unique(problem.user[some.rows])
    np.testing.assert_array_equal(np.flatnonzero(np.isin(problem.user, users)), some.rows)
    np.testing.assert_array_equal(some.items[some.problem.left], problem.left[some.rows])
    np.testing.assert_array_equal(some.items[some.problem.right], problem.right[some.rows])
    placed = place_users(some.problem, table[some.items], np.ones(3), gradient=False).weights
    np.testing.assert_allclose(placed, place_users(problem, table, np.ones(3), gradient=False).weights[users])


def test_a_sample_of_busy_users_leaves_some_of_their_answers_out():
    problem, _, _, _, _ = planted(5, n_users=60)
    some = sampled_users(problem, 300, np.random.default_rng(0))
    assert len(some.rows) == 300
    assert 40 < some.problem.n_users <= 60


def test_a_fit_is_as_good_from_any_start():
    problem, features, _, _, _ = planted(6, n_users=80)
    table = IdealTable(features, 3, 4, 1.0)
    fits = [
        fit_prototypes(problem, table, partition=False, rng=np.random.default_rng(s), n_init=n, tol=1e-8)
        for s, n in ((0, 1), (1, 4))
    ]
    assert all(fit.converged for fit in fits)
    assert abs(fits[0].objective - fits[1].objective) < 1e-3 * len(problem.left)
    again = fit_prototypes(
        problem, table, partition=False, rng=np.random.default_rng(2), start=(fits[0].x, fits[0].alpha), tol=1e-8
    )
    assert again.n_iter < 10
