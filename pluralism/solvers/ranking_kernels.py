"""Compiled loops of the Plackett-Luce pass: one sweep over ballots, best items first, ties included.

Ballots lie one after the other, sorted by user; those of user u are ``start[u]:start[u + 1]``, and the entries of
ballot b are ``indptr[b]:indptr[b + 1]``. `size` holds the number of tied items at the first entry of each tie group and
0 at the others.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["stage_curvature", "steps_down", "sweep_ballots", "sweep_ballots_parallel", "tie_group"]

NEGLIGIBLE = 36.0
SMALLEST = 1e-100


@njit(parallel=True, cache=True, error_model="numpy")
def sweep_ballots_parallel(chunks, *arguments):
    """`sweep_ballots` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        sweep_ballots(c, chunks, *arguments)


@njit(cache=True, error_model="numpy")
def sweep_ballots(
    c,
    chunks,
    start,
    indptr,
    item,
    size,
    weight,
    multiplicity,
    shifted,
    strength,
    log_weights,
    fixed,
    with_gradient,
    posterior,
    evidence,
    log_likelihood,
    gradient,
):
    """Likelihoods, responsibilities and the gradient of the scores for the users of chunk `c`.

    `shifted` are the scores less each group's largest, `strength` their exponentials. `evidence[u, k]` becomes the
    log-likelihood of user u's ballots under group k.
    """
    n_groups = strength.shape[1]
    largest = 0
    for u in range(chunks[c], chunks[c + 1]):
        largest = max(largest, indptr[start[u + 1]] - indptr[start[u]])
    # per entry: slope of its own stage, and what its stage takes off everything that is still there
    own = np.empty((largest, n_groups))
    taken = np.empty((largest, n_groups))
    rest = np.empty(n_groups)
    product = np.empty(n_groups)
    log_p = np.empty(n_groups)
    share = np.empty(n_groups)
    for u in range(chunks[c], chunks[c + 1]):
        if start[u] == start[u + 1]:
            for k in range(n_groups):
                evidence[u, k] = 0.0
            if not fixed:
                for k in range(n_groups):
                    posterior[u, k] = np.exp(log_weights[k])
            continue
        origin = indptr[start[u]]
        for k in range(n_groups):
            evidence[u, k] = 0.0
        for b in range(start[u], start[u + 1]):
            first, last = indptr[b], indptr[b + 1]
            if weight[b] == 0.0 or last - first < 2:
                continue
            bottom = last - 1
            while size[bottom] == 0:
                bottom -= 1
            for k in range(n_groups):
                rest[k] = 0.0
                product[k] = 1.0
                log_p[k] = 0.0
            for e in range(bottom, last):
                for k in range(n_groups):
                    rest[k] += strength[item[e], k]
            e = bottom - 1
            while e >= first:
                if size[e] == 1:
                    for k in range(n_groups):
                        rest[k] += strength[item[e], k]
                        log_p[k] += shifted[item[e], k]
                        # one logarithm for a whole product
                        if rest[k] < SMALLEST:
                            log_p[k] -= np.log(rest[k])
                        else:
                            product[k] *= rest[k]
                            if product[k] < SMALLEST or product[k] > 1.0 / SMALLEST:
                                log_p[k] -= np.log(product[k])
                                product[k] = 1.0
                        taken[e - origin, k] = 1.0 / rest[k]
                else:
                    end = e + 1
                    while size[e] == 0:
                        e -= 1
                    for k in range(n_groups):
                        log_p[k] += tie_group(item, e, end, strength, k, rest[k], own, e - origin)
                        total = 0.0
                        for j in range(e, end):
                            total += own[j - origin, k]
                        taken[e - origin, k] = total / rest[k]
                        for j in range(e, end):
                            rest[k] += strength[item[j], k]
                e -= 1
            for k in range(n_groups):
                evidence[u, k] += weight[b] * (log_p[k] - np.log(product[k]))
        if fixed:
            for k in range(n_groups):
                log_likelihood[u] += multiplicity[u] * posterior[u, k] * evidence[u, k]
        else:
            top = -np.inf
            for k in range(n_groups):
                top = max(top, evidence[u, k] + log_weights[k])
            mass = 0.0
            for k in range(n_groups):
                posterior[u, k] = np.exp(evidence[u, k] + log_weights[k] - top)
                mass += posterior[u, k]
            for k in range(n_groups):
                posterior[u, k] /= mass
            log_likelihood[u] = multiplicity[u] * (top + np.log(mass))
        if not with_gradient or multiplicity[u] == 0.0:
            continue
        for b in range(start[u], start[u + 1]):
            first, last = indptr[b], indptr[b + 1]
            if weight[b] == 0.0 or last - first < 2:
                continue
            bottom = last - 1
            while size[bottom] == 0:
                bottom -= 1
            for k in range(n_groups):
                share[k] = multiplicity[u] * weight[b] * posterior[u, k]
                rest[k] = 0.0
            e = first
            while e < bottom:
                i = item[e]
                if size[e] == 1:
                    for k in range(n_groups):
                        rest[k] += taken[e - origin, k]
                        gradient[c, i, k] += share[k] * (1.0 - strength[i, k] * rest[k])
                    e += 1
                else:
                    end = e + size[e]
                    for j in range(e, end):
                        for k in range(n_groups):
                            slope = own[j - origin, k] - strength[item[j], k] * rest[k]
                            gradient[c, item[j], k] += share[k] * slope
                    for k in range(n_groups):
                        rest[k] += taken[e - origin, k]
                    e = end
            for e in range(bottom, last):
                for k in range(n_groups):
                    gradient[c, item[e], k] -= share[k] * strength[item[e], k] * rest[k]


