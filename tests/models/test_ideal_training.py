import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from pluralism.models import ideal_training
from pluralism.models.ideal_training import Network, train_network
from pluralism.solvers import FeatureMatrix, PairProblem
from pluralism.solvers.centred_features import CentredFeatures

RIDGE, ALPHA = 0.3, np.array([0.5, 1.5])
NAMES = ("linear", "weight", "bias", "out", "points")


@pytest.fixture
def answers():
    rng = np.random.default_rng([31, 1])
    n, n_items = 60, 15
    left = rng.integers(n_items, size=n)
    right = (left + 1 + rng.integers(n_items - 1, size=n)) % n_items
    outcome, weight = rng.choice([0.0, 1.0, 0.7], size=n), rng.choice([1.0, 2.0, 0.0], size=n)
    user = np.sort(rng.integers(5, size=n))
    problem, _ = PairProblem.build(user, left, right, outcome, weight, n_users=5, n_items=n_items)
    return problem, CentredFeatures.of(FeatureMatrix(rng.normal(size=(n_items, 3))), np.arange(n_items))


def network(mixing, rng):
    return Network(
        linear=rng.normal(size=(2, 3)),
        weight=rng.normal(size=(4, 3)),
        bias=rng.normal(size=4),
        out=rng.normal(size=(2, 4)),
        points=rng.normal(size=(2, 2 if mixing == "latent" else 3)),
        users=rng.dirichlet(np.ones(2), size=5),
        mixing=mixing,
    )


def objective(problem, features, at, logits, loss):
    """The penalised loss by its definition, answer by answer."""
    f = at.map(features.rows(np.arange(problem.n_items)))
    total = 0.0
    for n in range(len(problem.left)):
        goal = at.ideal_points(softmax(logits[problem.user[n]])[None])[0]
        near, far = (np.linalg.norm(f[side[n]] - goal) for side in (problem.left, problem.right))
        y, w = problem.outcome[n], problem.weight[n]
        if loss == "logistic":
            z = far**2 - near**2
            total += w * (np.logaddexp(0.0, z) - y * z)
        else:
            total += w * (y * max(0.0, 1.0 - far + near) + (1.0 - y) * max(0.0, 1.0 + far - near))
    plain = sum(np.sum(getattr(at, name) ** 2) for name in ("linear", "out", "points"))
    total += RIDGE / 2 * (plain + np.sum(at.weight**2) / at.weight.shape[1])
    return total - np.sum(log_softmax(logits, axis=1) @ ALPHA)


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize("mixing", ["latent", "features", "mixed"])
def test_the_first_step_is_against_the_gradient_by_finite_differences(loss, mixing, answers):
    problem, features = answers
    start = network(mixing, np.random.default_rng([31, 2]))
    after = train_network(
        problem,
        None,
        features,
        start,
        np.eye(3),
        loss=loss,
        ridge=RIDGE,
        alpha=ALPHA,
        rng=np.random.default_rng(0),
        steps=1,
    ).network
    logits = np.log(start.users)
    rate = ideal_training.RATE * ideal_training.BOLDEST
    # Adam's first step has the size of the rate and the sign of the gradient
    step, checked = 1e-5, 0
    for name in (*NAMES, "users"):
        at = logits if name == "users" else getattr(start, name)
        moved = np.log(after.users) - logits if name == "users" else getattr(after, name) - at
        if name == "users":
            moved = moved - moved.mean(axis=1, keepdims=True)
        for index in np.ndindex(at.shape):
            values = []
            for sign in (1.0, -1.0):
                changed = at.copy()
                changed[index] += sign * step
                there = start if name == "users" else Network(**(vars(start) | {name: changed}))
                values.append(objective(problem, features, there, changed if name == "users" else logits, loss))
            slope = (values[0] - values[1]) / (2 * step)
            if abs(slope) > 1e-3:
                size = rate * (ideal_training.USER_FACTOR if name == "users" else 1.0)
                assert moved[index] == pytest.approx(-size * np.sign(slope), rel=0.02), (name, index, slope)
                checked += 1
    assert checked > 20


def test_training_is_the_same_for_the_same_seed_and_is_stopped_where_held_out_answers_are_best(answers):
    problem, features = answers
    start = network("latent", np.random.default_rng([31, 3]))

    def run(seed):
        options = {"loss": "logistic", "ridge": RIDGE, "alpha": ALPHA, "rng": np.random.default_rng(seed)}
        return train_network(problem, problem, features, start, np.eye(3), keep_start=True, **options)

    first, again = run(1), run(1)
    for name in (*NAMES, "users"):
        np.testing.assert_array_equal(getattr(first.network, name), getattr(again.network, name))
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first.scores.min() < first.scores[0]
    f = first.network.map(features.rows(np.arange(problem.n_items)))
    goal = first.network.ideal_points(first.network.users)[problem.user]
    z = np.sum((f[problem.right] - goal) ** 2, axis=1) - np.sum((f[problem.left] - goal) ** 2, axis=1)
    nll = problem.weight @ (np.logaddexp(0, z) - problem.outcome * z) / problem.total_weight
    assert nll == pytest.approx(first.scores.min(), abs=2e-4)
