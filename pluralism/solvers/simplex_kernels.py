"""Compiled loops for users who are weights on prototypes: the best weights of each, and their posterior.

A user's rows are gathered once as differences of the item table (rows x groups); all further work on the user is on
that small matrix. Newton's steps are taken in relative coordinates, in which the prior is the identity times its
parameter and the system stays well conditioned however small a weight is.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from pluralism.solvers.fast_exp import exp_negative

__all__ = ["place_chunk", "place_parallel", "posterior_chunk", "posterior_parallel"]

MAX_STEPS = 60
QUADRATIC = 1e-7
SPREAD = 1.2
FEW = 200


@njit(parallel=True, cache=True, error_model="numpy")
def place_parallel(chunks, start, left, right, outcome, weight, table, alpha, weights, value, gradient):
    """`place_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        place_chunk(c, chunks, start, left, right, outcome, weight, table, alpha, weights, value, gradient)


@njit(cache=True, error_model="numpy")
def place_chunk(c, chunks, start, left, right, outcome, weight, table, alpha, weights, value, gradient):
    """Best weights of each user of chunk `c`, the user's loss there, and the gradient for the table.

    `value[u]` = loss(w) - sum_k alpha_k log w_k at its minimum over the simplex. By the envelope theorem its gradient
    for the table is that of the loss at fixed weights; it is added to `gradient[c]` where that has rows.
    """
    n_groups = table.shape[1]
    d, y, v, z, g = _room(start, chunks[c], chunks[c + 1], n_groups)
    lower = np.empty((n_groups, n_groups))
    slope, a, b, trial = np.empty(n_groups), np.empty(n_groups), np.empty(n_groups), np.empty(n_groups)
    for u in range(chunks[c], chunks[c + 1]):
        n = _gather(u, start, left, right, outcome, weight, table, d, y, v)
        w = weights[u]
        _prior_mean(alpha, w)
        value[u] = _best(n, d, y, v, z, g, alpha, w, lower, slope, a, b, trial)
        if len(gradient[c]) > 0:
            i = 0
            for row in range(start[u], start[u + 1]):
                if weight[row] > 0:
                    r = v[i] * (_logistic(z[i], g[i]) - y[i])
                    for k in range(n_groups):
                        gradient[c, left[row], k] += r * w[k]
                        gradient[c, right[row], k] -= r * w[k]
                    i += 1


@njit(parallel=True, cache=True, error_model="numpy")
def posterior_parallel(
    chunks, start, left, right, outcome, weight, table, alpha, draws, normal, mean, covariance, log_mean, ess, evidence
):
    """`posterior_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        posterior_chunk(
            c,
            chunks,
            start,
            left,
            right,
            outcome,
            weight,
            table,
            alpha,
            draws,
            normal,
            mean,
            covariance,
            log_mean,
            ess,
            evidence,
        )


