"""Posteriors of people's directions on the sphere from their comparisons, and of the population they come from.

A person with direction v (a unit vector) and temperature t prefers a to b with P = sigma(t v . (s_a - s_b)), v is von
Mises-Fisher around the population's direction and log t normal. Two attributes are integrated on a grid of angles and
temperatures. With more, each person has weighted draws: a quarter uniform, a quarter from the prior, half from
Laplace's approximation at the person's mode (on the tangent plane), all weighted against their mixture, so that the
weights are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

from pluralism.solvers.sphere import (
    log_area,
    log_normaliser,
    mean_cosine,
    solve_concentration,
    tangent_basis,
    von_mises_fisher,
)
from pluralism.solvers.sphere_kernels import particle_likelihood, user_modes

__all__ = ["DirectionPosterior", "DirectionProblem", "Population", "fit_population", "place_directions"]

ANGLES = 240
SIZES = 13
WIDEST = 4.0
PSEUDO_USERS = 2.0
MOMENT_DRAWS = 4096
LEAST_SPREAD, MOST_SPREAD = 0.05, 1.5
USERS_AT_ONCE = 256
INFLATION = 1.3


@dataclass(frozen=True)
class Population:
    """What is known of a person before any answer.

    Parameters
    ----------
    direction : array of shape (attributes,)
        Unit vector.
    concentration : float
        0: any direction is as likely.
    log_temperature, spread : float
        Mean and standard deviation of the log temperature.
    """

    direction: Float[np.ndarray, " attributes"]
    concentration: float
    log_temperature: float
    spread: float

    def mean(self) -> Float[np.ndarray, " attributes"]:
        """E v."""
        return mean_cosine(self.concentration, len(self.direction)) * self.direction

    def covariance(self) -> Float[np.ndarray, "attributes attributes"]:
        """Cov v."""
        k, mu = len(self.direction), self.direction
        cosine = mean_cosine(self.concentration, k)
        along = np.outer(mu, mu)
        if k == 1:
            return (1.0 - cosine**2) * along
        across = 1.0 / k if self.concentration < 1e-8 else cosine / self.concentration
        return across * (np.eye(k) - along) + max(1.0 - (k - 1) * across - cosine**2, 0.0) * along


@dataclass(frozen=True)
class DirectionProblem:
    """Comparisons as differences of attribute scores, rows sorted by user."""

    start: Int[np.ndarray, " users_plus_1"]
    difference: Float[np.ndarray, "pairs attributes"]
    outcome: Float[np.ndarray, " pairs"]
    weight: Float[np.ndarray, " pairs"]

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.start) - 1

    @cached_property
    def mass(self) -> Float[np.ndarray, " users"]:
        """Weight of each user's rows."""
        total = np.concatenate([[0.0], np.cumsum(self.weight)])
        return total[self.start[1:]] - total[self.start[:-1]]

    def users(self, first: int, last: int) -> DirectionProblem:
        """The users first ... last - 1."""
        rows = slice(self.start[first], self.start[last])
        return DirectionProblem(
            self.start[first : last + 1] - self.start[first],
            self.difference[rows],
            self.outcome[rows],
            self.weight[rows],
        )


@dataclass(frozen=True)
class DirectionPosterior:
    """Moments of each person's posterior; `ess` is the effective number of draws (of cells of the grid) behind them."""

    mean: Float[np.ndarray, "users attributes"]
    covariance: Float[np.ndarray, "users attributes attributes"]
    log_temperature: Float[np.ndarray, " users"]
    ess: Float[np.ndarray, " users"]


@dataclass(frozen=True)
class _Draws:
    """Directions and log temperatures, and log likelihood less log proposal density."""

    v: Float[np.ndarray, "users draws attributes"]
    size: Float[np.ndarray, "users draws"]
    log_base: Float[np.ndarray, "users draws"]

    def log_weight(self, p: Population) -> Float[np.ndarray, "users draws"]:
        k = len(p.direction)
        prior = p.concentration * (self.v @ p.direction) - log_normaliser(p.concentration, k)
        return self.log_base + prior + _normal(self.size, p)


