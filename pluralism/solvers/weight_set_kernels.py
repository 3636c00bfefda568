"""Compiled parts of the convex sets of group weights: their constraint, the worst weights in them, the value there.

A set is given by `kind`, `total` (whether weights sum to 1), `share` (positive), `cap` (infinite where there is none)
and `level`: the radius of a ball, or the conjugate exponent of a power mean. See `weight_sets.py` for the mathematics.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["BOX", "CHI_SQUARE", "KL", "NASH", "POWER", "constraint", "excess", "inside", "worst", "worst_each"]

BOX, CHI_SQUARE, KL, POWER, NASH = 0, 1, 2, 3, 4
SMOOTH = 0.5


@njit(cache=True, error_model="numpy")
def constraint(kind, strict, share, level, w, slope, bend):
    """The convex constraint h(w) <= 0 of a ball or a power mean, of the order of 1 in the middle of the set.

    If `strict`, another function bounds the chi-square ball, less curved but not quadratic.
    `slope` receives the gradient g, and the Hessian is diag(`bend`) + cross g g'.

    Returns
    -------
    h, cross
    """
    n = len(w)
    if kind == POWER:
        # 1 less the power mean of w / share with the conjugate exponent, which is concave and of degree 1
        size = math.exp(_log_power_mean(share, level, w, share))
        for k in range(n):
            part = share[k] * math.exp(level * math.log(w[k] / share[k] / size))
            slope[k] = -size * part / w[k]
            bend[k] = (1.0 - level) * size * part / (w[k] * w[k])
        return 1.0 - size, (level - 1.0) / size
    if kind == CHI_SQUARE and strict:
        # a norm less the radius, smoothed in the middle: the square is far from linear where shares are small
        norm = SMOOTH * SMOOTH * level
        for k in range(n):
            norm += (w[k] - share[k]) ** 2 / share[k]
        norm = math.sqrt(norm / level)
        for k in range(n):
            bend[k] = 1.0 / (level * share[k] * norm)
            slope[k] = (w[k] - share[k]) * bend[k]
        return norm - math.sqrt(1.0 + SMOOTH * SMOOTH), -1.0 / norm
    scale = 1.0 / (level if level > 1.0 else math.sqrt(level))
    h = -level
    for k in range(n):
        if kind == CHI_SQUARE:
            h += (w[k] - share[k]) ** 2 / share[k]
            slope[k] = scale * 2.0 * (w[k] - share[k]) / share[k]
            bend[k] = scale * 2.0 / share[k]
        else:
            x = math.log(w[k] / share[k])
            h += w[k] * x - (w[k] - share[k])
            slope[k] = scale * x
            bend[k] = scale / w[k]
    return scale * h, 0.0


@njit(cache=True, error_model="numpy")
def inside(kind, total, share, cap, level, w, out):
    """Weights within rounding of the set, moved into it."""
    n = len(w)
    for k in range(n):
        out[k] = min(max(w[k], 0.0), cap[k])
    if total:
        s = out.sum()
        for k in range(n):
            out[k] /= s
    if kind == CHI_SQUARE or kind == KL:
        distance = 0.0
        for k in range(n):
            if kind == CHI_SQUARE:
                distance += (out[k] - share[k]) ** 2 / share[k]
            elif out[k] > 0.0:
                distance += out[k] * math.log(out[k] / share[k]) - (out[k] - share[k])
            else:
                distance += share[k]
        if distance > level:
            # the ball is convex and holds the shares: the divergence falls at least as fast as this factor
            factor = math.sqrt(level / distance) if kind == CHI_SQUARE else level / distance
            for k in range(n):
                out[k] = share[k] + factor * (out[k] - share[k])
    elif kind == POWER:
        size = math.exp(_log_power_mean(share, level, out, share))
        for k in range(n):
            out[k] /= size


@njit(cache=True, error_model="numpy")
def _log_power_mean(share, exponent, v, unit):
    """Log (sum_k share_k (v_k / unit_k)^exponent)^(1/exponent) for positive v."""
    n = len(v)
    logs = np.empty(n)
    top = -np.inf
    mean = 0.0
    for k in range(n):
        logs[k] = math.log(v[k] / unit[k])
        mean += share[k] * logs[k]
        top = max(top, exponent * logs[k])
    if abs(exponent) < 1e-9:
        return mean / share.sum()
    s = 0.0
    for k in range(n):
        s += share[k] * math.exp(exponent * logs[k] - top)
    return (top + math.log(s)) / exponent


@njit(cache=True, error_model="numpy")
def worst(kind, total, share, cap, level, v, out):
    """The least of w.v over the set (log welfare for Nash), and weights that reach it; -inf outside its domain."""
    n = len(v)
    out[:] = 0.0
    if kind == NASH or kind == POWER:
        low = v.min()
        if low < 0.0 or (low == 0.0 and (kind == NASH or level >= 0.0)):
            return -np.inf
        if kind == NASH:
            value = 0.0
            for k in range(n):
                value += share[k] * math.log(v[k])
                out[k] = share[k] / v[k]
            return value
        if low == 0.0:
            # exponents in (0, 1): finite, but no finite weights support it
            s = 0.0
            rho = level / (level - 1.0)
            for k in range(n):
                s += share[k] * v[k] ** rho
                out[k] = np.inf if v[k] == 0.0 else 1.0
            return s ** (1.0 / rho)
        rho = level / (level - 1.0)
        log_value = _log_power_mean(share, rho, v, np.ones(n))
        for k in range(n):
            out[k] = share[k] * math.exp((rho - 1.0) * (math.log(v[k]) - log_value))
        return math.exp(log_value)
    if kind == KL:
        return _worst_kl(share, level, v, out)
    if kind == CHI_SQUARE:
        return _worst_chi_square(share, level, v, out)
    left, value = 1.0, 0.0
    while left > 0.0:
        # the next worst group: few are needed, so nothing is sorted
        low = -1
        for k in range(n):
            if out[k] == 0.0 and cap[k] > 0.0 and (low < 0 or v[k] < v[low]):
                low = k
        if low < 0:
            break
        out[low] = min(cap[low], left)
        left -= out[low]
        value += out[low] * v[low]
    return value


@njit(cache=True, error_model="numpy")
def _worst_chi_square(share, radius, v, out):
    """On the groups that keep weight, w_k = share_k (1/S + theta (mean - v_k)); they are the ones of least v."""
    total, first, second = 0.0, 0.0, 0.0
    base = v.min()
    for k in range(len(v)):
        out[k] = 1.0
        total += share[k]
        first += share[k] * (v[k] - base)
        second += share[k] * (v[k] - base) ** 2
    while True:
        top = -1
        for k in range(len(v)):
            if out[k] > 0.0 and (top < 0 or v[k] > v[top]):
                top = k
        last = v[top] - base
        mean = first / total
        spread = max(second - total * mean * mean, 0.0)
        rest = radius - max(1.0 - total, 0.0) / total
        theta = math.sqrt(rest / spread) if spread > 1e-300 and rest > 0.0 else 0.0
        if last <= 0.0 or 1.0 / total + theta * (mean - last) >= 0.0:
            for k in range(len(v)):
                out[k] *= share[k] * (1.0 / total + theta * (mean - (v[k] - base)))
            return base + mean - theta * spread
        out[top] = 0.0
        total -= share[top]
        first -= share[top] * last
        second -= share[top] * last * last


@njit(cache=True, error_model="numpy")
def _worst_kl(share, radius, v, out):
    """w_k in proportion to share_k exp(-theta v_k), theta by Newton's method within a bracket."""
    n = len(v)
    base = v.min()
    spread = v.max() - base
    least = 0.0
    for k in range(n):
        if v[k] == base:
            least += share[k]
    if spread == 0.0 or radius >= -math.log(least):
        for k in range(n):
            out[k] = share[k] / least if v[k] == base else 0.0
        return base
    low, high = 0.0, np.inf
    theta = math.sqrt(2.0 * radius) / spread
    mean = 0.0
    for _ in range(200):
        size, first, second = 0.0, 0.0, 0.0
        for k in range(n):
            d = v[k] - base
            out[k] = share[k] * math.exp(-theta * d)
            size += out[k]
            first += out[k] * d
            second += out[k] * d * d
        mean = first / size
        divergence = -theta * mean - math.log(size)
        if divergence <= radius:
            low = theta
        else:
            high = theta
        if abs(divergence - radius) <= 1e-15 * (1.0 + radius) or high - low <= 4e-16 * theta:
            break
        slope = theta * (second / size - mean * mean)
        step = theta + (radius - divergence) / slope if slope > 0.0 else np.inf
        if not (low < step < high):
            step = 2.0 * theta if high == np.inf else 0.5 * (low + high)
        theta = step
    for k in range(n):
        out[k] /= size
    return base + mean


@njit(cache=True, error_model="numpy")
def excess(kind, total, share, cap, level, w, v, room):
    """How far weights of the set are from the worst ones at v: the part of the duality gap that is theirs."""
    if kind == NASH:
        gap = 0.0
        for k in range(len(v)):
            if v[k] <= 0.0:
                return np.inf
            ratio = w[k] * v[k] / share[k]
            gap += share[k] * (ratio - 1.0 - math.log(ratio))
        return gap
    value = worst(kind, total, share, cap, level, v, room)
    gap = 0.0
    if total:
        # differences to a common level: nothing cancels where utilities have a large common part
        base = v.min()
        for k in range(len(v)):
            gap += (w[k] - room[k]) * (v[k] - base)
    else:
        gap = np.dot(w, v) - value
    return max(gap, 0.0)


@njit(cache=True, error_model="numpy")
def worst_each(kind, total, share, cap, level, utilities, value, weights):
    """`worst` for each row of utilities."""
    for x in range(len(utilities)):
        value[x] = worst(kind, total, share, cap, level, utilities[x], weights[x])
