"""Compiled loops of directions on the sphere: the likelihood at draws, and each person's mode."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["particle_likelihood", "user_modes"]

MAX_STEPS = 50


@njit(parallel=True, cache=True, error_model="numpy")
def particle_likelihood(start, difference, outcome, weight, v, size):
    """Per user and draw, the log-likelihood of the user's rows: sum w [o z - log(1 + e^z)], z = e^size v . d."""
    n_users, n_draws, k = v.shape
    out = np.zeros((n_users, n_draws))
    for u in prange(n_users):
        for j in range(n_draws):
            scale = np.exp(size[u, j])
            total = 0.0
            for row in range(start[u], start[u + 1]):
                z = 0.0
                for a in range(k):
                    z += v[u, j, a] * difference[row, a]
                z *= scale
                total += weight[row] * (outcome[row] * z - max(z, 0.0) - np.log1p(np.exp(-abs(z))))
            out[u, j] = total
    return out


@njit(cache=True, error_model="numpy")
def _value(start, end, difference, outcome, weight, b, mu, kappa, mean, spread):
    k = len(b)
    length = np.sqrt(np.sum(b * b))
    total = 0.0
    for row in range(start, end):
        z = 0.0
        for a in range(k):
            z += b[a] * difference[row, a]
        total += weight[row] * (outcome[row] * z - max(z, 0.0) - np.log1p(np.exp(-abs(z))))
    along = 0.0
    for a in range(k):
        along += mu[a] * b[a]
    return total + kappa * along / length - 0.5 * ((np.log(length) - mean) / spread) ** 2


@njit(parallel=True, cache=True, error_model="numpy")
def user_modes(start, difference, outcome, weight, mu, kappa, mean, spread):
    """Per user, the mode of (direction, log temperature) and the information of the answers at it.

    Returns unit vectors (users, k), log temperatures (users,), and the Gauss-Newton information by t v scaled by t^2
    (users, k, k). Damped Newton steps on t v; where it does not rise any more the last point stands.
    """
    n_users, k = len(start) - 1, difference.shape[1]
    mode = np.empty((n_users, k))
    size = np.empty(n_users)
    information = np.zeros((n_users, k, k))
    for u in prange(n_users):
        b = np.zeros(k)
        for row in range(start[u], start[u + 1]):
            for a in range(k):
                b[a] += weight[row] * (outcome[row] - 0.5) * difference[row, a]
        for a in range(k):
            b[a] += (0.1 + kappa) * mu[a]
        length = np.sqrt(np.sum(b * b))
        if length < 1e-9:
            b[:] = mu
            length = 1.0
        b *= np.exp(mean) / length
        value = _value(start[u], start[u + 1], difference, outcome, weight, b, mu, kappa, mean, spread)
        h = np.zeros((k, k))
        for _ in range(MAX_STEPS):
            gradient = np.zeros(k)
            h[:, :] = 0.0
            for row in range(start[u], start[u + 1]):
                z = 0.0
                for a in range(k):
                    z += b[a] * difference[row, a]
                p = 1.0 / (1.0 + np.exp(-z))
                slope, bend = weight[row] * (outcome[row] - p), weight[row] * p * (1.0 - p)
                for a in range(k):
                    gradient[a] += slope * difference[row, a]
                    for c in range(k):
                        h[a, c] += bend * difference[row, a] * difference[row, c]
            length = np.sqrt(np.sum(b * b))
            v = b / length
            along = np.sum(mu * v)
            lead = (np.log(length) - mean) / spread**2
            metric = h.copy()
            across = max(kappa * along, 0.25) / length**2
            for a in range(k):
                gradient[a] += kappa * (mu[a] - along * v[a]) / length - lead * v[a] / length
                for c in range(k):
                    metric[a, c] += v[a] * v[c] * (1.0 / spread**2 / length**2 - across)
                metric[a, a] += across
            step = np.linalg.solve(metric, gradient)
            gain = np.sum(step * gradient)
            if gain < 1e-9:
                break
            t, better = 1.0, False
            for _ in range(20):
                trial = b + t * step
                if np.sum(trial * trial) > 1e-12:
                    new = _value(start[u], start[u + 1], difference, outcome, weight, trial, mu, kappa, mean, spread)
                    if new > value + 1e-4 * t * gain:
                        b, value, better = trial, new, True
                        break
                t *= 0.5
            if not better:
                break
        length = np.sqrt(np.sum(b * b))
        mode[u] = b / length
        size[u] = np.log(length)
        information[u] = h * length**2
    return mode, size, information
