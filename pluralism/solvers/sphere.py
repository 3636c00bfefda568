"""Directions on the unit sphere: the von Mises-Fisher law relative to the uniform one, and tangent planes.

All densities are relative to the uniform distribution on the sphere of R^k, so the uniform one is 1 everywhere.
K. V. Mardia, P. E. Jupp, Directional Statistics (2000), chapter 9.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln, ive

__all__ = [
    "cone_directions",
    "log_area",
    "log_normaliser",
    "mean_cosine",
    "solve_concentration",
    "tangent_basis",
    "von_mises_fisher",
]

GRID = 4001
MOST_CONCENTRATED = 1e4


def log_area(k: int) -> float:
    """Logarithm of the surface of the unit sphere in R^k."""
    return float(np.log(2.0) + 0.5 * k * np.log(np.pi) - gammaln(0.5 * k))


def log_normaliser(kappa: float, k: int) -> float:
    """What divides exp(kappa mu . v) in the density: the log of E exp(kappa cos) under the uniform law."""
    if kappa < 1e-8:
        return 0.0
    order = 0.5 * k - 1.0
    return float(gammaln(0.5 * k) - order * np.log(0.5 * kappa) + np.log(ive(order, kappa)) + kappa)


def mean_cosine(kappa: float, k: int) -> float:
    """E cos between a draw and the mean direction, in [0, 1)."""
    if kappa < 1e-8:
        return kappa / k
    return float(ive(0.5 * k, kappa) / ive(0.5 * k - 1.0, kappa))


def solve_concentration(cosine: float, k: int) -> float:
    """The concentration with this mean cosine, by bisection; at most 10,000."""
    if cosine <= 1e-10:
        return 0.0
    low, high = 0.0, 1.0
    while mean_cosine(high, k) < cosine and high < MOST_CONCENTRATED:
        low, high = high, 2.0 * high
    if high >= MOST_CONCENTRATED:
        return MOST_CONCENTRATED
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if mean_cosine(middle, k) < cosine else (low, middle)
    return 0.5 * (low + high)


def tangent_basis(v: Float[np.ndarray, "users k"]) -> Float[np.ndarray, "users k tangent"]:
    """An orthonormal basis of the tangent plane at each v, continuous but at minus the first axis (Householder)."""
    k = v.shape[1]
    sign = np.where(v[:, :1] >= 0, 1.0, -1.0)
    w = v.copy()
    w[:, :1] += sign
    norm = 2.0 / np.sum(w * w, axis=1)
    reflect = np.eye(k) - norm[:, None, None] * w[:, :, None] * w[:, None, :]
    return reflect[:, :, 1:]


def von_mises_fisher(
    mu: Float[np.ndarray, " k"],
    kappa: float,
    uniform: Float[np.ndarray, " draws"],
    normal: Float[np.ndarray, "draws k"],
) -> Float[np.ndarray, "draws k"]:
    """Draws that are a continuous function of the concentration, from given uniform and normal numbers.

    The cosine is drawn by inverting its distribution function, the rest is a uniform tangent direction.
    """
    k = len(mu)
    if k == 1:
        right = 1.0 / (1.0 + np.exp(-2.0 * kappa))
        return np.where(uniform < right, 1.0, -1.0)[:, None] * mu
    angle = np.linspace(0.0, np.pi, GRID)
    log_density = kappa * (np.cos(angle) - 1.0) + (k - 2) * np.log(np.maximum(np.sin(angle), 1e-300))
    density = np.exp(log_density - log_density.max())
    mass = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    drawn = np.interp(uniform * mass[-1], mass, angle)
    tangent = normal - (normal @ mu)[:, None] * mu
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-300)
    return np.cos(drawn)[:, None] * mu + np.sin(drawn)[:, None] * tangent


def cone_directions(
    n: int,
    k: int,
    *,
    rng: np.random.Generator,
    centre: Float[np.ndarray, " k"] | None = None,
    angle: float = np.pi,
) -> Float[np.ndarray, "directions k"]:
    """Unit directions within `angle` (radians) of a centre, uniform on that part of the sphere."""
    mu = np.eye(k)[0] if centre is None else np.asarray(centre, float) / np.linalg.norm(centre)
    if k == 1:
        return np.tile(mu, (n, 1))
    grid = np.linspace(0.0, min(angle, np.pi), GRID)
    density = np.sin(grid) ** (k - 2)
    mass = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    drawn = np.interp(rng.random(n) * mass[-1], mass, grid)
    normal = rng.normal(size=(n, k))
    tangent = normal - (normal @ mu)[:, None] * mu
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    return np.cos(drawn)[:, None] * mu + np.sin(drawn)[:, None] * tangent