@njit(cache=True, error_model="numpy")
def posterior_chunk(
    c,
    chunks,
    start,
    left,
    right,
    outcome,
    weight,
    table,
    alpha,
    draws,
    normal,
    mean,
    covariance,
    log_mean,
    ess,
    evidence,
):
    """Moments of each user's weights by importance sampling, into the arrays given last.

    Half of the draws are from the Dirichlet prior (`draws` holds their log weights and, last, their log density in
    additive log-ratio coordinates), half from Laplace's approximation in those coordinates (`normal`, standard
    normal); all are weighed against the mixture of both, so that no weight can be large. The draws are the same for
    all users: what is found of one does not depend on the others.
    """
    n_groups = table.shape[1]
    free = n_groups - 1
    half = draws.shape[1]
    size = 2 * half
    log_constant = draws[n_groups + 1, 0]
    d, y, v, z, g = _room(start, chunks[c], chunks[c + 1], n_groups)
    lower = np.empty((n_groups, n_groups))
    slope, a, b, trial = np.empty(n_groups), np.empty(n_groups), np.empty(n_groups), np.empty(n_groups)
    w = np.empty(n_groups)
    precision = np.empty((n_groups, n_groups))
    factor = np.empty((n_groups, n_groups))
    log_w = np.empty((n_groups, size))
    point = np.empty((n_groups, size))
    log_prior = np.empty(size)
    log_normal = np.empty(size)
    zs, product, total, ones = np.empty(size), np.empty(size), np.empty(size), np.ones(size)
    for k in range(n_groups):
        for s in range(half):
            log_w[k, s] = draws[k, s]
            point[k, s] = np.exp(draws[k, s])
    for s in range(half):
        log_prior[s] = draws[n_groups, s]
    for u in range(chunks[c], chunks[c + 1]):
        n = _gather(u, start, left, right, outcome, weight, table, d, y, v)
        if n == 0:
            continue
        _prior_mean(alpha, w)
        _best(n, d, y, v, z, g, alpha, w, lower, slope, a, b, trial)
        _ratio_precision(n, d, v, z, g, alpha, w, precision)
        for j in range(free):
            for k in range(free):
                precision[j, k] /= SPREAD
        _cholesky(precision, factor, free)
        log_det = 0.0
        for k in range(free):
            log_det += np.log(factor[k, k])
        scale = log_det - 0.5 * free * np.log(2.0 * np.pi)
        # the normal half: point = mode + factor^-T normal
        for k in range(free):
            mode = np.log(w[k]) - np.log(w[free])
            for s in range(half):
                log_w[k, half + s] = mode
        for k in range(free - 1, -1, -1):
            for s in range(half):
                zs[s] = normal[k, s]
            for j in range(k + 1, free):
                for s in range(half):
                    zs[s] -= factor[j, k] * point[j, half + s]
            for s in range(half):
                point[k, half + s] = zs[s] / factor[k, k]
        for s in range(half):
            log_normal[half + s] = 0.0
            total[s] = 0.0
        for k in range(free):
            for s in range(half):
                log_w[k, half + s] += point[k, half + s]
                log_normal[half + s] -= 0.5 * normal[k, s] * normal[k, s]
                total[s] = max(total[s], log_w[k, half + s])
        for s in range(half):
            product[s] = exp_negative(-total[s])
        for k in range(free):
            for s in range(half):
                product[s] += exp_negative(log_w[k, half + s] - total[s])
        for s in range(half):
            total[s] += np.log(product[s])
            log_w[free, half + s] = -total[s]
            log_prior[half + s] = log_constant - alpha[free] * total[s]
        for k in range(free):
            for s in range(half):
                log_w[k, half + s] -= total[s]
                log_prior[half + s] += alpha[k] * log_w[k, half + s]
        for k in range(n_groups):
            for s in range(half, size):
                point[k, s] = exp_negative(log_w[k, s])
        # density of the normal at the prior's draws
        for s in range(half):
            log_normal[s] = 0.0
        for k in range(free):
            for s in range(half):
                zs[s] = 0.0
            for j in range(k, free):
                mode = np.log(w[j]) - np.log(w[free])
                for s in range(half):
                    zs[s] += factor[j, k] * (log_w[j, s] - log_w[free, s] - mode)
            for s in range(half):
                log_normal[s] -= 0.5 * zs[s] * zs[s]
        _likelihood(n, d, y, v, point, zs, total, product)
        for s in range(size):
            ratio = log_normal[s] + scale - log_prior[s]
            e = exp_negative(-abs(ratio))
            product[s] *= 0.5 * (1.0 + e)
            zs[s] = e if ratio >= 0 else 1.0
        top = _largest(total)
        for s in range(size):
            total[s] = exp_negative(total[s] - top) * zs[s] / product[s]
        largest = _largest(total)
        for s in range(size):
            total[s] /= largest
        mass = _dot(total, ones, ones)
        ess[u] = mass * mass / _dot(total, total, ones)
        evidence[u] = top + np.log(largest) + np.log(mass / size)
        for k in range(n_groups):
            mean[u, k] = _dot(total, point[k], ones) / mass
            log_mean[u, k] = _dot(total, log_w[k], ones) / mass
        for k in range(n_groups):
            for j in range(k + 1):
                second = _dot(total, point[k], point[j]) / mass - mean[u, k] * mean[u, j]
                covariance[u, k, j] = second
                covariance[u, j, k] = second


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _likelihood(n, d, y, v, point, zs, total, product):
    """Log-likelihood of a user's rows at every draw, as `total` less the logarithm of `product`."""
    size = len(zs)
    for s in range(size):
        total[s] = 0.0
        product[s] = 1.0
    pending = 0
    for i in range(n):
        first, yi, vi = d[i, 0], y[i], v[i]
        for s in range(size):
            zs[s] = first * point[0, s]
        for k in range(1, point.shape[0]):
            slope = d[i, k]
            for s in range(size):
                zs[s] += slope * point[k, s]
        if vi == 1.0:
            for s in range(size):
                total[s] += (yi - 0.5) * zs[s] - 0.5 * abs(zs[s])
                product[s] *= 1.0 + exp_negative(-abs(zs[s]))
            pending += 1
            if pending == FEW:
                pending = 0
                for s in range(size):
                    total[s] -= np.log(product[s])
                    product[s] = 1.0
        else:
            for s in range(size):
                total[s] += vi * ((yi - 0.5) * zs[s] - 0.5 * abs(zs[s]) - np.log1p(np.exp(-abs(zs[s]))))


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _dot(a, b, c):
    total = 0.0
    for s in range(len(a)):
        total += a[s] * b[s] * c[s]
    return total


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "nnan", "nsz"})
def _largest(a):
    top = a[0]
    for s in range(len(a)):
        top = max(top, a[s])
    return top