@njit(cache=True, error_model="numpy")
def tie_group(item, first, last, strength, k, rest, slope, at):
    """Log-probability that the items of a tie group all come before those of total strength `rest`, in any order.

    With x an exponential clock it is the integral of exp(-x) prod_i (1 - exp(-r_i x)) over x > 0, r_i = strength_i /
    rest. On y = log x the integrand is entire and falls off doubly exponentially to the right, exponentially to the
    left, so that the trapezoidal rule converges geometrically. ``slope[at + i, k]`` becomes the derivative by the
    score of the i-th tied item; that by log(rest) is less their sum.
    """
    n = last - first
    x = 1.0
    curvature = 1.0
    for _ in range(30):
        value, curvature = x - 1.0, 1.0
        for i in range(n):
            v = strength[item[first + i], k] / rest * x
            f, d = _phi(v)
            value -= f
            curvature -= d * v / x
        step = value / curvature
        x -= step
        if abs(step) < 1e-3 * x:
            break
    centre = np.log(x)
    h = min(0.3, 0.75 / np.sqrt(x * max(curvature, 1.0)))
    peak = _log_integrand(item, first, n, strength, k, rest, centre)
    total = 0.0
    for i in range(n):
        slope[at + i, k] = 0.0
    for side in range(2):
        y = centre if side == 0 else centre - h
        while True:
            gap = _log_integrand(item, first, n, strength, k, rest, y) - peak
            if gap < -NEGLIGIBLE:
                break
            mass = np.exp(gap)
            total += mass
            for i in range(n):
                slope[at + i, k] += mass * _phi(strength[item[first + i], k] / rest * np.exp(y))[0]
            y += h if side == 0 else -h
    for i in range(n):
        slope[at + i, k] /= total
    return peak + np.log(total * h)


@njit(cache=True, error_model="numpy")
def _log_integrand(item, first, n, strength, k, rest, y):
    x = np.exp(y)
    value = y - x
    for i in range(n):
        value += np.log(-np.expm1(-strength[item[first + i], k] / rest * x))
    return value


@njit(cache=True, error_model="numpy")
def _phi(v):
    """The function v / (exp(v) - 1) and its derivative."""
    if v < 1e-5:
        return 1.0 - 0.5 * v, -0.5
    if v > 500.0:
        return 0.0, 0.0
    e = np.expm1(v)
    f = v / e
    return f, (1.0 - f * (e + 1.0)) / e


@njit(cache=True, error_model="numpy")
def stage_curvature(ballot, first, second, indptr, size, weight, out):
    """Weight of each pair of positions of a ballot in the likelihood's curvature at equal strengths.

    A stage with n items left has the Hessian sum over pairs of (e_i - e_j)(e_i - e_j)' / n^2; a comparison has 1/4.
    """
    for row in range(len(ballot)):
        b = ballot[row]
        left = indptr[b + 1] - indptr[b]
        total = 0.0
        e = indptr[b]
        while e < indptr[b + 1] and e <= indptr[b] + min(first[row], second[row]):
            step = size[e]
            if step < left:
                total += step / left**2
            left -= step
            e += step
        out[row] = 4.0 * weight[b] * total


@njit(cache=True)
def steps_down(indptr, item, size, weight, below):
    """``below[i, j]`` = True where some ballot puts item j in the tie group right after that of item i."""
    for b in range(len(indptr) - 1):
        if weight[b] == 0.0:
            continue
        e = indptr[b]
        while e + size[e] < indptr[b + 1]:
            after = e + size[e]
            for i in range(e, after):
                for j in range(after, after + size[after]):
                    below[item[i], item[j]] = True
            e = after
