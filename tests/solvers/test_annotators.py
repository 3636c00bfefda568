"""Kinds of annotators against enumeration; answers, their information and their averages against their definitions."""

import numba
import numpy as np
import pytest
from problems import random_problem
from scipy.special import expit, logsumexp, softmax

from pluralism.solvers import MixtureObjective, Terms, fit_mixture, laplace_posterior
from pluralism.solvers import pairs as pairs_module
from pluralism.solvers.annotators import (
    AnnotatorPrior,
    Annotators,
    Manner,
    annotator_pass,
    answer_information,
    answer_odds,
)
from pluralism.solvers.pairs import pair_pass


def population(rng, tie_share=0.2):
    log_shares = np.log(softmax(rng.normal(size=(3, 4)), axis=None))
    return Annotators(np.array([-0.7, 0.0, 0.6]), np.array([0.0, 0.1, 0.4, 1.0]), log_shares, tie_share)


def probabilities(z, tie, lapse, tie_share):
    left, right = np.exp(z / 2), np.exp(-z / 2)
    sure = np.array([left, right, tie]) / (left + right + tie)
    return (1 - lapse) * sure + lapse * np.array([(1 - tie_share) / 2, (1 - tie_share) / 2, tie_share])


def log_p(z, outcome, tie, lapse, tie_share):
    left, right, tied = probabilities(z, tie, lapse, tie_share)
    if tie > 0 and outcome == 0.5:
        return np.log(tied)
    return outcome * np.log(left) + (1 - outcome) * np.log(right)