@njit(cache=True)
def _room(start, first, last, n_groups):
    """Scratch for the largest user."""
    size = 1
    for u in range(first, last):
        size = max(size, start[u + 1] - start[u])
    return np.empty((size, n_groups)), np.empty(size), np.empty(size), np.empty(size), np.empty(size)


@njit(cache=True)
def _gather(u, start, left, right, outcome, weight, table, d, y, v):
    """The rows of positive weight of user `u`: differences, outcomes, weights; returns their number."""
    n = 0
    for row in range(start[u], start[u + 1]):
        if weight[row] > 0:
            for k in range(table.shape[1]):
                d[n, k] = table[left[row], k] - table[right[row], k]
            y[n] = outcome[row]
            v[n] = weight[row]
            n += 1
    return n


@njit(cache=True)
def _prior_mean(alpha, w):
    total = 0.0
    for k in range(len(alpha)):
        total += alpha[k]
    for k in range(len(alpha)):
        w[k] = alpha[k] / total


@njit(cache=True, error_model="numpy")
def _logistic(z, g):
    return 1.0 / (1.0 + g) if z >= 0 else g / (1.0 + g)


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _loss(n, d, y, v, z, g, alpha, w):
    """Loss minus alpha' log w; leaves the logits in `z` and exp(-|z|) in `g`."""
    out = 0.0
    for k in range(len(w)):
        out -= alpha[k] * np.log(w[k])
    for i in range(n):
        total = 0.0
        for k in range(len(w)):
            total += d[i, k] * w[k]
        z[i] = total
    for i in range(n):
        g[i] = exp_negative(-abs(z[i]))
    product = 1.0
    for i in range(n):
        if v[i] == 1.0:
            out += max(z[i], 0.0) - y[i] * z[i]
            product *= 1.0 + g[i]
            if product > 1e280:
                out += np.log(product)
                product = 1.0
        else:
            out += v[i] * (max(z[i], 0.0) - y[i] * z[i] + np.log1p(g[i]))
    return out + np.log(product)


@njit(cache=True, error_model="numpy")
def _best(n, d, y, v, z, g, alpha, w, lower, slope, a, b, trial):
    """Newton's method on the simplex from `w`, in place; returns the value, with `z` and `g` as at the end."""
    n_groups = len(w)
    value = _loss(n, d, y, v, z, g, alpha, w)
    if n_groups == 1 or n == 0:
        return value
    for _ in range(MAX_STEPS):
        for k in range(n_groups):
            slope[k] = 0.0
            for j in range(k + 1):
                lower[k, j] = 0.0
        for i in range(n):
            p = _logistic(z[i], g[i])
            r, q = v[i] * (p - y[i]), v[i] * p * (1.0 - p)
            for k in range(n_groups):
                slope[k] += r * d[i, k]
                for j in range(k + 1):
                    lower[k, j] += q * d[i, k] * d[i, j]
        for k in range(n_groups):
            slope[k] = slope[k] * w[k] - alpha[k]
            for j in range(k + 1):
                lower[k, j] *= w[k] * w[j]
            lower[k, k] += alpha[k]
        _cholesky(lower, lower, n_groups)
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


@njit(cache=True, error_model="numpy")
def _ratio_precision(n, d, v, z, g, alpha, w, out):
    """Hessian of the loss and prior in log-ratio coordinates (the last one left out) at the best weights."""
    n_groups = len(w)
    total = 0.0
    for k in range(n_groups):
        total += alpha[k]
    for k in range(n_groups):
        for j in range(n_groups):
            out[k, j] = total * w[k] * w[j] - alpha[k] * w[j] - w[k] * alpha[j]
        out[k, k] += alpha[k]
    for i in range(n):
        p = _logistic(z[i], g[i])
        q = v[i] * p * (1.0 - p)
        for k in range(n_groups):
            for j in range(n_groups):
                out[k, j] += q * w[k] * (d[i, k] - z[i]) * w[j] * (d[i, j] - z[i])


@njit(cache=True, error_model="numpy")
def _cholesky(matrix, lower, size):
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
