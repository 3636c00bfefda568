"""Compiled loops of the likelihood pass in which people differ in how they answer, beside what they prefer.

A person's kind is a point of a grid: a temperature t that multiplies all logits, and a lapse e, the share of answers
given without looking. Kinds are summed out as groups are, so a row costs groups x temperatures exponentials and groups
x kinds products. Gradients need no more than the kinds that the user may be of.

Where the logits have a variance, log sigma gives way to the Polya-Gamma bound on its expectation: with c^2 = E z^2 and
omega = tanh(c / 2) / (2 c), sigma(z) becomes exp((z - c) / 2) / (1 + exp(-c)), and what was tanh(z / 2) / 2 omega z. As
log((1 - e) exp(x) + e / 2) is convex, putting the bound in the place of log sigma gives a bound for lapses as well.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from pluralism.solvers.fast_exp import exp_negative
from pluralism.solvers.kernels import link

__all__ = ["annotator_chunk", "annotator_parallel"]

FLUSH = 24
NEGLIGIBLE = 1e-12


@njit(parallel=True, cache=True, error_model="numpy")
def annotator_parallel(chunks, *arguments):
    """`annotator_chunk` for every chunk of users, on all threads."""
    for c in prange(len(chunks) - 1):
        annotator_chunk(c, chunks, *arguments)


@njit(cache=True, error_model="numpy")
def annotator_chunk(
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
    tie_share,
    log_temperature,
    lapse,
    log_kinds,
    fixed,
    posterior,
    log_likelihood,
    kinds,
    moments,
    scores_gradient,
    effects_gradient,
    tie_gradient,
    spread,
    tilt,
):
    """Likelihoods, responsibilities, kinds and gradients of the users of chunk `c`, into the arrays given last.

    `kinds[c]` gains each kind's expected number of users, `moments[u]` is E[t, e, tt, te, ee] with t the log
    temperature; without room for gradients (`scores_gradient` has no items) there are none. With `spread`, the variance
    of each row's logit in each group, likelihoods are bounds, and `tilt` (if it has rows) receives responsibility x
    weight x E omega by the logit, the curvature of each row.
    """
    n_groups, n_covariates = scores.shape[1], design.shape[1]
    n_temperatures, n_lapses = log_kinds.shape
    largest = 0
    for u in range(chunks[c], chunks[c + 1]):
        largest = max(largest, start[u + 1] - start[u])
    size = largest * n_groups
    z, variance, slope, bend = np.empty(size), np.zeros(size), np.empty(size), np.empty(size)
    # of each row and group at one temperature: z, half its size, normaliser, P(left), P(right), P(tie), lead, omega
    at_temperature = np.zeros((8, size))
    joint = np.empty((n_groups, n_temperatures, n_lapses))
    product = np.empty((n_groups, n_temperatures, n_lapses))
    log_p = np.empty(n_groups)
    for u in range(chunks[c], chunks[c + 1]):
        origin, end = start[u], start[u + 1]
        for row in range(origin, end):
            a, b, at = left[row], right[row], (row - origin) * n_groups
            for k in range(n_groups):
                value = scores[a, k] - scores[b, k]
                for j in range(n_covariates):
                    value += design[row, j] * effects[j, k]
                z[at + k] = value
                if len(spread) > 0:
                    variance[at + k] = spread[row, k]
        joint[:] = 0.0
        product[:] = 1.0
        for t in range(n_temperatures):
            _at_temperature(
                (end - origin) * n_groups, np.exp(log_temperature[t]), tie, len(spread) > 0, z, variance, at_temperature
            )
            for row in range(origin, end):
                _likelihood(
                    t, row - origin, outcome[row], weight[row], tie, tie_share, lapse, at_temperature, joint, product
                )
        for k in range(n_groups):
            top = -np.inf
            for t in range(n_temperatures):
                for e in range(n_lapses):
                    joint[k, t, e] += np.log(product[k, t, e]) + log_kinds[t, e]
                    top = max(top, joint[k, t, e])
            mass = 0.0
            for t in range(n_temperatures):
                for e in range(n_lapses):
                    joint[k, t, e] = np.exp(joint[k, t, e] - top)
                    mass += joint[k, t, e]
            joint[k] /= mass
            log_p[k] = top + np.log(mass)
        if fixed:
            for k in range(n_groups):
                log_likelihood[u] += posterior[u, k] * log_p[k]
        else:
            top = -np.inf
            for k in range(n_groups):
                top = max(top, log_p[k] + log_weights[k])
            mass = 0.0
            for k in range(n_groups):
                posterior[u, k] = np.exp(log_p[k] + log_weights[k] - top)
                mass += posterior[u, k]
            for k in range(n_groups):
                posterior[u, k] /= mass
            log_likelihood[u] = top + np.log(mass)
        moments[u] = 0.0
        for k in range(n_groups):
            for t in range(n_temperatures):
                for e in range(n_lapses):
                    joint[k, t, e] *= posterior[u, k]
                    share = joint[k, t, e]
                    kinds[c, t, e] += share
                    moments[u, 0] += share * log_temperature[t]
                    moments[u, 1] += share * lapse[e]
                    moments[u, 2] += share * log_temperature[t] ** 2
                    moments[u, 3] += share * log_temperature[t] * lapse[e]
                    moments[u, 4] += share * lapse[e] ** 2
        if scores_gradient.shape[1] == 0:
            continue
        slope[: (end - origin) * n_groups] = 0.0
        bend[: (end - origin) * n_groups] = 0.0
        for t in range(n_temperatures):
            if joint[:, t].sum() < NEGLIGIBLE:
                continue
            temperature = np.exp(log_temperature[t])
            _at_temperature((end - origin) * n_groups, temperature, tie, len(spread) > 0, z, variance, at_temperature)
            for row in range(origin, end):
                y, w = outcome[row], weight[row]
                tie_gradient[c] += _slopes(
                    t, row - origin, y, w, temperature, tie, tie_share, lapse, at_temperature, joint, slope, bend
                )
        for row in range(origin, end):
            a, b, at = left[row], right[row], (row - origin) * n_groups
            for k in range(n_groups):
                r = slope[at + k]
                scores_gradient[c, a, k] += r
                scores_gradient[c, b, k] -= r
                for j in range(n_covariates):
                    effects_gradient[c, j, k] += r * design[row, j]
                if len(tilt) > 0:
                    tilt[row, k] = bend[at + k]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _at_temperature(size, temperature, tie, bounded, z, variance, out):
    """What `out` holds of each entry (see `annotator_chunk`)."""
    scaled, half, total, first, second, tied, lead, omega = out
    for j in range(size):
        scaled[j] = temperature * z[j]
    if bounded:
        for j in range(size):
            c = temperature * np.sqrt(z[j] * z[j] + variance[j])
            g = exp_negative(-c)
            half[j] = 0.5 * c
            total[j] = 1.0 + g
            omega[j] = (1.0 - g) / (2.0 * c * (1.0 + g)) if c > 1e-3 else 0.25 - c * c / 48.0
            lead[j] = omega[j] * scaled[j]
            first[j] = exp_negative(0.5 * scaled[j] - half[j]) / total[j]
            second[j] = exp_negative(-0.5 * scaled[j] - half[j]) / total[j]
        return
    link(size, tie, scaled, total, lead, tied)
    for j in range(size):
        half[j] = 0.5 * abs(scaled[j])
        first[j] = 0.5 * (1.0 - tied[j]) + lead[j]
        second[j] = 0.5 * (1.0 - tied[j]) - lead[j]


@njit(cache=True, error_model="numpy")
def _likelihood(t, row, y, w, tie, tie_share, lapse, at_temperature, joint, product):
    """Multiply one row into the likelihoods of all groups and lapses at temperature `t`."""
    scaled, half, total, first, second, tied, _, _ = at_temperature
    n_groups = joint.shape[0]
    draw = tie > 0 and y == 0.5
    plain = w == 1.0 and (y == 0.0 or y == 1.0 or draw)
    one_side = 0.5 * (1.0 - tie_share)
    for k in range(n_groups):
        at = row * n_groups + k
        for e in range(len(lapse)):
            if lapse[e] == 0.0:
                linear = (y - 0.5) * scaled[at] - half[at]
                if draw:
                    linear += np.log(tie)
                if w == 1.0:
                    joint[k, t, e] += linear
                    product[k, t, e] /= total[at]
                else:
                    joint[k, t, e] += w * (linear - np.log(total[at]))
                continue
            kept = 1.0 - lapse[e]
            if draw:
                p = kept * tied[at] + lapse[e] * tie_share
            elif y == 0.0:
                p = kept * second[at] + lapse[e] * one_side
            else:
                p = kept * first[at] + lapse[e] * one_side
            if plain:
                product[k, t, e] *= p
            elif draw or y == 0.0 or y == 1.0:
                joint[k, t, e] += w * np.log(p)
            else:
                other = kept * second[at] + lapse[e] * one_side
                joint[k, t, e] += w * (y * np.log(p) + (1.0 - y) * np.log(other))
        if row % FLUSH == FLUSH - 1:
            for e in range(len(lapse)):
                joint[k, t, e] += np.log(product[k, t, e])
                product[k, t, e] = 1.0


@njit(cache=True, error_model="numpy")
def _slopes(t, row, y, w, temperature, tie, tie_share, lapse, at_temperature, joint, slope, bend):
    """Add one row's derivatives by the logits to `slope` and its curvatures to `bend`; returns that by log(tie)."""
    _, _, _, first, second, tied, lead, omega = at_temperature
    n_groups = joint.shape[0]
    draw = tie > 0 and y == 0.5
    one_side = 0.5 * (1.0 - tie_share)
    by_tie = 0.0
    for k in range(n_groups):
        at = row * n_groups + k
        by_logit, seen = 0.0, 0.0
        for e in range(len(lapse)):
            share = joint[k, t, e]
            if share < NEGLIGIBLE:
                continue
            if lapse[e] == 0.0:
                by_logit += share * ((y - 0.5) - lead[at])
                by_tie += share * w * ((1.0 if draw else 0.0) - tied[at])
                seen += share
                continue
            kept = 1.0 - lapse[e]
            if draw:
                p = kept * tied[at] + lapse[e] * tie_share
                by_logit -= share * kept * tied[at] * lead[at] / p
                by_tie += share * w * kept * tied[at] * (1.0 - tied[at]) / p
                continue
            # of the answers, the part that was given with a look
            if y > 0.0:
                part = share * y * kept * first[at] / (kept * first[at] + lapse[e] * one_side)
                by_logit += part * (0.5 - lead[at])
                by_tie -= w * part * tied[at]
                seen += part
            if y < 1.0:
                part = share * (1.0 - y) * kept * second[at] / (kept * second[at] + lapse[e] * one_side)
                by_logit -= part * (0.5 + lead[at])
                by_tie -= w * part * tied[at]
                seen += part
        slope[at] += w * temperature * by_logit
        bend[at] += w * temperature * temperature * seen * omega[at]
    return by_tie
