import itertools

import numpy as np
import pytest

from pluralism.solvers import MixtureObjective, Terms, fit_mixture
from pluralism.solvers.plackett_luce import Ballots, RankingProblem, ranking_log_likelihood


def problem_of(ballots, n_items, *, user=None, weight=None, multiplicity=None, features=None):
    """Ballots as lists of tie groups."""
    flat = [(item, rank) for ballot in ballots for rank, group in enumerate(ballot) for item in group]
    sizes = [sum(map(len, ballot)) for ballot in ballots]
    user = np.arange(len(ballots)) if user is None else np.asarray(user)
    n_users = int(user.max()) + 1
    table, _ = Ballots.build(
        user,
        np.concatenate([[0], np.cumsum(sizes)]),
        np.array([item for item, _ in flat]),
        np.array([rank for _, rank in flat]),
        np.ones(len(ballots)) if weight is None else np.asarray(weight, dtype=np.float64),
        n_users=n_users,
    )
    return RankingProblem.of(
        table,
        np.ones(n_users) if multiplicity is None else np.asarray(multiplicity, dtype=np.float64),
        n_items=n_items,
        features=features,
        rng=np.random.default_rng(0),
    )


def order_probability(score, order):
    strength = np.exp(score)
    return np.prod([strength[order[j]] / strength[list(order[j:])].sum() for j in range(len(order))])


def by_enumeration(score, ballot):
    """Sum over all orders that the ties leave open."""
    orders = itertools.product(*(itertools.permutations(group) for group in ballot))
    return np.log(sum(order_probability(score, [i for group in order for i in group]) for order in orders))


def random_ballot(rng, n):
    order = rng.permutation(n)
    rank = np.cumsum(rng.random(n) < 0.5)
    return [order[rank == r].tolist() for r in np.unique(rank)]


@pytest.mark.parametrize("scale", [0.1, 1.0, 6.0])
def test_log_likelihood_is_that_of_enumeration(scale):
    rng = np.random.default_rng(int(10 * scale))
    for _ in range(40):
        n = int(rng.integers(2, 7))
        score, ballot = scale * rng.normal(size=n), random_ballot(rng, n)
        found = ranking_log_likelihood(problem_of([ballot], n), score[:, None])[0, 0]
        assert found == pytest.approx(by_enumeration(score, ballot), rel=1e-10, abs=1e-10)


def test_all_orders_have_probability_one():
    score = np.random.default_rng(1).normal(size=(5, 1))
    orders = list(itertools.permutations(range(5)))
    evidence = ranking_log_likelihood(problem_of([[[i] for i in order] for order in orders], 5), score)
    assert np.exp(evidence).sum() == pytest.approx(1.0, abs=1e-12)


def test_ballots_of_some_items_follow_luces_axiom():
    # marginalising full orders over where the unlisted item stands gives the ballot of the others
    score = np.random.default_rng(2).normal(size=4)
    partial = by_enumeration(score, [[2], [0], [1]])
    orders = [o for o in itertools.permutations(range(4)) if o.index(2) < o.index(0) < o.index(1)]
    assert np.log(sum(order_probability(score, o) for o in orders)) == pytest.approx(partial)
    found = ranking_log_likelihood(problem_of([[[2], [0], [1]]], 4), score[:, None])
    assert found[0, 0] == pytest.approx(partial)


def test_large_ties_are_those_of_random_clocks():
    # three of twelve below nine: P(all nine exponential clocks ring first), by simulation
    rng = np.random.default_rng(3)
    score = rng.normal(size=12) + np.where(np.arange(12) < 9, 4.0, 0.0)
    first = rng.exponential(size=(400_000, 12)) / np.exp(score)
    share = np.mean(first[:, :9].max(axis=1) < first[:, 9:].min(axis=1))
    found = ranking_log_likelihood(problem_of([[list(range(9)), [9, 10, 11]]], 12), score[:, None])[0, 0]
    assert np.exp(found) == pytest.approx(share, abs=5 * np.sqrt(share / 400_000))


