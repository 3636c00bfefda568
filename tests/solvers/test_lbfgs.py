import numpy as np
import pytest

from pluralism.solvers.lbfgs import minimise


def quadratic(seed=0, size=12):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    matrix, target = root @ root.T + np.eye(size), rng.normal(size=size)
    return matrix, target, lambda x: (0.5 * x @ matrix @ x - target @ x, matrix @ x - target)


def rosenbrock(x):
    value = np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    gradient = np.zeros_like(x)
    gradient[1:] += 200 * (x[1:] - x[:-1] ** 2)
    gradient[:-1] += -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    return value, gradient


def test_solves_a_quadratic_in_one_step_when_the_preconditioner_is_exact():
    matrix, target, objective = quadratic()
    found = minimise(objective, np.zeros(12), lambda g: np.linalg.solve(matrix, g), tol=1e-12)
    np.testing.assert_allclose(found.x, np.linalg.solve(matrix, target), atol=1e-8)
    assert found.converged
    assert found.n_iter <= 2


def test_solves_rosenbrock_without_a_preconditioner():
    found = minimise(rosenbrock, np.full(6, -1.2), lambda g: 1e-3 * g, tol=1e-14, max_iter=2000)
    np.testing.assert_allclose(found.x, np.ones(6), atol=1e-4)
    assert np.all(np.diff(found.path) <= 0)


def test_stops_at_the_iteration_cap_and_says_so():
    found = minimise(rosenbrock, np.full(6, -1.2), lambda g: 1e-3 * g, tol=1e-14, max_iter=3)
    assert not found.converged
    assert found.n_iter == 3
    assert np.isfinite(found.value)


def test_steps_over_values_that_are_not_finite():
    def objective(x):
        if x[0] > 2:
            return np.nan, np.full(1, np.nan)
        return (x[0] - 1.5) ** 2, 2 * (x - 1.5)

    found = minimise(objective, np.zeros(1), lambda g: 10 * g, tol=1e-12)
    assert found.x[0] == pytest.approx(1.5, abs=1e-5)


@pytest.mark.parametrize("stop", [1, 5, 17])
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(stop):
    kept = {}

    def watch(iteration, value, snapshot):
        if iteration == stop:
            kept.update(snapshot())

    whole = minimise(rosenbrock, np.full(6, -1.2), lambda g: 1e-3 * g, tol=1e-12, max_iter=300, on_iteration=watch)
    resumed = minimise(rosenbrock, np.zeros(6), lambda g: 1e-3 * g, tol=1e-12, max_iter=300, state=kept)
    assert np.array_equal(whole.x, resumed.x)
    assert whole.path == resumed.path
    assert whole.n_iter == resumed.n_iter
