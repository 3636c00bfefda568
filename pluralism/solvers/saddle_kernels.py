"""Compiled loop over prompts that are solved apart by the interior point method of `saddle.py`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pluralism.solvers.saddle_passes import assemble, correct, move, reach, tilted
from pluralism.solvers.saddle_steps import EXTRA, ROWS, SCALARS, advance, begin, centre, predict, recentre
from pluralism.solvers.weight_set_kernels import BOX, CHI_SQUARE, KL, NASH, POWER, excess, inside, worst

__all__ = ["BLOCKED", "FIRST_ITER", "LEAST", "NEAR", "PATIENCE", "SMOOTH", "UNIFORM", "solve_chunk"]

SMOOTH = 0.2
UNIFORM = 0.3
NEAR = 10.0
LEAST = 1e-3
BLOCKED = 0.3
PATIENCE = 3
FIRST_ITER = 30


@njit(cache=True, error_model="numpy")
def _solve_one(
    start,
    table,
    log_p,
    mass,
    beta,
    offset,
    strict,
    kind,
    total,
    share,
    cap,
    level,
    tol,
    max_iter,
    room,
    log_q,
    w,
    result,
):
    """The problem of one prompt. `log_q`, `w` and `result` (value, gap, KL from the tilt, steps) receive its solution.

    A solution that they hold already is replaced only by a better one.
    """
    cell, prompt, state, scalar, work, base, curvature, v, found, middle = room
    n, m = len(w), start[1]
    for k in range(n):
        v[k] = 0.0
    tilted(0, 1, start, table, log_p, mass, max(beta, SMOOTH), share, False, cell, cell[2], v, found)
    for i in range(m):
        cell[0, i] = (1.0 - UNIFORM) * math.exp(cell[2, i]) + UNIFORM / m
        cell[1, i] = 0.1
    for k in range(n):
        v[k] += offset[k]
    begin(v, strict, kind, total, share, cap, level, state, scalar)
    iteration, left, wary = 0, 0.0, 0
    while True:
        if left <= NEAR * tol or iteration >= max_iter:
            inside(kind, total, share, cap, level, state[0], middle)
            for given in range(0 if beta > 0.0 else 1, 2):
                for k in range(n):
                    v[k] = 0.0
                found[0], found[1], found[2] = 0.0, 0.0, 0.0
                tilted(0, 1, start, table, log_p, mass, beta, middle, given == 1, cell, cell[2], v, found)
                for k in range(n):
                    v[k] += offset[k]
                gap = excess(kind, total, share, cap, level, middle, v, base) + found[1]
                if gap < result[1]:
                    result[0] = worst(kind, total, share, cap, level, v, base) - beta * found[0]
                    result[1], result[2] = gap, found[2]
                    for i in range(m):
                        log_q[i] = cell[2, i]
                    for k in range(n):
                        w[k] = middle[k]
                if gap <= tol:
                    break
            if result[1] <= tol or iteration >= max_iter:
                break
        iteration += 1
        for k in range(n):
            base[k] = 0.0
            for j in range(k + 1):
                curvature[k, j] = 0.0
        assemble(0, 1, start, table, log_p, mass, beta, state[0], cell, prompt, base, curvature)
        predict(base, offset, curvature, kind, total, share, cap, level, state, scalar, work)
        for i in range(4):
            found[i] = 0.0
        reach(0, 1, start, table, mass, state[5], False, cell, prompt, found)
        aim = centre(found, LEAST * tol, wary > 0, kind, share, cap, state, scalar)
        correct(0, 1, start, table, mass, aim, 0.0 if wary > 0 else 1.0, cell, prompt, base)
        recentre(0.0 if wary > 0 else 1.0, base, offset, kind, total, share, cap, state, scalar, work)
        for i in range(4):
            found[i] = 0.0
        reach(0, 1, start, table, mass, state[5], True, cell, prompt, found)
        step, near, left = advance(found, float(m), kind, share, cap, level, state, scalar, v)
        move(0, 1, start, step, near, cell)
        wary = max(wary - 1, 0) if step > BLOCKED else PATIENCE
        if not step > 1e-10:
            iteration = max_iter
    result[3] += iteration


@njit(cache=True, nogil=True, error_model="numpy")
def solve_chunk(first, last, values, log_p, beta, kind, total, share, cap, level, tol, max_iter, log_q, weights, found):
    """Every prompt's own problem; `log_q`, `weights` and `found` (prompts, 4) receive the solutions.

    Parameters
    ----------
    values : array of shape (prompts, candidates, groups)
    log_p : array of shape (prompts, candidates)
        -inf where there is no candidate.
    """
    n_candidates, n = values.shape[1], values.shape[2]
    table, own, place = np.empty((n, n_candidates)), np.empty(n_candidates), np.empty(n_candidates, np.int64)
    out, shift, size = np.empty(n_candidates), np.empty(n), np.empty(n)
    mass, start = np.ones(1), np.zeros(2, np.int64)
    room = (
        np.empty((6, n_candidates)),
        np.empty((1, n + 3)),
        np.zeros((ROWS, n)),
        np.zeros(SCALARS),
        np.zeros((n + EXTRA, n)),
        np.empty(n),
        np.empty((n, n)),
        np.empty(n),
        np.empty(4),
        np.empty(n),
    )
    for x in range(first, last):
        m = 0
        for i in range(n_candidates):
            log_q[x, i] = -np.inf
            if log_p[x, i] > -np.inf:
                own[m], place[m] = log_p[x, i], i
                out[m] = math.exp(own[m])
                m += 1
        spread = 0.0
        for k in range(n):
            low, high, middle = np.inf, -np.inf, 0.0
            for i in range(m):
                r = values[x, place[i], k]
                low, high = min(low, r), max(high, r)
                middle += out[i] * r
                table[k, i] = r
            for i in range(m):
                table[k, i] -= middle
            shift[k] = middle
            size[k] = high - low
            spread = max(spread, size[k])
        base = shift.min() if total else 0.0
        if spread == 0.0:
            # no group cares: what is left to find are the weights alone
            spread = shift.max() - base
            spread = spread if spread > 0.0 else 1.0
        for k in range(n):
            # each group has a unit of its own where units do not matter
            if kind != NASH or size[k] == 0.0:
                size[k] = spread
            shift[k] = (shift[k] - base) / size[k]
            for i in range(m):
                table[k, i] /= size[k]
        start[1] = m
        price = beta if kind == NASH else beta / spread
        w, result = weights[x], found[x]
        result[1], result[3] = np.inf, 0.0
        for strict in range(2 if kind == CHI_SQUARE or kind == KL or kind == POWER else 1):
            if result[1] <= tol:
                break
            _solve_one(
                start,
                table,
                own,
                mass,
                price,
                shift,
                strict == 1,
                kind,
                total,
                share,
                cap,
                level,
                tol,
                max_iter if strict == 1 or kind == BOX or kind == NASH else FIRST_ITER,
                room,
                out,
                w,
                result,
            )
        if kind == NASH:
            for k in range(n):
                result[0] += share[k] * math.log(size[k])
                w[k] /= size[k]
        else:
            result[0] = result[0] * spread + base
            result[1] *= spread
        for i in range(m):
            log_q[x, place[i]] = out[i]
