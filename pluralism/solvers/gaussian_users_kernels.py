"""Compiled loops for users who differ continuously: a Gaussian posterior of each user's factors, by groups."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["place_chunk", "place_parallel"]


@njit(parallel=True, cache=True, error_model="numpy")
def place_parallel(chunks, *arguments):
    """`place_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        place_chunk(c, chunks, *arguments)


@njit(cache=True, error_model="numpy")
def place_chunk(
    c,
    chunks,
    start,
    left,
    right,
    outcome,
    weight,
    design,
    table,
    effects,
    log_weights,
    n_groups,
    tol,
    max_inner,
    bound,
    mean,
    covariance,
    posterior,
    with_gradient,
    table_gradient,
    effects_gradient,
):
    """Per user: the bound under each group, mean and covariance of the factors, and the gradient of the marginal bound.

    `table` (items, groups + factors) holds base scores and loadings; `effects` (covariates, groups + factors) the
    same for the covariates.
    """
    n_columns = table.shape[1]
    q = n_columns - n_groups
    n_covariates = design.shape[1]
    longest = 0
    for u in range(chunks[c], chunks[c + 1]):
        longest = max(longest, start[u + 1] - start[u])
    row = np.empty((longest, n_columns))
    curvature = np.empty((n_groups, longest))
    fitted = np.empty((n_groups, longest))
    precision = np.empty((q, q))
    target = np.empty(q)
    part = np.empty(n_columns)
    for u in range(chunks[c], chunks[c + 1]):
        first, n = start[u], start[u + 1] - start[u]
        for i in range(n):
            a, b = left[first + i], right[first + i]
            for j in range(n_columns):
                value = table[a, j] - table[b, j]
                for p in range(n_covariates):
                    value += design[first + i, p] * effects[p, j]
                row[i, j] = value
        for k in range(n_groups):
            bound[u, k] = _place_in_group(
                k,
                n,
                row,
                outcome[first : first + n],
                weight[first : first + n],
                n_groups,
                q,
                tol,
                max_inner,
                curvature[k],
                fitted[k],
                precision,
                target,
                mean[u, k],
                covariance[u, k],
            )
        top = -np.inf
        for k in range(n_groups):
            top = max(top, bound[u, k] + log_weights[k])
        total = 0.0
        for k in range(n_groups):
            posterior[u, k] = np.exp(bound[u, k] + log_weights[k] - top)
            total += posterior[u, k]
        for k in range(n_groups):
            posterior[u, k] /= total
        if not with_gradient:
            continue
        for i in range(n):
            a, b = left[first + i], right[first + i]
            part[:] = 0.0
            for k in range(n_groups):
                share = posterior[u, k] * weight[first + i]
                bend = curvature[k, i]
                slope = share * (outcome[first + i] - 0.5 - bend * fitted[k, i])
                part[k] = slope
                for j in range(q):
                    spread = 0.0
                    for h in range(q):
                        spread += covariance[u, k, j, h] * row[i, n_groups + h]
                    part[n_groups + j] += slope * mean[u, k, j] - share * bend * spread
            for j in range(n_columns):
                table_gradient[c, a, j] += part[j]
                table_gradient[c, b, j] -= part[j]
                for p in range(n_covariates):
                    effects_gradient[c, p, j] += design[first + i, p] * part[j]


@njit(cache=True, error_model="numpy")
def _place_in_group(
    k, n, row, outcome, weight, n_groups, q, tol, max_inner, curvature, fitted, precision, target, mean, covariance
):
    """Gaussian posterior of one user under one group's scores, and the bound; see `gaussian_users` for the formulas."""
    for i in range(n):
        square = row[i, k] ** 2
        for j in range(q):
            square += row[i, n_groups + j] ** 2
        curvature[i] = _bend(np.sqrt(square))
    log_determinant = 0.0
    for _ in range(max_inner):
        for j in range(q):
            target[j] = 0.0
            for h in range(q):
                precision[j, h] = 1.0 if j == h else 0.0
        for i in range(n):
            pull = weight[i] * (outcome[i] - 0.5 - curvature[i] * row[i, k])
            stiffness = weight[i] * curvature[i]
            for j in range(q):
                x = row[i, n_groups + j]
                target[j] += pull * x
                for h in range(j + 1):
                    precision[j, h] += stiffness * x * row[i, n_groups + h]
        log_determinant = _invert(precision, covariance, q)
        for j in range(q):
            mean[j] = 0.0
            for h in range(q):
                mean[j] += covariance[j, h] * target[h]
        moved = 0.0
        for i in range(n):
            z = row[i, k]
            spread = 0.0
            for j in range(q):
                x = row[i, n_groups + j]
                z += x * mean[j]
                inner = 0.0
                for h in range(j):
                    inner += covariance[j, h] * row[i, n_groups + h]
                spread += x * (2.0 * inner + covariance[j, j] * x)
            bend = _bend(np.sqrt(z * z + spread))
            moved = max(moved, abs(bend - curvature[i]))
            curvature[i] = bend
            fitted[i] = z
        if q == 0 or moved < tol:
            break
    value = 0.0
    for i in range(n):
        spread = 0.0
        for j in range(q):
            x = row[i, n_groups + j]
            for h in range(q):
                spread += x * covariance[j, h] * row[i, n_groups + h]
        c = np.sqrt(fitted[i] ** 2 + spread)
        value += weight[i] * ((outcome[i] - 0.5) * fitted[i] - 0.5 * c - np.log1p(np.exp(-c)))
    divergence = -q + log_determinant
    for j in range(q):
        divergence += covariance[j, j] + mean[j] ** 2
    return value - 0.5 * divergence


@njit(cache=True, error_model="numpy")
def _bend(c):
    """tanh(c / 2) / (2 c): the curvature of Jaakkola and Jordan's bound, the mean of a Polya-Gamma(1, c) variable."""
    return 0.25 - c * c / 48.0 if c < 1e-3 else np.tanh(0.5 * c) / (2.0 * c)


@njit(cache=True, error_model="numpy")
def _invert(precision, inverse, q):
    """Inverse of a positive definite matrix (its lower triangle is given) by Cholesky; returns the log determinant."""
    log_determinant = 0.0
    for j in range(q):
        pivot = precision[j, j]
        for h in range(j):
            pivot -= precision[j, h] ** 2
        pivot = np.sqrt(pivot)
        precision[j, j] = pivot
        log_determinant += 2.0 * np.log(pivot)
        for i in range(j + 1, q):
            value = precision[i, j]
            for h in range(j):
                value -= precision[i, h] * precision[j, h]
            precision[i, j] = value / pivot
    # the inverse of the factor, column by column, then its square
    for j in range(q):
        for i in range(q):
            inverse[i, j] = 0.0
        inverse[j, j] = 1.0 / precision[j, j]
        for i in range(j + 1, q):
            value = 0.0
            for h in range(j, i):
                value -= precision[i, h] * inverse[h, j]
            inverse[i, j] = value / precision[i, i]
    for j in range(q):
        for i in range(j + 1):
            value = 0.0
            for h in range(j, q):
                value += inverse[h, i] * inverse[h, j]
            # column i of the factor is read from row i on only, so its head can hold the result
            precision[i, j] = value
    for j in range(q):
        for i in range(j + 1):
            inverse[i, j] = precision[i, j]
            inverse[j, i] = precision[i, j]
    return log_determinant
