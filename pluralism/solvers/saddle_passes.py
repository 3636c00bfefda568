"""Compiled passes over prompts for the interior point method of `saddle.py`.

Cells are the candidates of the prompts, one after the other: those of prompt x are `start[x]` to `start[x + 1]`.

====================================== =================================================================
`table` (groups, cells)                rewards
`log_p` (cells,)                       log-probabilities of the reference
`mass` (prompts,)                      weights of the prompts
`cell` (6, cells)                      rows Q, Z, OMEGA, E, DQ, DZ: the policy, its multiplier and their steps
`prompt` (prompts, groups + 3)         means of the rewards under omega, then total, drift and lack of each prompt
====================================== =================================================================

A pass over the prompts `first` to `last` adds to its outputs. The parallel versions take chunks of prompts with an
output for each, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

__all__ = [
    "assemble",
    "assemble_all",
    "correct",
    "correct_all",
    "move",
    "move_all",
    "reach",
    "reach_all",
    "tilted",
    "tilted_all",
]

Q, Z, OMEGA, E, DQ, DZ = 0, 1, 2, 3, 4, 5
FAR, NOW, SLOPE, BEND = 0, 1, 2, 3
SPREAD = 1e3
LOOSE = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, error_model="numpy", fastmath=LOOSE)
def assemble(first, last, start, table, log_p, mass, beta, w, cell, prompt, base, curvature):
    """Residuals of the policy's stationarity, and the reduced system in the weights.

    `base` (groups,) gains utilities plus drift, the lower triangle of `curvature` (groups, groups) its derivative.
    """
    n = len(w)
    q, z, omega, e, centred, scaled = cell[Q], cell[Z], cell[OMEGA], cell[E], cell[DQ], cell[DZ]
    for x in range(first, last):
        a, b = start[x], start[x + 1]
        size, lack = 0.0, 1.0
        for i in range(a, b):
            e[i] = -beta * (math.log(q[i]) - log_p[i] + 1.0)
            omega[i] = q[i] / (beta + z[i])
        for i in range(a, b):
            size += omega[i]
            lack -= q[i]
        for k in range(n):
            s = 0.0
            row, weight = table[k], w[k]
            for i in range(a, b):
                s += omega[i] * row[i]
                e[i] += weight * row[i]
            prompt[x, k] = s / size
        # twice, because omega is huge on the support near the end: what is left of e must be exact relative to itself
        drift = 0.0
        for _ in range(2):
            for i in range(a, b):
                e[i] -= drift
            drift = 0.0
            for i in range(a, b):
                drift += omega[i] * e[i]
            drift /= size
        prompt[x, n], prompt[x, n + 1], prompt[x, n + 2] = size, drift, lack
        for i in range(a, b):
            scaled[i] = q[i] + omega[i] * (e[i] - drift)
        for k in range(n):
            row, s = table[k], 0.0
            for i in range(a, b):
                s += scaled[i] * row[i]
            base[k] += mass[x] * (s + prompt[x, k] * lack)
        for k in range(n):
            row, mean = table[k], prompt[x, k]
            for i in range(a, b):
                centred[i] = omega[i] * (row[i] - mean)
            for j in range(k + 1):
                other, middle, s = table[j], prompt[x, j], 0.0
                for i in range(a, b):
                    s += centred[i] * (other[i] - middle)
                curvature[k, j] += mass[x] * s


@njit(cache=True, error_model="numpy", fastmath=LOOSE)
def reach(first, last, start, table, mass, dw, targeted, cell, prompt, found):
    """The policy's step for a step `dw` of the weights; how far it can go, and what it does to complementarity.

    The products of q and z aim at 0, or at what DZ holds if `targeted`. `found` gains the largest relative fall of q
    and z, and the mean of q z along the step as a polynomial: constant, linear and square part.
    """
    n = len(dw)
    q, z, omega, e, dq, dz = cell[Q], cell[Z], cell[OMEGA], cell[E], cell[DQ], cell[DZ]
    for x in range(first, last):
        a, b = start[x], start[x + 1]
        shift = prompt[x, n + 2] / prompt[x, n] - prompt[x, n + 1]
        for k in range(n):
            shift -= prompt[x, k] * dw[k]
        for i in range(a, b):
            dq[i] = e[i] + shift
        for k in range(n):
            row, weight = table[k], dw[k]
            for i in range(a, b):
                dq[i] += weight * row[i]
        far, now, slope, bend = 0.0, 0.0, 0.0, 0.0
        for i in range(a, b):
            step = omega[i] * dq[i]
            aim = dz[i] if targeted else 0.0
            change = (aim - z[i] * step) / q[i] - z[i]
            far = max(far, max(-step / q[i], -change / z[i]))
            now += q[i] * z[i]
            slope += q[i] * change + z[i] * step
            bend += step * change
            dq[i], dz[i] = step, change
        scale = mass[x] / (b - a)
        found[FAR] = max(found[FAR], far)
        found[NOW] += scale * now
        found[SLOPE] += scale * slope
        found[BEND] += scale * bend


@njit(cache=True, error_model="numpy", fastmath=LOOSE)
def correct(first, last, start, table, mass, aim, second, cell, prompt, base):
    """Targets of the products and their part of the residuals and of `base`; DZ becomes the target.

    `second` is the weight of the second-order correction.
    """
    n = len(base)
    q, omega, e, dq, dz = cell[Q], cell[OMEGA], cell[E], cell[DQ], cell[DZ]
    for x in range(first, last):
        a, b = start[x], start[x + 1]
        drift = 0.0
        for i in range(a, b):
            target = aim - second * dq[i] * dz[i]
            gain = target / q[i]
            e[i] += gain
            drift += omega[i] * gain
            dq[i], dz[i] = gain, target
        drift /= prompt[x, n]
        prompt[x, n + 1] += drift
        for i in range(a, b):
            dq[i] = omega[i] * (dq[i] - drift)
        for k in range(n):
            row, s = table[k], 0.0
            for i in range(a, b):
                s += dq[i] * row[i]
            base[k] += mass[x] * s


@njit(cache=True, error_model="numpy")
def move(first, last, start, step, near, cell):
    """Take the step. Where a product falls far behind `near`, their mean, its smaller factor rises."""
    q, z, dq, dz = cell[Q], cell[Z], cell[DQ], cell[DZ]
    low = near / SPREAD
    for i in range(start[first], start[last]):
        a, b = q[i] + step * dq[i], z[i] + step * dz[i]
        if a * b < low:
            a, b = (low / b, b) if a < b else (a, low / a)
        q[i], z[i] = a, b


@njit(cache=True, error_model="numpy", fastmath=LOOSE)
def tilted(first, last, start, table, log_p, mass, beta, w, given, cell, log_q, utility, found):
    """Utilities, KL and distance of a policy from the tilt by w: of that tilt itself, or of Q where it is `given`.

    With beta = 0 the tilt is p on the best candidates. `log_q` receives the policy's logarithm, `utility` gains its
    utilities, and `found` its mean KL from p, the mean loss of its Lagrangian against the tilt's, and the largest KL
    from the tilt.
    """
    n = len(w)
    q, policy, tilt = cell[Q], cell[DQ], cell[DZ]
    for x in range(first, last):
        a, b = start[x], start[x + 1]
        for i in range(a, b):
            policy[i] = 0.0
        for k in range(n):
            row, weight = table[k], w[k]
            for i in range(a, b):
                policy[i] += weight * row[i]
        best, top, size = -np.inf, -np.inf, 0.0
        for i in range(a, b):
            best = max(best, policy[i])
        kl, away, short = 0.0, 0.0, 0.0
        if beta > 0.0 or not given:
            for i in range(a, b):
                if beta > 0.0:
                    log_q[i] = log_p[i] + (policy[i] - best) / beta
                else:
                    log_q[i] = log_p[i] if policy[i] == best else -np.inf
                top = max(top, log_q[i])
            for i in range(a, b):
                tilt[i] = math.exp(log_q[i] - top)
                size += tilt[i]
            top += math.log(size)
            for i in range(a, b):
                tilt[i] /= size
                log_q[i] -= top
        if given:
            size = 0.0
            for i in range(a, b):
                size += q[i]
            for i in range(a, b):
                p = q[i] / size
                log = math.log(p)
                if beta > 0.0:
                    away += p * (log - log_q[i]) + (tilt[i] - p)
                else:
                    short += p * (best - policy[i])
                kl += p * (log - log_p[i])
                log_q[i], tilt[i] = log, p
        else:
            for i in range(a, b):
                kl += tilt[i] * (log_q[i] - log_p[i]) if tilt[i] > 0.0 else 0.0
        for k in range(n):
            row, s = table[k], 0.0
            for i in range(a, b):
                s += tilt[i] * row[i]
            utility[k] += mass[x] * s
        found[0] += mass[x] * max(kl, 0.0)
        found[1] += mass[x] * (beta * away + short)
        found[2] = max(found[2], away)


@njit(cache=True, parallel=True, error_model="numpy")
def assemble_all(chunks, start, table, log_p, mass, beta, w, cell, prompt, base, curvature):
    """`assemble` for every chunk: `base` (chunks, groups), `curvature` (chunks, groups, groups)."""
    for c in prange(len(chunks) - 1):
        assemble(chunks[c], chunks[c + 1], start, table, log_p, mass, beta, w, cell, prompt, base[c], curvature[c])


@njit(cache=True, parallel=True, error_model="numpy")
def reach_all(chunks, start, table, mass, dw, targeted, cell, prompt, found):
    """`reach` for every chunk: `found` (chunks, 4)."""
    for c in prange(len(chunks) - 1):
        reach(chunks[c], chunks[c + 1], start, table, mass, dw, targeted, cell, prompt, found[c])


@njit(cache=True, parallel=True, error_model="numpy")
def correct_all(chunks, start, table, mass, aim, second, cell, prompt, base):
    """`correct` for every chunk: `base` (chunks, groups)."""
    for c in prange(len(chunks) - 1):
        correct(chunks[c], chunks[c + 1], start, table, mass, aim, second, cell, prompt, base[c])


@njit(cache=True, parallel=True, error_model="numpy")
def move_all(chunks, start, step, near, cell):
    """`move` for every chunk."""
    for c in prange(len(chunks) - 1):
        move(chunks[c], chunks[c + 1], start, step, near, cell)


@njit(cache=True, parallel=True, error_model="numpy")
def tilted_all(chunks, start, table, log_p, mass, beta, w, given, cell, log_q, utility, found):
    """`tilted` for every chunk: `utility` (chunks, groups), `found` (chunks, 3)."""
    for c in prange(len(chunks) - 1):
        tilted(chunks[c], chunks[c + 1], start, table, log_p, mass, beta, w, given, cell, log_q, utility[c], found[c])
