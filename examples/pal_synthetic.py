"""
PAL on simulated ideal points
=============================

Does the elbow stand at the true number of prototypes, and what do few answers bring?

Hundred people judge pairs of items of 16 features without error, by the distance to an ideal point of their own: one of
three prototypes ("partition") or a mixture of them, drawn evenly from the simplex. IdealPoint with the identity map is
fitted to forty answers of each; fifty more are held out. Hundred other people are then placed by 2 to 20 answers, and
fifty of theirs are predicted. Means over seeds. Ridge and concentration are fixed, so that the study takes seconds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from pluralism.data import Comparisons
from pluralism.data.simulate import Simulation, simulate_ideal_points
from pluralism.models import IdealPoint

TRAIN, TEST, SHOTS = 40, 50, (0, 2, 5, 10, 20)


def population(kind: str, seed: int) -> tuple[Comparisons, Comparisons, Comparisons, Comparisons]:
    """Training and test answers of a hundred people, answers to place a hundred others by, and theirs to predict."""
    simulation: Simulation = simulate_ideal_points(
        n_users=200,
        n_prototypes=3,
        n_items=400,
        dim=16,
        pairs_per_user=TRAIN + TEST,
        concentration=1.0 if kind == "mixture" else None,
        scale=float("inf"),
        rng=seed,
    )
    data = simulation.comparisons
    order = np.argsort(data.user, kind="stable")
    rank = np.empty(len(data), dtype=int)
    rank[order] = np.arange(len(data)) % (TRAIN + TEST)
    # groups are dealt out in no order, so the first hundred people are a fair sample
    old = data.user < 100
    return (
        data.take(old & (rank < TRAIN)).compact(),
        data.take(old & (rank >= TRAIN)),
        data.take(~old & (rank < max(SHOTS))),
        data.take(~old & (rank >= TRAIN)),
    )


def accuracy(p: np.ndarray, data: Comparisons) -> float:
    return float(np.mean((p > 0.5) == (data.outcome > 0.5)))


def nll(p: np.ndarray, data: Comparisons) -> float:
    return -float(np.mean(np.log(np.where(data.outcome > 0.5, p, 1 - p))))


def study(kind: str, k: int, seed: int) -> tuple[float, list[float], list[float]]:
    """Accuracy for people seen in training; accuracy and NLL for others by number of answers."""
    train, test, support, query = population(kind, seed)
    model = IdealPoint(n_prototypes=k, map="identity", weights=kind, ridge=1.0, concentration=0.3, rng=seed).fit(train)
    right, loss = [], []
    rank = np.arange(len(support)) - np.searchsorted(support.user, support.user)
    for shots in SHOTS:
        p = model.predict_proba(query, membership=model.adapt(support.take(rank < shots)))
        right.append(accuracy(p, query))
        loss.append(nll(p, query))
    return accuracy(model.predict_proba(test), test), right, loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    started = time.perf_counter()
    for kind in ("partition", "mixture"):
        print(f"\n| {kind}, K | seen | unseen, {' / '.join(map(str, SHOTS))} answers | their NLL |\n|---|---|---|---|")
        for k in (1, 2, 3, 4):
            found = [study(kind, k, seed) for seed in range(options.seeds)]
            seen, right, loss = (np.mean([f[j] for f in found], axis=0) for j in range(3))
            cells = [" / ".join(f"{v:.3f}" for v in values) for values in (right, loss)]
            print(f"| {k} | {seen:.3f} | {cells[0]} | {cells[1]} |")
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
