"""Compiled loops for users who are weights on prototypes: the best weights of each.

A user's rows are gathered once as differences of the item table, prototype by prototype, so that all further work on
the user runs along rows and the arithmetic vectorises. Newton's steps are taken in relative coordinates, in which the
prior is the identity times its parameter and the system stays well conditioned however small a weight is.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from pluralism.solvers.fast_exp import exp_negative

__all__ = ["best_weights", "cholesky", "gather", "place_chunk", "place_parallel", "prior_mean", "room", "work"]

MAX_STEPS = 60
QUADRATIC = 1e-7
MANY = 1000


@njit(parallel=True, cache=True, error_model="numpy")
def place_parallel(chunks, start, left, right, outcome, weight, table, alpha, begun, weights, value, gradient):
    """`place_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        place_chunk(c, chunks, start, left, right, outcome, weight, table, alpha, begun, weights, value, gradient)


@njit(cache=True, error_model="numpy")
def place_chunk(c, chunks, start, left, right, outcome, weight, table, alpha, begun, weights, value, gradient):
    """Best weights of each user of chunk `c`, the user's loss there, and the gradient for the table.

    `value[u]` = loss(w) - sum_k alpha_k log w_k at its minimum over the simplex, sought from the weights that are
    there if they have `begun`, else from the prior mean. By the envelope theorem the gradient for the table is that of
    the loss at fixed weights; it is added to `gradient[c]` where that has rows.
    """
    d, y, v, z, g, r = room(start, chunks[c], chunks[c + 1], table.shape[1])
    scratch = work(table.shape[1])
    for u in range(chunks[c], chunks[c + 1]):
        n = gather(u, start, left, right, outcome, weight, table, d, y, v)
        w = weights[u]
        if n == 0 or not begun:
            prior_mean(alpha, w)
        value[u] = best_weights(n, d, y, v, z, g, r, alpha, w, scratch)
        if len(gradient[c]) > 0:
            _derivatives(n, y, v, z, g, r)
            i = 0
            for row in range(start[u], start[u + 1]):
                if weight[row] > 0:
                    for k in range(len(w)):
                        gradient[c, left[row], k] += r[i] * w[k]
                        gradient[c, right[row], k] -= r[i] * w[k]
                    i += 1


@njit(cache=True)
def room(start, first, last, n_groups):
    """Scratch for the largest user: differences (groups x rows), outcomes, weights, logits, and two rows for slopes."""
    size = 1
    for u in range(first, last):
        size = max(size, start[u + 1] - start[u])
    rows = np.empty((5, size))
    return np.empty((n_groups, size)), rows[0], rows[1], rows[2], rows[3], rows[4]


@njit(cache=True)
def work(n_groups):
    """Scratch for Newton's method: a triangle, then rows for slope, solutions and the trial point."""
    return np.empty((n_groups + 4, n_groups))


@njit(cache=True)
def gather(u, start, left, right, outcome, weight, table, d, y, v):
    """The rows of positive weight of user `u`: differences, outcomes, weights; returns their number."""
    n = 0
    for row in range(start[u], start[u + 1]):
        if weight[row] > 0:
            for k in range(table.shape[1]):
                d[k, n] = table[left[row], k] - table[right[row], k]
            y[n] = outcome[row]
            v[n] = weight[row]
            n += 1
    return n


@njit(cache=True)
def prior_mean(alpha, w):
    """Set `w` to the prior mean."""
    total = 0.0
    for k in range(len(alpha)):
        total += alpha[k]
    for k in range(len(alpha)):
        w[k] = alpha[k] / total


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _logits(n, d, z, g, w):
    """The logits of the rows in `z` and exp(-|z|) in `g`; sums must keep their order, for the exponential rounds."""
    for i in range(n):
        z[i] = w[0] * d[0, i]
    for k in range(1, len(w)):
        share = w[k]
        for i in range(n):
            z[i] += share * d[k, i]
    for i in range(n):
        g[i] = exp_negative(-abs(z[i]))


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _loss(n, d, y, v, z, g, alpha, w):
    """Loss minus alpha' log w; leaves the logits in `z` and exp(-|z|) in `g`."""
    _logits(n, d, z, g, w)
    out = 0.0
    for k in range(len(w)):
        out -= alpha[k] * np.log(w[k])
    unlike = 0.0
    for i in range(n):
        unlike += abs(v[i] - 1.0)
    if unlike > 0:
        for i in range(n):
            out += v[i] * (max(z[i], 0.0) - y[i] * z[i] + np.log1p(g[i]))
        return out
    for i in range(n):
        out += max(z[i], 0.0) - y[i] * z[i]
    # factors are at most 2, so that the product of so many is still a number
    for first in range(0, n, MANY):
        product = 1.0
        for i in range(first, min(first + MANY, n)):
            product *= 1.0 + g[i]
        out += np.log(product)
    return out


@njit(cache=True, error_model="numpy")
def best_weights(n, d, y, v, z, g, r, alpha, w, scratch):
    """Newton's method on the simplex from `w`, in place; returns the value, with `z` and `g` as at the end."""
    n_groups = len(w)
    lower = scratch[:n_groups]
    slope, a, b, trial = scratch[n_groups], scratch[n_groups + 1], scratch[n_groups + 2], scratch[n_groups + 3]
    value = _loss(n, d, y, v, z, g, alpha, w)
    if n_groups == 1 or n == 0:
        return value
    for _ in range(MAX_STEPS):
        _newton_system(n, d, y, v, z, g, r, alpha, w, lower, slope)
        cholesky(lower, lower, n_groups)
        _solve(lower, slope, a)
        _solve(lower, w, b)
        across = along = 0.0
        for k in range(n_groups):
            across += w[k] * a[k]
            along += w[k] * b[k]
        decrement, lowest = 0.0, 0.0
        for k in range(n_groups):
            a[k] = across / along * b[k] - a[k]
            decrement -= slope[k] * a[k]
            lowest = min(lowest, a[k])
        t = min(1.0, 0.99 / max(-lowest, 1e-300))
        last = decrement < QUADRATIC and t == 1.0
        while True:
            total = 0.0
            for k in range(n_groups):
                trial[k] = w[k] * (1.0 + t * a[k])
                total += trial[k]
            for k in range(n_groups):
                trial[k] /= total
            new = _loss(n, d, y, v, z, g, alpha, trial)
            if last or new <= value - 1e-4 * t * decrement or t < 1e-10:
                break
            t *= 0.5
        for k in range(n_groups):
            w[k] = trial[k]
        value = new
        if last or t < 1e-10:
            break
    return value


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _newton_system(n, d, y, v, z, g, r, alpha, w, lower, slope):
    """Slope and Hessian (its lower half) of the loss and prior in relative coordinates."""
    n_groups = len(w)
    _derivatives(n, y, v, z, g, r)
    for k in range(n_groups):
        total = 0.0
        for i in range(n):
            total += r[i] * d[k, i]
        slope[k] = total * w[k] - alpha[k]
        for j in range(k + 1):
            total = 0.0
            for i in range(n):
                total += g[i] * d[k, i] * d[j, i]
            lower[k, j] = total * w[k] * w[j]
        lower[k, k] += alpha[k]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _derivatives(n, y, v, z, g, r):
    """From exp(-|z|) in `g` to the first derivative of each row's loss in `r` and the second in `g`."""
    for i in range(n):
        share = 1.0 / (1.0 + g[i])
        p = share if z[i] >= 0 else g[i] * share
        r[i] = v[i] * (p - y[i])
        g[i] = v[i] * g[i] * share * share


@njit(cache=True, error_model="numpy")
def cholesky(matrix, lower, size):
    """Lower factor of the leading block; a pivot that rounding made too small is lifted."""
    for k in range(size):
        for j in range(k + 1):
            total = matrix[k, j]
            for i in range(j):
                total -= lower[k, i] * lower[j, i]
            if j < k:
                lower[k, j] = total / lower[j, j]
            else:
                lower[k, k] = np.sqrt(max(total, 1e-12))


@njit(cache=True, error_model="numpy")
def _solve(lower, right, out):
    """The solution of lower lower' out = right."""
    size = len(right)
    for k in range(size):
        total = right[k]
        for j in range(k):
            total -= lower[k, j] * out[j]
        out[k] = total / lower[k, k]
    for k in range(size - 1, -1, -1):
        total = out[k]
        for j in range(k + 1, size):
            total -= lower[j, k] * out[j]
        out[k] = total / lower[k, k]
