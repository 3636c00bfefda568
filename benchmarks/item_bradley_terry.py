"""Bradley-Terry on items alone, 10,000 items and a million comparisons, against choix's MM at equal likelihood.

The peer takes a minute, so it runs once; ours is the median of five in the same run.
"""

from __future__ import annotations

import time

import choix
import numpy as np
from _timing import compare, machine, markdown_table

from pluralism.solvers import fit_item_bradley_terry

ITEMS, ROWS = 10_000, 1_000_000


def main() -> None:
    rng = np.random.default_rng(0)
    strength = rng.normal(size=ITEMS)
    left = rng.integers(ITEMS, size=ROWS).astype(np.int32)
    right = ((left + 1 + rng.integers(ITEMS - 1, size=ROWS)) % ITEMS).astype(np.int32)
    outcome = (rng.random(ROWS) < 1 / (1 + np.exp(strength[right] - strength[left]))).astype(float)
    winners = np.where(outcome[:, None] == 1, np.stack([left, right], 1), np.stack([right, left], 1)).tolist()

    def loss(s: np.ndarray) -> float:
        z = s[left] - s[right]
        return float(np.mean(np.logaddexp(0, z) - outcome * z))

    def ours() -> np.ndarray:
        return fit_item_bradley_terry(left, right, outcome, np.ones(ROWS), ITEMS, precision=1e-6, tol=1e-9).strength

    mine = loss(ours())
    started = time.perf_counter()
    theirs = loss(choix.mm_pairwise(ITEMS, winners, alpha=0.0, tol=1e-6))
    peer = time.perf_counter() - started
    seconds = compare({"pluralism": ours})["pluralism"]
    rows = [["pluralism", seconds, 1.0, f"{mine:.9f}"], ["choix mm_pairwise", peer, peer / seconds, f"{theirs:.9f}"]]
    print(markdown_table(["method", "seconds", "times ours", "NLL an answer"], rows))
    print(machine())


if __name__ == "__main__":
    main()
