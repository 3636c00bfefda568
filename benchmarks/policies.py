"""Policies of many prompts at once, against a loop over prompts that does the same with scipy: results, ratios."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _timing import compare, machine, markdown_table
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import rankdata

from pluralism.solvers.best_of_n import best_of_n_policy
from pluralism.solvers.kl_budget import tilt_to_kl
from pluralism.solvers.log_policies import log_normalise
from pluralism.solvers.preference_games import regularised_nash
from pluralism.solvers.tilt import tilt

PROMPTS, CANDIDATES, BETA, BUDGET, N = 5_000, 16, 0.5, 0.5, 16
GAMES, TAU = 200, 0.1


def tilt_of_one(r: np.ndarray, log_p: np.ndarray, beta: float) -> np.ndarray:
    """The tilt of a single prompt."""
    energy = log_p + r / beta
    return energy - logsumexp(energy)


def kl_of_one(r: np.ndarray, log_p: np.ndarray, log_beta: float) -> float:
    """KL of a single prompt's tilt."""
    log_q = tilt_of_one(r, log_p, np.exp(log_beta))
    return float(np.exp(log_q) @ (log_q - log_p))


def budget_of_one(r: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """Brent's method on log beta."""
    log_beta = brentq(lambda x: kl_of_one(r, log_p, x) - BUDGET, -8.0, 12.0, xtol=1e-12)
    return tilt_of_one(r, log_p, np.exp(log_beta))


def best_of_n_of_one(r: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """Best-of-n of a single prompt without ties."""
    order = np.argsort(r)
    upto = np.cumsum(np.exp(log_p)[order]) ** N
    out = np.empty(len(r))
    out[order] = np.diff(upto, prepend=0.0)
    return np.log(out)


def nash_of_one(preferences: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """The same extragradient steps for a single game."""
    log_q, eta = log_p, 2.0
    for _ in range(20_000):
        wins = preferences @ np.exp(log_q)
        drift = log_p + wins / TAU - log_q
        if np.abs(drift - np.exp(log_q) @ drift).max() < 1e-5:
            break
        for _ in range(2):
            energy = (log_q + eta * (TAU * log_p + wins)) / (1 + eta * TAU)
            half = energy - logsumexp(energy)
            wins = preferences @ np.exp(half)
        log_q = half
    return log_q


def row(name: str, batched: Callable[[], np.ndarray], loop: Callable[[], np.ndarray]) -> list[object]:
    """Seconds, their ratio, and the largest difference of a probability."""
    difference = float(np.abs(np.exp(batched()) - np.exp(loop())).max())
    seconds = compare({"batched": batched, "loop": loop}, repeats=3)
    return [name, seconds["batched"], seconds["loop"], seconds["loop"] / seconds["batched"], difference]


def main() -> None:
    rng = np.random.default_rng(0)
    r = rng.normal(size=(PROMPTS, CANDIDATES))
    assert (rankdata(r, axis=1) % 1 == 0).all()
    log_p = log_normalise(0.5 * rng.normal(size=r.shape))
    skew = rng.normal(size=(GAMES, CANDIDATES, CANDIDATES))
    preferences = 1 / (1 + np.exp(skew.transpose(0, 2, 1) - skew))

    def loop(each: Callable[..., np.ndarray], first: np.ndarray) -> Callable[[], np.ndarray]:
        return lambda: np.stack([each(x, p) for x, p in zip(first, log_p[: len(first)], strict=True)])

    rows = [
        row("tilt", lambda: tilt(r, log_p, BETA)[0], loop(lambda x, p: tilt_of_one(x, p, BETA), r)),
        row("KL budget", lambda: tilt_to_kl(r, log_p, BUDGET)[0], loop(budget_of_one, r)),
        row("best-of-16", lambda: best_of_n_policy(r, log_p, N), loop(best_of_n_of_one, r)),
        row(
            "regularised Nash",
            lambda: regularised_nash(preferences, log_p[:GAMES], TAU).log_policy,
            loop(nash_of_one, preferences),
        ),
    ]
    header = ["policy", "batched, s", "loop, s", "loop / batched", "largest difference"]
    print(markdown_table(header, rows))
    print(f"{PROMPTS:,} prompts ({GAMES} games) of {CANDIDATES} candidates; {machine()}")


if __name__ == "__main__":
    main()