@pytest.mark.parametrize("tie", [0.0, 0.8])
@pytest.mark.parametrize("unit_weights", [True, False])
@pytest.mark.parametrize("fixed", [False, True])
def test_kinds_and_groups_equal_enumeration(tie, unit_weights, fixed):
    problem, rng = random_problem(unit_weights=unit_weights), np.random.default_rng(1)
    scores, effects = 2 * rng.normal(size=(problem.n_items, 3)), rng.normal(size=(2, 3))
    log_weights, annotators = np.log([0.5, 0.3, 0.2]), population(rng, 0.2 if tie else 0.0)
    held = rng.dirichlet(np.ones(3), size=problem.n_users) if fixed else None
    joint = np.zeros((problem.n_users, 3, 3, 4))
    for u in range(problem.n_users):
        for i in range(problem.user_start[u], problem.user_start[u + 1]):
            for k in range(3):
                z = scores[problem.left[i], k] - scores[problem.right[i], k] + problem.design[i] @ effects[:, k]
                for t, temperature in enumerate(np.exp(annotators.log_temperature)):
                    for e, lapse in enumerate(annotators.lapse):
                        one = log_p(temperature * z, problem.outcome[i], tie, lapse, annotators.tie_share)
                        joint[u, k, t, e] += problem.weight[i] * one
    joint += annotators.log_shares
    by_group = logsumexp(joint, axis=(2, 3))
    found = annotator_pass(problem, scores, effects, log_weights, annotators, tie=tie, responsibility=held)
    if held is None:
        total = logsumexp(by_group + log_weights, axis=1)
        expected = np.exp(by_group + log_weights - total[:, None])
    else:
        total, expected = np.sum(held * by_group, axis=1), held
    share = np.exp(joint - by_group[:, :, None, None]) * expected[:, :, None, None]
    np.testing.assert_allclose(found.log_likelihood, total, rtol=1e-10)
    np.testing.assert_allclose(found.responsibility, expected, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(found.kinds, share.sum(axis=(0, 1)), rtol=1e-8)
    grid = np.stack(np.broadcast_arrays(annotators.log_temperature[:, None], annotators.lapse), axis=-1)
    mean = np.einsum("ukte,tei->ui", share, grid)
    np.testing.assert_allclose(found.manner.mean, mean, rtol=1e-8)
    square = np.einsum("ukte,tei,tej->uij", share, grid, grid)
    np.testing.assert_allclose(
        found.manner.covariance, square - mean[:, :, None] * mean[:, None, :], rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("unit_weights", [True, False])
def test_bounds_are_below_expectations_and_tight_where_nothing_is_unknown(unit_weights):
    """With variances the pass gives a bound, whose slopes by means and variances are the gradient and the tilt."""
    problem, rng = random_problem(unit_weights=unit_weights), np.random.default_rng(8)
    scores, effects = 2 * rng.normal(size=(problem.n_items, 2)), rng.normal(size=(2, 2))
    log_weights, annotators = np.log([0.6, 0.4]), population(rng, 0.0)
    rows = len(problem.left)

    def bound(spread, scores=scores, **options):
        return annotator_pass(problem, scores, effects, log_weights, annotators, spread=spread, **options)

    exact = annotator_pass(problem, scores, effects, log_weights, annotators)
    nothing = bound(np.zeros((rows, 2)))
    np.testing.assert_allclose(nothing.log_likelihood, exact.log_likelihood, rtol=1e-9)
    np.testing.assert_allclose(nothing.scores_gradient, exact.scores_gradient, rtol=1e-7, atol=1e-10)
    spread = rng.gamma(1.0, size=(rows, 2))
    found = bound(spread, tilt=True)
    for item, group in ((3, 0), (7, 1)):
        moved = [scores.copy(), scores.copy()]
        moved[0][item, group] += 1e-5
        moved[1][item, group] -= 1e-5
        above, below = (bound(spread, scores=s).log_likelihood.sum() for s in moved)
        assert found.scores_gradient[item, group] == pytest.approx((above - below) / 2e-5, abs=1e-5)
    for row, group in ((5, 0), (11, 1)):
        moved = [spread.copy(), spread.copy()]
        moved[0][row, group] += 1e-5
        moved[1][row, group] -= 1e-5
        above, below = (bound(s).log_likelihood.sum() for s in moved)
        assert found.tilt[row, group] == pytest.approx(-(above - below) / 1e-5, abs=1e-5)
    # expectations of log p over the logits, by quadrature, for each kind and group
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    z = scores[problem.left] - scores[problem.right] + problem.design @ effects
    joint = np.zeros((problem.n_users, 2, 3, 4))
    for t, temperature in enumerate(np.exp(annotators.log_temperature)):
        for e, lapse in enumerate(annotators.lapse):
            expected = np.zeros_like(z)
            for node, weight in zip(nodes, weights / weights.sum(), strict=True):
                at, y = temperature * (z + node * np.sqrt(spread)), problem.outcome[:, None]
                left, right = ((1 - lapse) * expit(side * at) + lapse / 2 for side in (1, -1))
                expected += weight * (y * np.log(left) + (1 - y) * np.log(right))
            for k in range(2):
                joint[:, k, t, e] = np.bincount(problem.user, problem.weight * expected[:, k], problem.n_users)
    joint += annotators.log_shares + log_weights[:, None, None]
    assert np.all(found.log_likelihood <= logsumexp(joint, axis=(1, 2, 3)) + 1e-9)


def test_the_best_population_of_given_kinds_is_no_worse_than_others():
    rng = np.random.default_rng(9)
    prior = AnnotatorPrior(temperature=True, lapse=True, tie_share=0.0)
    kinds = 5 * rng.gamma(0.5, size=prior.at(prior.start()).log_shares.shape)

    def value(x):
        return prior.penalised(x, kinds)[0] - float(np.sum(kinds * prior.at(x).log_shares))

    best = prior.best(kinds)
    assert np.abs(prior.penalised(best, kinds)[1]).max() < 1e-3
    assert all(value(best) <= value(best + 0.1 * rng.normal(size=prior.size)) for _ in range(20))


@pytest.mark.parametrize("tie", [0.0, 0.8])
def test_people_who_all_answer_alike_are_those_of_the_plain_pass(tie):
    problem, rng = random_problem(), np.random.default_rng(2)
    scores, effects, log_weights = rng.normal(size=(problem.n_items, 2)), rng.normal(size=(2, 2)), np.log([0.4, 0.6])
    alike = Annotators(np.zeros(1), np.zeros(1), np.zeros((1, 1)))
    found = annotator_pass(problem, scores, effects, log_weights, alike, tie=tie)
    plain = pair_pass(problem, scores, effects, log_weights, tie=tie)
    for name in ("log_likelihood", "responsibility", "scores_gradient", "effects_gradient", "tie_gradient"):
        np.testing.assert_allclose(getattr(found, name), getattr(plain, name), rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(numba.get_num_threads() < 2, reason="needs two threads")
def test_chunks_change_nothing_but_rounding(monkeypatch):
    found = []
    for least in (pairs_module.MIN_ROWS_PER_CHUNK, 10):
        monkeypatch.setattr(pairs_module, "MIN_ROWS_PER_CHUNK", least)
        problem, rng = random_problem(), np.random.default_rng(3)
        scores, effects = rng.normal(size=(problem.n_items, 2)), rng.normal(size=(2, 2))
        found.append(annotator_pass(problem, scores, effects, np.log([0.4, 0.6]), population(rng), tie=0.5))
        assert (len(problem.chunks) > 2) == (least == 10)
    for name in ("log_likelihood", "responsibility", "scores_gradient", "effects_gradient", "tie_gradient", "kinds"):
        np.testing.assert_allclose(getattr(found[1], name), getattr(found[0], name), rtol=1e-9, atol=1e-12)


def test_hundreds_of_answers_do_not_underflow():
    rng = np.random.default_rng(4)
    problem = random_problem()
    many = np.tile(np.arange(len(problem.left)), 60)
    order = np.argsort(problem.user[many], kind="stable")
    rows = many[order]
    longer, _ = type(problem).build(
        problem.user[rows],
        problem.left[rows],
        problem.right[rows],
        problem.outcome[rows],
        np.ones(len(rows)),
        n_users=problem.n_users,
        n_items=problem.n_items,
        design=problem.design[rows],
    )
    scores = 30 * rng.normal(size=(problem.n_items, 2))
    found = annotator_pass(longer, scores, np.zeros((2, 2)), np.log([0.5, 0.5]), population(rng))
    assert np.isfinite(found.log_likelihood).all()
    assert np.isfinite(found.scores_gradient).all()
    np.testing.assert_allclose(found.responsibility.sum(axis=1), 1.0)


@pytest.mark.parametrize(("temperature", "lapse"), [(True, True), (True, False), (False, True)])
def test_the_population_s_gradient_is_that_of_finite_differences(temperature, lapse):
    rng = np.random.default_rng(5)
    prior = AnnotatorPrior(temperature=temperature, lapse=lapse, tie_share=0.0)
    x = prior.start() + 0.3 * rng.normal(size=prior.size)
    kinds = rng.gamma(1.0, size=prior.at(x).log_shares.shape)

    def value(x):
        return prior.penalised(x, kinds)[0] - float(np.sum(kinds * prior.at(x).log_shares))

    numeric = [(value(x + 1e-6 * e) - value(x - 1e-6 * e)) / 2e-6 for e in np.eye(prior.size)]
    np.testing.assert_allclose(prior.penalised(x, kinds)[1], numeric, rtol=1e-5, atol=1e-7)
    assert np.exp(prior.at(x).log_shares).sum() == pytest.approx(1.0)
    start = prior.at(prior.start()).manner()
    assert start.mean[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert np.sqrt(start.covariance[0, 0, 0]) == pytest.approx(0.3 if temperature else 0.0, abs=0.03)


@pytest.mark.parametrize("tie", [0.0, 0.7])
@pytest.mark.parametrize("lapse", [0.0, 0.25])
def test_information_is_the_expected_square_of_the_slope(tie, lapse):
    z = np.linspace(-6, 6, 9)
    step = 1e-5
    information, tie_share = np.zeros(len(z)), 0.2 if tie > 0 else 0.0
    for j, answer in enumerate((1.0, 0.0, 0.5) if tie > 0 else (1.0, 0.0)):
        above, below = ([log_p(v + side, answer, tie, lapse, tie_share) for v in z] for side in (step, -step))
        slope = (np.array(above) - below) / (2 * step)
        first, second = answer_information(z, np.full(len(z), answer), np.full(len(z), lapse), tie, tie_share)
        np.testing.assert_allclose(first, slope, atol=1e-8)
        information += np.square(slope) * [probabilities(v, tie, lapse, tie_share)[j] for v in z]
    np.testing.assert_allclose(second, information, atol=1e-7)
    if lapse == 0.0 and tie == 0.0:
        share = 1 / (1 + np.exp(-z))
        np.testing.assert_allclose(second, share * (1 - share), atol=1e-12)


@pytest.mark.parametrize("tie", [0.0, 0.7])
def test_odds_average_over_what_is_not_known(tie):
    rng = np.random.default_rng(6)
    z = 3 * rng.normal(size=(5, 2))
    mean = np.array([[0.2, 0.1], [-0.5, 0.0], [0.0, 0.3], [0.4, 1.0], [0.0, 0.0]])
    covariance = np.zeros((5, 2, 2))
    covariance[:, 0, 0] = [0.0, 0.04, 0.25, 0.09, 0.16]
    found = answer_odds(z, Manner(mean, covariance), tie=tie, tie_share=0.15)
    draws = rng.normal(size=40_000)
    for i in range(5):
        t = np.exp(mean[i, 0] + np.sqrt(covariance[i, 0, 0]) * draws)
        for k in range(2):
            left, right = np.exp(t * z[i, k] / 2), np.exp(-t * z[i, k] / 2)
            sure = np.array([left, right, np.full_like(t, tie)]) / (left + right + tie)
            expected = (1 - mean[i, 1]) * sure.mean(axis=1) + mean[i, 1] * np.array([0.425, 0.425, 0.15])
            np.testing.assert_allclose([found[j][i, k] for j in range(3)], expected, atol=5e-3)
    np.testing.assert_allclose(sum(found), 1.0)


def test_covariances_widen_where_answers_are_given_without_looking():
    """A lapse of one half leaves less to be learnt from each answer."""
    problem, rng = random_problem(), np.random.default_rng(7)
    terms = Terms(ridge=1.0, lapse=True)
    fit = fit_mixture(problem, 1, terms, rng=rng)
    scores = MixtureObjective(problem, 1, terms).scores(fit.parameters)
    spread = []
    for lapse in (0.0, 0.5):
        manner = Manner(np.tile([0.0, lapse], (problem.n_users, 1)), np.zeros((problem.n_users, 2, 2)))
        spread.append(
            laplace_posterior(problem, fit.parameters, fit.responsibility, scores, terms, manner).covariance[0]
        )
    plain = laplace_posterior(problem, fit.parameters, fit.responsibility, scores, terms).covariance[0]
    np.testing.assert_allclose(spread[0], plain, rtol=1e-9)
    assert np.all(np.diag(spread[1]) > np.diag(plain))
