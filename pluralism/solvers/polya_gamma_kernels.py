"""Compiled loops of variational inference with the Polya-Gamma bound.

`bound_*` is the E step: rows are taken user by user. The other two sum squared differences of (rotated) features over
rows, which is all that a diagonal covariance needs. Each comes for one chunk and for all chunks in parallel.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from pluralism.solvers.fast_exp import exp_negative

__all__ = ["bound_chunk", "bound_parallel", "curvature_sums", "spread_sums"]


@njit(parallel=True, cache=True, error_model="numpy")
def bound_parallel(chunks, *arguments):
    """`bound_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        bound_chunk(c, chunks, *arguments)


@njit(cache=True, error_model="numpy")
def bound_chunk(
    c,
    chunks,
    start,
    left,
    right,
    outcome,
    weight,
    design,
    scores,
    effects,
    log_weights,
    spread,
    posterior,
    evidence,
    scores_gradient,
    effects_gradient,
    tilt,
):
    """Responsibilities, evidence and gradients of the users of chunk `c`, into the arrays given last.

    Per row and group the tightest bound on E log sigma is (y - 1/2) E z - log 2 cosh(c / 2) with c^2 = E z^2; `tilt`
    (if it has rows) receives responsibility x weight x E omega, with E omega = tanh(c / 2) / (2 c).
    """
    n_groups = scores.shape[1]
    n_covariates = design.shape[1]
    largest = 0
    for u in range(chunks[c], chunks[c + 1]):
        largest = max(largest, start[u + 1] - start[u])
    z = np.empty(largest * n_groups)
    total = np.empty(largest * n_groups)
    omega = np.empty(largest * n_groups)
    log_p = np.empty(n_groups)
    product = np.empty(n_groups)
    for u in range(chunks[c], chunks[c + 1]):
        origin = start[u]
        for row in range(origin, start[u + 1]):
            a, b, at = left[row], right[row], (row - origin) * n_groups
            for k in range(n_groups):
                value = scores[a, k] - scores[b, k]
                for j in range(n_covariates):
                    value += design[row, j] * effects[j, k]
                z[at + k] = value
                total[at + k] = spread[row, k]
        _tilted((start[u + 1] - origin) * n_groups, z, total, omega)
        for k in range(n_groups):
            log_p[k] = 0.0
            product[k] = 1.0
        for row in range(origin, start[u + 1]):
            at, w, half = (row - origin) * n_groups, weight[row], outcome[row] - 0.5
            for k in range(n_groups):
                tilted = np.sqrt(z[at + k] * z[at + k] + spread[row, k])
                linear = half * z[at + k] - 0.5 * tilted
                if w == 1.0:
                    # the logarithm of a product costs one log for many rows instead of one each
                    log_p[k] += linear
                    product[k] *= total[at + k]
                    if product[k] > 1e280:
                        log_p[k] -= np.log(product[k])
                        product[k] = 1.0
                else:
                    log_p[k] += w * (linear - np.log(total[at + k]))
        top = -np.inf
        for k in range(n_groups):
            log_p[k] += log_weights[k] - np.log(product[k])
            top = max(top, log_p[k])
        mass = 0.0
        for k in range(n_groups):
            posterior[u, k] = np.exp(log_p[k] - top)
            mass += posterior[u, k]
        for k in range(n_groups):
            posterior[u, k] /= mass
        evidence[u] = top + np.log(mass)
        for row in range(origin, start[u + 1]):
            a, b, at = left[row], right[row], (row - origin) * n_groups
            w, half = weight[row], outcome[row] - 0.5
            for k in range(n_groups):
                share = posterior[u, k] * w
                r = share * (half - omega[at + k] * z[at + k])
                scores_gradient[c, a, k] += r
                scores_gradient[c, b, k] -= r
                for j in range(n_covariates):
                    effects_gradient[c, j, k] += r * design[row, j]
                if len(tilt) > 0:
                    tilt[row, k] = share * omega[at + k]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _tilted(size, z, total, omega):
    """`total` comes as E z^2 - (E z)^2 and leaves as 1 + exp(-c); `omega` leaves as tanh(c / 2) / (2 c)."""
    for j in range(size):
        c = np.sqrt(z[j] * z[j] + total[j])
        g = exp_negative(-c)
        total[j] = 1.0 + g
        # tanh(c / 2) / (2 c) = 1/4 - c^2 / 48 + ... loses all digits by cancellation near 0
        omega[j] = (1.0 - g) / (2.0 * c * (1.0 + g)) if c > 1e-3 else 0.25 - c * c / 48.0


@njit(parallel=True, cache=True, error_model="numpy")
def curvature_sums(bounds, left, right, rotated, tilt, out):
    """`out[c, k, j]` = sum over the rows of chunk c of tilt[i, k] * (rotated[left[i], j] - rotated[right[i], j])^2."""
    dim, n_groups = rotated.shape[1], tilt.shape[1]
    for c in prange(len(bounds) - 1):
        square = np.empty(dim, rotated.dtype)
        for i in range(bounds[c], bounds[c + 1]):
            _square(rotated, left[i], right[i], square)
            for k in range(n_groups):
                # a group that a user surely does not belong to gains nothing from the user's rows
                if tilt[i, k] > 1e-9:
                    _add(tilt[i, k], square, out[c, k])


@njit(parallel=True, cache=True, error_model="numpy")
def spread_sums(bounds, left, right, rotated, variance, out):
    """`out[i, k]` += sum_j variance[k, j] * (rotated[left[i], j] - rotated[right[i], j])^2."""
    dim, n_groups = rotated.shape[1], out.shape[1]
    for c in prange(len(bounds) - 1):
        square = np.empty(dim, rotated.dtype)
        for i in range(bounds[c], bounds[c + 1]):
            _square(rotated, left[i], right[i], square)
            for k in range(n_groups):
                out[i, k] += _dot(variance[k], square)


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _square(rotated, a, b, square):
    for j in range(len(square)):
        difference = rotated[a, j] - rotated[b, j]
        square[j] = difference * difference


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add(scale, square, out):
    for j in range(len(square)):
        out[j] += scale * square[j]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})
def _dot(variance, square):
    total = 0.0
    for j in range(len(square)):
        total += variance[j] * square[j]
    return total