def fit_population(
    problem: DirectionProblem,
    *,
    rng: np.random.Generator,
    tol: float = 1e-7,
    max_iter: int = 3000,
    most_users: int = 2000,
) -> tuple[Population, list[float], int, bool, float]:
    """The population by variational EM, on (at most) 2,000 users drawn at random.

    t v is taken as normal, N(m, s^2 I), under which the direction given t is von Mises-Fisher around m; the logistic
    likelihood is bounded as in Jaakkola & Jordan (2000), so that every step is in closed form and the bound never
    falls.
    Concentration and temperature are then those of the same moments. Two pseudo-users around 0 keep few people from
    looking unanimous.

    Returns
    -------
    population, path, n_iter, converged, gradient_norm
        `path` is the negative penalised bound.
    """
    k = problem.difference.shape[1]
    problem = _some_users(problem, most_users, rng)
    n, first = problem.n_users, problem.start[:-1]
    user = np.repeat(np.arange(n), np.diff(problem.start))
    d, w = problem.difference, problem.weight
    pull = np.add.reduceat((w * (problem.outcome - 0.5))[:, None] * d, first, axis=0)
    outer = (d[:, :, None] * d[:, None, :]).reshape(len(d), k * k)
    xi = np.ones(len(d))
    m, s2 = np.zeros(k), 1.0
    path: list[float] = []
    converged, gradient = False, np.inf
    for _ in range(max_iter):
        bend = 2.0 * np.tanh(0.5 * xi) / (4.0 * xi)
        precision = np.add.reduceat((w * bend)[:, None] * outer, first, axis=0).reshape(n, k, k)
        precision += np.eye(k) / s2
        covariance = np.linalg.inv(precision)
        mean = np.einsum("uab,ub->ua", covariance, pull + m / s2)
        bound = float(w @ (-np.logaddexp(0.0, -xi) - 0.5 * xi + 0.5 * bend * xi**2))
        bound += 0.5 * float(np.einsum("ua,uab,ub->", mean, precision, mean)) - 0.5 * n * float(m @ m) / s2
        bound -= 0.5 * float(np.linalg.slogdet(precision)[1].sum()) + 0.5 * n * k * np.log(s2)
        bound -= 0.5 * PSEUDO_USERS * (k * np.log(s2) + (float(m @ m) + k) / s2)
        path.append(-bound)
        gradient = float(np.linalg.norm(mean.sum(axis=0) - (n + PSEUDO_USERS) * m) / s2)
        if len(path) > 1 and path[-2] - path[-1] <= tol * max(n, 1) and gradient <= 1e-4 * max(len(d), 1):
            converged = True
            break
        m = mean.sum(axis=0) / (n + PSEUDO_USERS)
        second = float(np.sum((mean - m) ** 2) + np.einsum("uaa->", covariance))
        s2 = (second + PSEUDO_USERS * (float(m @ m) + k)) / (k * (n + PSEUDO_USERS))
        moment = np.einsum("na,nab,nb->n", d, covariance[user], d) + np.sum(d * mean[user], axis=1) ** 2
        xi = np.sqrt(np.maximum(moment, 1e-12))
    return _of_moments(m, s2), path, len(path), converged, gradient


def _of_moments(m: Float[np.ndarray, " attributes"], s2: float) -> Population:
    """The population whose mean cosine and log temperatures are those of a normal t v, by fixed draws and opposites."""
    k, length = len(m), float(np.linalg.norm(m))
    noise = np.random.default_rng(k).normal(size=(MOMENT_DRAWS, k)) * np.sqrt(s2)
    direction = m / length if length > 1e-12 else np.eye(k)[0]
    drawn = np.concatenate([noise, -noise]) + length * direction
    size = np.linalg.norm(drawn, axis=1)
    cosine = float(np.mean(drawn @ direction / size)) if length > 1e-12 else 0.0
    logarithm = np.log(size)
    spread = float(np.clip(logarithm.std(), LEAST_SPREAD, MOST_SPREAD))
    return Population(direction, solve_concentration(cosine, k), float(logarithm.mean()), spread)


