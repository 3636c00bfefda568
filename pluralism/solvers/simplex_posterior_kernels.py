"""Compiled loops for the posterior of users' weights on prototypes: importance sampling, user by user."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from pluralism.solvers.fast_exp import exp_negative
from pluralism.solvers.simplex_kernels import best_weights, cholesky, gather, prior_mean, room, work

__all__ = ["posterior_chunk", "posterior_parallel"]

SPREAD = 1.2
FEW = 200


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
    d, y, v, z, g, r = room(start, chunks[c], chunks[c + 1], n_groups)
    scratch = work(n_groups)
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
        n = gather(u, start, left, right, outcome, weight, table, d, y, v)
        if n == 0:
            continue
        prior_mean(alpha, w)
        best_weights(n, d, y, v, z, g, r, alpha, w, scratch)
        _ratio_precision(n, d, v, z, g, alpha, w, precision)
        for j in range(free):
            for k in range(free):
                precision[j, k] /= SPREAD
        cholesky(precision, factor, free)
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
        first, yi, vi = d[0, i], y[i], v[i]
        for s in range(size):
            zs[s] = first * point[0, s]
        for k in range(1, point.shape[0]):
            slope = d[k, i]
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
        q = v[i] * g[i] / (1.0 + g[i]) ** 2
        for k in range(n_groups):
            for j in range(n_groups):
                out[k, j] += q * w[k] * (d[k, i] - z[i]) * w[j] * (d[j, i] - z[i])
