"""Compiled part of the interior point method of `saddle.py` that concerns the weights alone.

The state of the weights is an array of rows W, S, Y (weights, multipliers of w >= 0 and of w <= cap), SLOPE and BEND
(gradient and curvature of the constraint h), the steps DW, DS, DY, and the right-hand side FORCE; the scalars are an
array of T, ETA, SLACK, H and the steps of the two multipliers. `work` is room for the factor and solved columns.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pluralism.solvers.weight_set_kernels import BOX, CHI_SQUARE, NASH, constraint

__all__ = ["EXTRA", "ROWS", "SCALARS", "STRICT", "advance", "begin", "centre", "predict", "recentre"]

W, S, Y, SLOPE, BEND, DW, DS, DY, FORCE = 0, 1, 2, 3, 4, 5, 6, 7, 8
T, ETA, SLACK, H, D_ETA, D_SLACK, LACK, RIDGE, RIDGE_H, MU, AIM, STRICT = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
ROWS, SCALARS = 9, 12
SCALE, ONES, STEEP, AIM_W, AIM_Y, ROOM = 0, 1, 2, 3, 4, 5
EXTRA = 6
FIRST = 0.1
SHORT = 0.99
SPREAD = 1e3
CENTRAL = 1e-4
WARY = 0.3
TRUE = 0.1
BACK = 8
TINY = 1e-300


@njit(cache=True, error_model="numpy")
def begin(v, strict, kind, total, share, cap, level, state, scalar):
    """Interior weights and multipliers; `v` are the utilities at weights in the middle of the set.

    `strict` asks for steps that never leave the constraint (for the chi-square ball: for a form of it that is less
    curved): they are more, but do not fail where the others do.
    """
    scalar[STRICT] = 1.0 if strict else 0.0
    n = len(v)
    scalar[T] = v.min() - FIRST if total else 0.0
    state[SLOPE] = 0.0
    for k in range(n):
        state[W, k] = share[k] / max(v[k], FIRST) if kind == NASH else share[k] * (1.0 if total else 2.0)
    if kind != BOX and kind != NASH:
        scalar[ETA] = FIRST
        h, _ = constraint(kind, scalar[STRICT] > 0.0, share, level, state[W], state[SLOPE], state[BEND])
        scalar[SLACK] = -h
    for k in range(n):
        state[Y, k] = FIRST if cap[k] < np.inf else 0.0
        force = v[k] - scalar[T] + state[Y, k] + scalar[ETA] * state[SLOPE, k]
        state[S, k] = max(force, FIRST)


@njit(cache=True, error_model="numpy")
def predict(base, offset, curvature, kind, total, share, cap, level, state, scalar, work):
    """Factor the reduced system and find the step that sets all products to 0 (to the shares for Nash welfare).

    A multiple of 1 1' is added to the system where the sum of the weights is fixed, and of the constraint's gradient
    where that is nearly fixed: neither changes the step, and without it the weights themselves can be close to a null
    vector of the system.
    """
    n = len(base)
    room = work[n:]
    bound = kind != BOX and kind != NASH
    scalar[H], cross, steepness, mean = 0.0, 0.0, 0.0, 0.0
    if bound:
        scalar[H], cross = constraint(kind, scalar[STRICT] > 0.0, share, level, state[W], state[SLOPE], state[BEND])
    for k in range(n):
        mean += curvature[k, k] / n
        steepness += state[SLOPE, k] ** 2
    scalar[RIDGE] = mean if total else 0.0
    scalar[RIDGE_H] = min(scalar[ETA] / scalar[SLACK], n * mean / steepness) if bound and steepness > 0.0 else 0.0
    scalar[LACK] = 1.0 - state[W].sum()
    along = scalar[RIDGE_H] + scalar[ETA] * cross
    for k in range(n):
        for j in range(k + 1):
            work[k, j] = curvature[k, j] + scalar[RIDGE] + along * state[SLOPE, k] * state[SLOPE, j]
        work[k, k] += state[S, k] / state[W, k]
        if bound:
            work[k, k] += scalar[ETA] * state[BEND, k]
        if cap[k] < np.inf:
            work[k, k] += state[Y, k] / (cap[k] - state[W, k])
    _factor(work, n)
    for k in range(n):
        room[ROOM, k] = 1.0
    if total:
        _solve(work, n, room[ROOM], room[ONES])
    if bound:
        _solve(work, n, state[SLOPE], room[STEEP])
    for k in range(n):
        room[AIM_W, k] = share[k] if kind == NASH else 0.0
        room[AIM_Y, k] = 0.0
        state[FORCE, k] = base[k] + offset[k]
    _direction(0.0, total, bound, cap, state, scalar, work)


@njit(cache=True, error_model="numpy")
def centre(found, least, wary, kind, share, cap, state, scalar):
    """Mehrotra's choice of what the products aim at, from how much of the predicted step can be taken.

    A fixed share of their mean where the last steps were short, when predictions are not to be trusted.
    """
    step = 1.0 / max(found[0], _fall(kind, cap, state, scalar), 1.0)
    now, count = _products(0.0, kind, share, cap, state, scalar)
    then, _ = _products(step, kind, share, cap, state, scalar)
    of_policy = found[1] + step * found[2] + step * step * found[3]
    scalar[MU] = 0.5 * (found[1] + now) if count > 0 else found[1]
    reached = 0.5 * (of_policy + then) if count > 0 else of_policy
    ratio = WARY if wary else min(max(reached / scalar[MU], 0.0), 1.0) ** 3
    scalar[AIM] = max(scalar[MU] * ratio, least)
    return scalar[AIM]


@njit(cache=True, error_model="numpy")
def recentre(second, base, offset, kind, total, share, cap, state, scalar, work):
    """The corrected step."""
    n = len(base)
    room = work[n:]
    aim = scalar[AIM]
    for k in range(n):
        part = aim * n * share[k]
        room[AIM_W, k] = (share[k] if kind == NASH else part) - second * state[DW, k] * state[DS, k]
        room[AIM_Y, k] = part + second * state[DW, k] * state[DY, k]
        state[FORCE, k] = base[k] + offset[k]
    aim_h = aim - second * scalar[D_ETA] * scalar[D_SLACK]
    _direction(aim_h, total, kind != BOX and kind != NASH, cap, state, scalar, work)


@njit(cache=True, error_model="numpy")
def advance(found, width, kind, share, cap, level, state, scalar, room):
    """Take as much of the step as keeps everything positive and the weights inside of their constraint.

    Returns
    -------
    step, near, left
        Length of the step; the mean product of q and z after it; the sum of all products then, about the duality gap.
    """
    fall = max(found[0], _fall(kind, cap, state, scalar))
    step = min(1.0, max(SHORT, 1.0 - scalar[MU]) / fall) if fall > 0.0 else 1.0
    bound = kind != BOX and kind != NASH
    if kind != NASH:
        for _ in range(BACK):
            if _least(step, share, cap, state) >= CENTRAL * _products(step, kind, share, cap, state, scalar)[0]:
                break
            step *= 0.8
    while bound and scalar[STRICT] > 0.0 and kind != CHI_SQUARE and step > 1e-10:
        for k in range(len(room)):
            room[k] = state[W, k] + step * state[DW, k]
        if constraint(kind, True, share, level, room, state[SLOPE], state[BEND])[0] < -(1.0 - SHORT) * scalar[SLACK]:
            break
        step *= 0.7
    for k in range(state.shape[1]):
        state[W, k] += step * state[DW, k]
        state[S, k] += step * state[DS, k]
        state[Y, k] += step * state[DY, k]
    if bound:
        scalar[ETA] += step * scalar[D_ETA]
        h, _ = constraint(kind, scalar[STRICT] > 0.0, share, level, state[W], state[SLOPE], state[BEND])
        scalar[SLACK] += step * scalar[D_SLACK]
        if (scalar[STRICT] > 0.0 and kind != CHI_SQUARE) or -h > TRUE * scalar[SLACK]:
            scalar[SLACK] = max(-h, TINY)
        scalar[D_ETA], scalar[D_SLACK] = 0.0, 0.0
    near = found[1] + step * found[2] + step * step * found[3]
    left = near * width
    if kind != NASH:
        # no product may fall far behind the others; the smaller factor can rise with little harm elsewhere
        products, _ = _products(0.0, kind, share, cap, state, scalar)
        for k in range(state.shape[1]):
            low = products * len(share) * share[k] / SPREAD
            w, s, y = state[W, k], state[S, k], state[Y, k]
            if w * s < low:
                state[W, k], state[S, k] = (low / s, s) if w < s else (w, low / w)
            left += w * s
            if cap[k] < np.inf:
                left += (cap[k] - w) * y
                if y < cap[k] - w:
                    state[Y, k] = max(y, low / (cap[k] - w))
        if bound:
            if scalar[ETA] < scalar[SLACK]:
                scalar[ETA] = max(scalar[ETA], products / SPREAD / scalar[SLACK])
            left += scalar[ETA] * scalar[SLACK]
    return step, near, left


@njit(cache=True, error_model="numpy")
def _factor(work, n):
    """Cholesky factor of the lower triangle, after scaling to a unit diagonal."""
    scale = work[n + SCALE]
    for k in range(n):
        scale[k] = 1.0 / math.sqrt(max(work[k, k], TINY))
    for k in range(n):
        for j in range(k + 1):
            s = work[k, j] * scale[k] * scale[j]
            for i in range(j):
                s -= work[k, i] * work[j, i]
            work[k, j] = 1.0 / math.sqrt(max(s, 1e-15)) if j == k else s * work[j, j]


@njit(cache=True, error_model="numpy")
def _solve(work, n, right, out):
    """Solve with the factor, whose diagonal is stored inverted."""
    scale = work[n + SCALE]
    for k in range(n):
        s = right[k] * scale[k]
        for i in range(k):
            s -= work[k, i] * out[i]
        out[k] = s * work[k, k]
    for k in range(n - 1, -1, -1):
        s = out[k]
        for i in range(k + 1, n):
            s -= work[i, k] * out[i]
        out[k] = s * work[k, k]
    for k in range(n):
        out[k] *= scale[k]


@njit(cache=True, error_model="numpy")
def _direction(aim_h, total, bound, cap, state, scalar, work):
    """Steps DW, DS, DY and of the scalars for given targets of the products, with FORCE for utilities plus drift."""
    n = state.shape[1]
    room = work[n:]
    ones, steep, right = room[ONES], room[STEEP], room[ROOM]
    eta, slack, lack = scalar[ETA], scalar[SLACK], scalar[LACK]
    r2 = -scalar[H] - aim_h / eta if bound else 0.0
    for k in range(n):
        right[k] = -state[FORCE, k] + room[AIM_W, k] / state[W, k] + scalar[RIDGE] * lack
        if bound:
            right[k] += (scalar[RIDGE_H] * r2 - eta) * state[SLOPE, k]
        if cap[k] < np.inf:
            right[k] -= room[AIM_Y, k] / (cap[k] - state[W, k])
    dw, ds, dy = state[DW], state[DS], state[DY]
    _solve(work, n, right, dw)
    a11, a12, a21, a22, b1, b2, kappa = 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0
    if total:
        a11, b1 = 0.0, lack
        for k in range(n):
            a11 += ones[k]
            b1 -= dw[k]
    if bound:
        kappa = 1.0 - scalar[RIDGE_H] * slack / eta
        a22, b2 = -slack / eta, r2
        for k in range(n):
            a22 -= kappa * state[SLOPE, k] * steep[k]
            b2 -= state[SLOPE, k] * dw[k]
            if total:
                a12 -= kappa * steep[k]
                a21 += state[SLOPE, k] * ones[k]
    determinant = a11 * a22 - a12 * a21
    t = (b1 * a22 - a12 * b2) / determinant
    d_eta = (a11 * b2 - a21 * b1) / determinant
    for k in range(n):
        if total:
            dw[k] += t * ones[k]
        if bound:
            dw[k] -= kappa * d_eta * steep[k]
        ds[k] = (room[AIM_W, k] - state[S, k] * dw[k]) / state[W, k] - state[S, k]
        if cap[k] < np.inf:
            dy[k] = (room[AIM_Y, k] + state[Y, k] * dw[k]) / (cap[k] - state[W, k]) - state[Y, k]
    if bound:
        scalar[D_ETA] = d_eta
        scalar[D_SLACK] = (aim_h - slack * d_eta) / eta - slack


@njit(cache=True, error_model="numpy")
def _fall(kind, cap, state, scalar):
    """The largest relative fall of what must stay positive."""
    fall = 0.0
    for k in range(state.shape[1]):
        fall = max(fall, max(-state[DW, k] / state[W, k], -state[DS, k] / state[S, k]))
        if cap[k] < np.inf:
            fall = max(fall, max(-state[DY, k] / state[Y, k], state[DW, k] / (cap[k] - state[W, k])))
    if kind != BOX and kind != NASH:
        fall = max(fall, max(-scalar[D_ETA] / scalar[ETA], -scalar[D_SLACK] / scalar[SLACK]))
    return fall


@njit(cache=True, error_model="numpy")
def _least(step, share, cap, state):
    """The smallest of the products of `_products`."""
    least = np.inf
    n = state.shape[1]
    for k in range(n):
        w = state[W, k] + step * state[DW, k]
        least = min(least, w * (state[S, k] + step * state[DS, k]) / (n * share[k]))
        if cap[k] < np.inf:
            least = min(least, (cap[k] - w) * (state[Y, k] + step * state[DY, k]) / (n * share[k]))
    return least


@njit(cache=True, error_model="numpy")
def _products(step, kind, share, cap, state, scalar):
    """Mean and number of the products that must vanish, after a step, those of a group in units of its share."""
    value, count, n = 0.0, 0, state.shape[1]
    for k in range(n):
        w = state[W, k] + step * state[DW, k]
        if kind != NASH:
            value += w * (state[S, k] + step * state[DS, k]) / (n * share[k])
            count += 1
        if cap[k] < np.inf:
            value += (cap[k] - w) * (state[Y, k] + step * state[DY, k]) / (n * share[k])
            count += 1
    if kind != BOX and kind != NASH:
        value += (scalar[ETA] + step * scalar[D_ETA]) * (scalar[SLACK] + step * scalar[D_SLACK])
        count += 1
    return value / max(count, 1), count