def test_gradient_of_the_marginal_likelihood_is_that_of_differences():
    rng = np.random.default_rng(4)
    ballots = [random_ballot(rng, 6) for _ in range(20)]
    problem = problem_of(
        ballots,
        6,
        user=rng.permutation(np.arange(20) % 12),
        weight=rng.random(20) + 0.5,
        multiplicity=rng.integers(0, 4, 12),
    )
    objective = MixtureObjective(problem, 3, Terms(item_precision=0.5, concentration=2.0))
    x = rng.normal(size=objective.size)
    _, gradient = objective(x)
    for j in range(objective.size):
        step = np.zeros(objective.size)
        step[j] = 1e-5
        numeric = (objective(x + step)[0] - objective(x - step)[0]) / 2e-5
        assert gradient[j] == pytest.approx(numeric, abs=1e-6)


def test_a_voter_of_multiplicity_three_is_three_voters():
    rng = np.random.default_rng(5)
    ballots = [random_ballot(rng, 5) for _ in range(6)]
    thrice = problem_of(ballots, 5, multiplicity=[3.0] * 6)
    copies = problem_of(ballots * 3, 5)
    scores, log_weights = rng.normal(size=(5, 2)), np.log([0.3, 0.7])
    one = thrice.sweep(scores, np.zeros((0, 2)), log_weights)
    other = copies.sweep(scores, np.zeros((0, 2)), log_weights)
    assert one.log_likelihood.sum() == pytest.approx(other.log_likelihood.sum())
    np.testing.assert_allclose(one.scores_gradient, other.scores_gradient, atol=1e-12)
    assert thrice.total_weight == copies.total_weight == 18


def test_extreme_scores_stay_finite():
    score = np.array([[0.0], [-800.0], [900.0], [1.0]])
    for ballot in ([[1], [2], [0], [3]], [[0, 1, 3], [2]], [[2], [1, 0], [3]]):
        result = problem_of([ballot], 4).sweep(score, np.zeros((0, 1)), np.zeros(1))
        assert np.isfinite(result.log_likelihood).all()
        assert np.isfinite(result.scores_gradient).all()


def test_pairs_that_decide_are_neighbours_on_ballots():
    problem = problem_of([[[0], [1], [2]], [[2, 3], [0]]], 4)
    judged = problem.judged
    found = set(zip(judged.left.tolist(), judged.right.tolist(), strict=True))
    assert found == {(0, 1), (1, 2), (2, 0), (3, 0)}


def test_items_alone_agree_with_choix():
    choix = pytest.importorskip("choix")
    rng = np.random.default_rng(6)
    truth = rng.normal(size=8)
    orders = np.argsort(-(truth + rng.gumbel(size=(200, 8))), axis=1)[:, :6]
    problem = problem_of([[[i] for i in order] for order in orders.tolist()], 8)
    fit = fit_mixture(problem, 1, Terms(item_precision=1e-9), rng=rng, tol=1e-13)
    expected = choix.ilsr_rankings(8, orders.tolist(), tol=1e-10)
    found = fit.parameters.item_effects[:, 0]
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-4)


def test_threads_add_to_the_same():
    rng = np.random.default_rng(7)
    orders = np.argsort(rng.gumbel(size=(6000, 10)), axis=1)
    problem = problem_of([[[i] for i in order] for order in orders.tolist()], 10)
    scores, log_weights = rng.normal(size=(10, 2)), np.log([0.5, 0.5])
    whole = problem.sweep(scores, np.zeros((0, 2)), log_weights)
    small = [problem.reweighted(multiplicity=(np.arange(6000) % 2 == side).astype(float)) for side in (0, 1)]
    parts = [p.sweep(scores, np.zeros((0, 2)), log_weights) for p in small]
    assert whole.log_likelihood.sum() == pytest.approx(sum(p.log_likelihood.sum() for p in parts))
    np.testing.assert_allclose(whole.scores_gradient, sum(p.scores_gradient for p in parts), atol=1e-8)
