"""Compiled loops of the likelihood pass: rows are taken in tiles of whole users, so that the arithmetic vectorises.

Each kernel comes in two forms, one chunk of users and all chunks in parallel, for `over_chunks` to choose from.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from pluralism.solvers.fast_exp import exp_negative

__all__ = ["difference_sums", "evidence_chunk", "evidence_parallel", "link", "sweep_chunk", "sweep_parallel"]

TILE_ROWS = 512


@njit(parallel=True, cache=True, error_model="numpy")
def sweep_parallel(chunks, *arguments):
    """`sweep_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        sweep_chunk(c, chunks, *arguments)


@njit(cache=True, error_model="numpy")
def sweep_chunk(
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
    tie,
    fixed,
    posterior,
    log_likelihood,
    scores_gradient,
    effects_gradient,
    tie_gradient,
):
    """Likelihoods, responsibilities and gradients of the users of chunk `c`, into the arrays given last."""
    n_groups = scores.shape[1]
    n_covariates = design.shape[1]
    log_tie = np.log(tie) if tie > 0 else 0.0
    size = _largest_tile(start, chunks[c], chunks[c + 1]) * n_groups
    z = np.empty(size)
    total = np.empty(size)
    lead = np.empty(size)
    tied = np.empty(size if tie > 0 else 0)
    log_p = np.empty(n_groups)
    product = np.empty(n_groups)
    share = np.empty(n_groups)
    tile_start = chunks[c]
    while tile_start < chunks[c + 1]:
        tile_end = _tile_end(start, tile_start, chunks[c + 1])
        origin = start[tile_start]
        for u in range(tile_start, tile_end):
            for row in range(start[u], start[u + 1]):
                a, b, at = left[row], right[row], (row - origin) * n_groups
                for k in range(n_groups):
                    value = scores[a, k] - scores[b, k]
                    for j in range(n_covariates):
                        value += design[row, j] * effects[j, k]
                    z[at + k] = value
        link((start[tile_end] - origin) * n_groups, tie, z, total, lead, tied)
        for u in range(tile_start, tile_end):
            for k in range(n_groups):
                log_p[k] = 0.0
                product[k] = 1.0
            for row in range(start[u], start[u + 1]):
                at, w, half = (row - origin) * n_groups, weight[row], outcome[row] - 0.5
                constant = log_tie if half == 0.0 else 0.0
                for k in range(n_groups):
                    linear = half * z[at + k] - 0.5 * abs(z[at + k]) + constant
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
                log_p[k] -= np.log(product[k])
                top = max(top, log_p[k] + log_weights[k])
            if fixed:
                for k in range(n_groups):
                    log_likelihood[u] += posterior[u, k] * log_p[k]
            else:
                mass = 0.0
                for k in range(n_groups):
                    posterior[u, k] = np.exp(log_p[k] + log_weights[k] - top)
                    mass += posterior[u, k]
                for k in range(n_groups):
                    posterior[u, k] /= mass
                log_likelihood[u] = top + np.log(mass)
            for k in range(n_groups):
                share[k] = posterior[u, k]
            for row in range(start[u], start[u + 1]):
                a, b, at = left[row], right[row], (row - origin) * n_groups
                w, half = weight[row], outcome[row] - 0.5
                for k in range(n_groups):
                    r = share[k] * w * (half - lead[at + k])
                    scores_gradient[c, a, k] += r
                    scores_gradient[c, b, k] -= r
                    for j in range(n_covariates):
                        effects_gradient[c, j, k] += r * design[row, j]
                    if tie > 0:
                        tie_gradient[c] += share[k] * w * ((1.0 if half == 0.0 else 0.0) - tied[at + k])
        tile_start = tile_end


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def link(size, tie, z, total, lead, tied):
    """Per entry: the normaliser over exp(|z|/2), half the difference of the two win probabilities, and P(tie)."""
    if tie > 0:
        for j in range(size):
            h = exp_negative(-0.5 * abs(z[j]))
            total[j] = 1.0 + h * h + tie * h
            lead[j] = np.copysign(0.5 * (1.0 - h * h) / total[j], z[j])
            tied[j] = tie * h / total[j]
    else:
        for j in range(size):
            g = exp_negative(-abs(z[j]))
            total[j] = 1.0 + g
            lead[j] = np.copysign(0.5 * (1.0 - g) / total[j], z[j])


@njit(cache=True)
def _tile_end(start, first, last):
    """Users from `first` on that together hold at least `TILE_ROWS` rows (never part of a user)."""
    end = first + 1
    while end < last and start[end] - start[first] < TILE_ROWS:
        end += 1
    return end


@njit(cache=True)
def _largest_tile(start, first, last):
    largest = 0
    while first < last:
        end = _tile_end(start, first, last)
        largest = max(largest, start[end] - start[first])
        first = end
    return largest


@njit(parallel=True, cache=True, error_model="numpy")
def evidence_parallel(chunks, *arguments):
    """`evidence_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        evidence_chunk(c, chunks, *arguments)


@njit(cache=True, error_model="numpy")
def evidence_chunk(c, chunks, start, left, right, outcome, weight, offset, scores, tie, out):
    """`out[u, k]` = log-likelihood of user u under group k for the users of chunk `c`; `offset` adds to the scores."""
    n_groups = scores.shape[1]
    wide = offset.shape[1] == n_groups and offset.shape[0] == len(left)
    log_tie = np.log(tie) if tie > 0 else 0.0
    size = _largest_tile(start, chunks[c], chunks[c + 1]) * n_groups
    z = np.empty(size)
    total = np.empty(size)
    lead = np.empty(size)
    tied = np.empty(size if tie > 0 else 0)
    product = np.empty(n_groups)
    tile_start = chunks[c]
    while tile_start < chunks[c + 1]:
        tile_end = _tile_end(start, tile_start, chunks[c + 1])
        origin = start[tile_start]
        for row in range(origin, start[tile_end]):
            a, b, at = left[row], right[row], (row - origin) * n_groups
            for k in range(n_groups):
                z[at + k] = scores[a, k] - scores[b, k]
                if wide:
                    z[at + k] += offset[row, k]
        link((start[tile_end] - origin) * n_groups, tie, z, total, lead, tied)
        for u in range(tile_start, tile_end):
            for k in range(n_groups):
                out[u, k] = 0.0
                product[k] = 1.0
            for row in range(start[u], start[u + 1]):
                at, w, half = (row - origin) * n_groups, weight[row], outcome[row] - 0.5
                constant = log_tie if half == 0.0 else 0.0
                for k in range(n_groups):
                    linear = half * z[at + k] - 0.5 * abs(z[at + k]) + constant
                    if w == 1.0:
                        out[u, k] += linear
                        product[k] *= total[at + k]
                        if product[k] > 1e280:
                            out[u, k] -= np.log(product[k])
                            product[k] = 1.0
                    else:
                        out[u, k] += w * (linear - np.log(total[at + k]))
            for k in range(n_groups):
                out[u, k] -= np.log(product[k])
        tile_start = tile_end


@njit(parallel=True, cache=True, error_model="numpy")
def difference_sums(start, left, right, signed, features, out):
    """`out[u]` = sum over user u's rows of signed * (features[left] - features[right])."""
    for u in prange(len(start) - 1):
        for row in range(start[u], start[u + 1]):
            a, b, s = left[row], right[row], signed[row]
            for j in range(features.shape[1]):
                out[u, j] += s * (features[a, j] - features[b, j])