def place_directions(
    problem: DirectionProblem, population: Population, *, n_draws: int, rng: np.random.Generator
) -> DirectionPosterior:
    """Each person's posterior by their own answers; every person is given the same random numbers."""
    k = problem.difference.shape[1]
    base = _base(n_draws // 2, k, rng)
    n = problem.n_users
    mean = np.tile(population.mean(), (n, 1))
    covariance = np.tile(population.covariance(), (n, 1, 1))
    size, ess = np.full(n, population.log_temperature), np.full(n, np.inf)
    for first in range(0, n, USERS_AT_ONCE):
        last = min(first + USERS_AT_ONCE, n)
        draws = _draw(problem.users(first, last), population, base)
        log_weight = draws.log_weight(population)
        w = np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True))
        answered = problem.mass[first:last] > 0
        here = first + np.flatnonzero(answered)
        w, v = w[answered], draws.v[answered]
        mean[here] = np.einsum("um,umk->uk", w, v)
        centred = v - mean[here][:, None, :]
        covariance[here] = np.einsum("um,umk,uml->ukl", w, centred, centred)
        size[here] = np.sum(w * draws.size[answered], axis=1)
        ess[here] = 1.0 / np.sum(w**2, axis=1)
    return DirectionPosterior(mean, covariance, size, ess)


def _some_users(problem: DirectionProblem, most: int, rng: np.random.Generator) -> DirectionProblem:
    users = np.flatnonzero(problem.mass > 0)
    if len(users) > most:
        users = np.sort(rng.choice(users, most, replace=False))
    keep = np.zeros(problem.n_users, bool)
    keep[users] = True
    at = np.repeat(keep, np.diff(problem.start))
    start = np.concatenate([[0], np.cumsum(np.diff(problem.start)[users])])
    return DirectionProblem(start, problem.difference[at], problem.outcome[at], problem.weight[at])


