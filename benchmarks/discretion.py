"""An audit of discretion with all its resamples, against a loop that draws rows again and recounts: results, ratios.

The loop does for each resample and annotator what the definitions say: count on the rows drawn, and fit the priorities
by scipy's L-BFGS from zero. Its seconds are of a few resamples, and stated for each.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from _timing import machine, markdown_table
from scipy.optimize import minimize
from scipy.special import expit

from pluralism.data import Comparisons
from pluralism.discretion import PrinciplePreferences, Verdicts, audit_discretion
from pluralism.discretion.measures.discrepancy import rank_discrepancy

RIDGE = 0.25


def simulated(n: int, c: int, a: int) -> tuple[Comparisons, PrinciplePreferences, list[Verdicts]]:
    """Principles that apply as seldom as in the published data (56 to 98 % do not), and annotators with priorities."""
    rng = np.random.default_rng(0)
    silent = rng.uniform(0.56, 0.98, c)
    quality = rng.choice([-1.0, 1.0], (n, 1))
    # principles lean towards the same side, so that about half of the comparisons have a consensus
    signs = np.where(rng.random((n, c)) < silent, 0.0, np.where(rng.random((n, c)) < 0.85, quality, -quality))
    weights = rng.normal(0.0, 1.0, (a, c))
    data = Comparisons.from_arrays(left=np.arange(n), right=np.arange(n) + n)
    people = [Verdicts(f"annotator {k}", (rng.random(n) < expit(signs @ weights[k])).astype(float)) for k in range(a)]
    return data, PrinciplePreferences.from_signs([f"p{k}" for k in range(c)], signs), people


def priorities(wins: np.ndarray) -> np.ndarray:
    """Regularised Bradley-Terry by L-BFGS."""
    first, second = np.triu_indices(len(wins), 1)
    won, lost = wins[first, second], wins[second, first]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = w[first] - w[second]
        value = won @ np.logaddexp(0, -z) + lost @ np.logaddexp(0, z) + 0.5 * RIDGE * w @ w
        slope = (won + lost) * expit(z) - won
        return value, np.bincount(first, slope, len(w)) - np.bincount(second, slope, len(w)) + RIDGE * w

    return minimize(loss, np.zeros(len(wins)), jac=True, method="L-BFGS-B", options={"gtol": 1e-7, "maxiter": 500}).x


def counted(signs: np.ndarray, verdict: np.ndarray) -> tuple[float, np.ndarray]:
    """Arbitrariness and priorities of one annotator on rows as they are."""
    left, right = (signs > 0), (signs < 0)
    agreed = left.any(axis=1) ^ right.any(axis=1)
    consensus = np.where(left.any(axis=1), 1, -1)
    arbitrary = float(np.mean(verdict[agreed] != consensus[agreed]))
    follow, other = (signs == verdict[:, None]).astype(np.float32), (signs == -verdict[:, None]).astype(np.float32)
    return arbitrary, priorities((follow.T @ other).astype(float))


def loop(signs: np.ndarray, verdicts: np.ndarray, draws: int) -> None:
    """Draw rows again, and count and fit anew."""
    rng = np.random.default_rng(1)
    for _ in range(draws):
        rows = rng.integers(0, len(signs), len(signs))
        weights = np.stack([counted(signs[rows], verdict[rows])[1] for verdict in verdicts])
        lead = weights[:, :, None] - weights[:, None]
        rank_discrepancy(np.sign(lead[:, *np.triu_indices(weights.shape[1], 1)])[None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=100_000)
    parser.add_argument("--principles", type=int, default=21)
    parser.add_argument("--annotators", type=int, default=10)
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--peer-draws", type=int, default=5)
    parser.add_argument("--graded", action="store_true", help="also count probabilities")
    asked = parser.parse_args()
    data, found, people = simulated(asked.comparisons, asked.principles, asked.annotators)
    signs = found.signs()
    verdicts = np.stack([np.where(person.left > 0.5, 1, -1) for person in people])
    warnings.simplefilter("ignore")
    audit_discretion(data.take(slice(0, 200)), found.take(slice(0, 200)),
                     [Verdicts(p.name, p.left[:200]) for p in people], n_bootstrap=10)  # fmt: skip
    kinds = [("decisions", found, False)]
    if asked.graded:
        soft = PrinciplePreferences(found.principles, 0.9 * found.left + 0.02, 0.9 * found.right + 0.02)
        kinds.append(("probabilities", soft, True))
    rows = []
    for name, preferences, graded in kinds:
        start = time.perf_counter()
        audit = audit_discretion(data, preferences, people, graded=graded, n_bootstrap=asked.draws)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        loop(signs, verdicts, asked.peer_draws)
        peer = (time.perf_counter() - start) / asked.peer_draws
        rows.append([name, ours, 1e3 * ours / asked.draws, 1e3 * peer, peer * asked.draws / ours])
        if not graded:
            shares = ", ".join(f"{share:.1%}" for share in audit.categories.shares)
            reference = [counted(signs, verdict) for verdict in verdicts]
            arbitrary = np.abs(audit.arbitrariness.value - [value for value, _ in reference]).max()
            apart = max(
                np.abs(p.weight - (w - w.mean())).max() for p, (_, w) in zip(audit.priority, reference, strict=True)
            )
            print(f"consensus, conflict, indifference: {shares}")
            print(f"largest difference to the loop: arbitrariness {arbitrary:.1e}, priorities {apart:.1e}\n")
    header = ["counted", "audit, s", "ms a resample", "loop, ms a resample", "ratio"]
    print(markdown_table(header, rows))
    print(
        f"\n{asked.comparisons:,} comparisons, {asked.principles} principles, {asked.annotators} annotators, "
        f"{asked.draws:,} resamples. {machine()}"
    )


if __name__ == "__main__":
    main()
