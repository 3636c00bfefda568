"""A mixture of five Plackett-Luce models on 5,000 rankings of 10 items, against EM made of choix's MM.

The peer has no mixtures, so it is EM around `choix`: memberships in NumPy (not in a Python loop, which would be slower
still), then each group's strengths by `choix.mm_rankings`. choix takes no weights, so each ranking goes to a group
drawn from its memberships (stochastic EM), and each call starts from the group's last strengths. Plain EM with one
weighted MM step of all groups at once, in NumPy, stands beside it. Both start from random memberships, one start, and
stop when twenty iterations bring less than a nat, or when they are within a nat of ours. Ours has one start as well;
the race of seven starts that the model runs by default is shown too. The peers run once, ours is the median of five.

python benchmarks/plackett_luce.py [--rankings N]
"""

from __future__ import annotations

import argparse
import time

import choix
import numpy as np
from _timing import compare, machine, markdown_table
from scipy.special import logsumexp

from pluralism.solvers import Terms, fit_mixture
from pluralism.solvers.plackett_luce import Ballots, RankingProblem, ranking_log_likelihood

ITEMS, GROUPS = 10, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rankings", type=int, default=5000)
    n = parser.parse_args().rankings
    rng = np.random.default_rng(0)
    truth = 1.5 * rng.normal(size=(ITEMS, GROUPS))
    group = rng.integers(GROUPS, size=n)
    order = np.argsort(-(truth[:, group].T + rng.gumbel(size=(n, ITEMS))), axis=1)
    table, _ = Ballots.build(
        np.arange(n), ITEMS * np.arange(n + 1), order.ravel(), np.tile(np.arange(ITEMS), n), np.ones(n), n_users=n
    )

    def problem() -> RankingProblem:
        return RankingProblem.of(table, np.ones(n), n_items=ITEMS, features=None, rng=np.random.default_rng(1))

    terms = Terms(item_precision=1e-6, concentration=1.0)

    def ours(n_init: int = 1) -> float:
        rng = np.random.default_rng(2)
        return fit_mixture(problem(), GROUPS, terms, rng=rng, n_init=n_init, tol=1e-8).log_likelihood

    scored = problem()

    def log_likelihood(scores: np.ndarray, log_weights: np.ndarray) -> tuple[np.ndarray, float]:
        joint = ranking_log_likelihood(scored, scores) + log_weights
        total = logsumexp(joint, axis=1)
        return np.exp(joint - total[:, None]), float(total.sum())

    reached = ours()
    start = rng.dirichlet(np.ones(GROUPS), size=n)
    peers = {
        "EM, choix.mm_rankings a group": choix_step,
        "EM, weighted MM in NumPy": mm_step,
    }
    rows = []
    timed = compare({"one start": ours, "seven starts raced": lambda: ours(4)})
    seconds = timed["one start"]
    for name, value in (("one start", reached), ("seven starts raced", ours(4))):
        rows.append([f"pluralism, {name}", timed[name], timed[name] / seconds, f"{value:.2f}", ""])
    for name, step in peers.items():
        started = time.perf_counter()
        posterior, scores, path = start, np.zeros((ITEMS, GROUPS)), []
        for iteration in range(1, 301):
            scores = step(order, posterior, scores)
            posterior, value = log_likelihood(scores, np.log(np.maximum(posterior.mean(axis=0), 1e-12)))
            path.append(value)
            if value >= reached - 1.0 or (iteration > 20 and max(path[-20:]) < max(path[:-20]) + 1.0):
                break
        elapsed = time.perf_counter() - started
        rows.append([name, elapsed, elapsed / seconds, f"{max(path):.2f}", iteration])
    print(markdown_table(["method", "seconds", "times ours", "log-likelihood", "iterations"], rows))
    print(machine())


def choix_step(order: np.ndarray, posterior: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Strengths of each group by choix from the people drawn into it."""
    rng = np.random.default_rng(int(1e6 * posterior[0, 0]))
    drawn = (rng.random((len(order), 1)) > np.cumsum(posterior, axis=1)).sum(axis=1)
    new = scores.copy()
    for k in range(GROUPS):
        mine = order[drawn == k]
        if len(mine):
            new[:, k] = choix.mm_rankings(ITEMS, mine.tolist(), initial_params=scores[:, k], alpha=1e-6, tol=1e-4)
    return new


def mm_step(order: np.ndarray, posterior: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """One weighted MM step of Hunter (2004) in every group."""
    strength = np.exp(scores)
    left = np.cumsum(strength[order][:, ::-1], axis=1)[:, ::-1]
    inverse = 1.0 / left
    inverse[:, -1] = 0.0
    reach = np.cumsum(inverse, axis=1) * posterior[:, None]
    new = np.empty_like(scores)
    for k in range(GROUPS):
        wins = np.bincount(order[:, :-1].ravel(), np.repeat(posterior[:, k], ITEMS - 1), ITEMS)
        new[:, k] = np.log(wins / np.bincount(order.ravel(), reach[..., k].ravel(), ITEMS))
    return new - new.mean(axis=0)


if __name__ == "__main__":
    main()