def _base(n_draws: int, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The random numbers that everybody's draws are made of."""
    return rng.random(n_draws), rng.normal(size=(n_draws, k)), rng.normal(size=n_draws)


def _normal(size: np.ndarray, p: Population) -> np.ndarray:
    return -0.5 * ((size - p.log_temperature) / p.spread) ** 2 - np.log(p.spread) - 0.5 * np.log(2 * np.pi)


def _draw(problem: DirectionProblem, p: Population, base: tuple[np.ndarray, np.ndarray, np.ndarray]) -> _Draws:
    k, n = len(p.direction), problem.n_users
    if k <= 2:
        angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
        points = np.array([[1.0], [-1.0]]) if k == 1 else np.stack([np.cos(angle), np.sin(angle)], axis=1)
        sizes = p.log_temperature + p.spread * np.linspace(-WIDEST, WIDEST, SIZES)
        v, size = np.repeat(points, SIZES, axis=0), np.tile(sizes, len(points))
        cell = np.log(p.spread * 2 * WIDEST / (SIZES - 1)) - np.log(len(points))
        shape = (n, len(v))
        all_v, all_size = np.broadcast_to(v, (*shape, k)), np.broadcast_to(size, shape)
        return _Draws(all_v, all_size, _likelihood(problem, all_v, all_size) + cell)
    uniform, normal, third = base
    m = len(uniform)
    quarter = m // 4
    v = np.empty((n, m, k))
    size = np.empty((n, m))
    flat = normal[:quarter] / np.linalg.norm(normal[:quarter], axis=1, keepdims=True)
    v[:, :quarter] = flat
    v[:, quarter : 2 * quarter] = von_mises_fisher(
        p.direction, p.concentration, uniform[quarter : 2 * quarter], normal[quarter : 2 * quarter]
    )
    size[:, : 2 * quarter] = p.log_temperature + p.spread * third[: 2 * quarter]
    laplace = _Laplace.at_modes(problem, p)
    noise = np.column_stack([normal[2 * quarter :, : k - 1], third[2 * quarter :]])
    v[:, 2 * quarter :], size[:, 2 * quarter :] = laplace.draw(noise)
    # every draw comes with its opposite: answers that cancel then leave no direction, exactly
    v, size = np.concatenate([v, -v], axis=1), np.tile(size, (1, 2))
    share = np.log(np.array([quarter, quarter, m - 2 * quarter]) / m)
    log_q = np.full((n, 2 * m), share[0])
    tilt = p.concentration * (v @ p.direction)
    for sign in (1.0, -1.0):
        fisher = sign * tilt - log_normaliser(p.concentration, k)
        log_q = np.logaddexp(log_q, share[1] - np.log(2.0) + fisher)
    log_q += _normal(size, p)
    for sign in (1.0, -1.0):
        log_q = np.logaddexp(log_q, share[2] - np.log(2.0) + laplace.log_density(sign * v, size))
    return _Draws(v, size, _likelihood(problem, v, size) - log_q - np.log(2 * m))


@dataclass(frozen=True)
class _Laplace:
    """Each person's normal approximation on (tangent plane at the mode, log temperature), a little inflated."""

    mode: Float[np.ndarray, "users attributes"]
    size: Float[np.ndarray, " users"]
    basis: Float[np.ndarray, "users attributes tangent"]
    factor: Float[np.ndarray, "users attributes attributes"]

    @classmethod
    def at_modes(cls, problem: DirectionProblem, p: Population) -> _Laplace:
        mode, size, precision = user_modes(
            problem.start,
            problem.difference,
            problem.outcome,
            problem.weight,
            p.direction,
            p.concentration,
            p.log_temperature,
            p.spread,
        )
        k = mode.shape[1]
        basis = tangent_basis(mode)
        along = np.concatenate([basis, mode[:, :, None]], axis=2)
        information = np.einsum("uia,uij,ujb->uab", along, precision, along)
        index = np.arange(k - 1)
        information[:, index, index] += np.maximum(p.concentration * (mode @ p.direction), 0.25)[:, None]
        information[:, k - 1, k - 1] += p.spread**-2
        return cls(mode, size, basis, np.linalg.cholesky(np.linalg.inv(information) * INFLATION**2))

    def draw(self, noise: Float[np.ndarray, "draws attributes"]) -> tuple[np.ndarray, np.ndarray]:
        """Directions (users, draws, attributes) and log temperatures (users, draws)."""
        move = np.einsum("uab,mb->uma", self.factor, noise)
        moved = self.mode[:, None, :] + np.einsum("uka,uma->umk", self.basis, move[:, :, :-1])
        return moved / np.linalg.norm(moved, axis=2, keepdims=True), self.size[:, None] + move[:, :, -1]

    def log_density(
        self, v: Float[np.ndarray, "users draws attributes"], size: Float[np.ndarray, "users draws"]
    ) -> Float[np.ndarray, "users draws"]:
        """At any direction; the tangent plane covers the half of the sphere around the mode."""
        k = v.shape[2]
        cosine = np.einsum("umk,uk->um", v, self.mode)
        safe = np.where(cosine > 1e-6, cosine, 1.0)
        tangent = np.einsum("umk,uka->uma", v, self.basis) / safe[:, :, None]
        offset = np.concatenate([tangent, (size - self.size[:, None])[:, :, None]], axis=2)
        solved = np.linalg.solve(self.factor, offset.transpose(0, 2, 1))
        log_factor = np.log(np.diagonal(self.factor, axis1=1, axis2=2)).sum(axis=1)
        found = -0.5 * np.sum(solved**2, axis=1) - log_factor[:, None] - 0.5 * k * np.log(2 * np.pi)
        return np.where(cosine > 1e-6, found + log_area(k) - k * np.log(safe), -np.inf)


def _likelihood(problem: DirectionProblem, v: np.ndarray, size: np.ndarray) -> np.ndarray:
    return particle_likelihood(
        problem.start,
        problem.difference,
        problem.outcome,
        problem.weight,
        np.ascontiguousarray(v),
        np.ascontiguousarray(size),
    )
