"""Peak memory of fitting two groups on five million half-precision items x 384, memory-mapped (3.6 GiB on disk).

Needs about 4 GiB of disk for the features; `--items` makes it smaller. The peak is the process's largest resident
set, which counts the mapped pages that happen to be in memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from pluralism.solvers import FeatureMatrix, PairProblem, Terms, fit_mixture


def main(items: int, folder: str | None) -> None:
    dim, users = 384, 20_000
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / "features.npy"
        features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(items, dim))
        rng = np.random.default_rng(0)
        heads = rng.normal(size=(dim, 2)) * 3.0
        scores = np.empty((items, 2), dtype=np.float32)
        for first in range(0, items, 50_000):
            block = rng.standard_normal((min(50_000, items - first), dim), dtype=np.float32) / np.sqrt(dim)
            features[first : first + len(block)] = block
            scores[first : first + len(block)] = block @ heads
        features.flush()
        del features
        rows = items
        user = np.sort(rng.integers(users, size=rows))
        left = rng.integers(items, size=rows).astype(np.int32)
        right = ((left + 1 + rng.integers(items - 1, size=rows)) % items).astype(np.int32)
        group = rng.integers(2, size=users)
        z = scores[left, group[user]] - scores[right, group[user]]
        outcome = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(np.float64)
        del z, scores
        problem, _ = PairProblem.build(
            user,
            left,
            right,
            outcome,
            np.ones(rows),
            n_users=users,
            n_items=items,
            features=FeatureMatrix(np.load(path, mmap_mode="r")),
        )
        started = time.perf_counter()
        fit = fit_mixture(problem, 2, Terms(), rng=np.random.default_rng(0), n_init=1, tol=1e-5)
        found = fit.responsibility.argmax(axis=1)
        right_way = max(np.mean(found == group), np.mean(found != group))
        print(f"{items:,} items, {rows:,} comparisons: {time.perf_counter() - started:.0f} s, {fit.n_iter} iterations")
        print(f"{right_way:.1%} of the users in their true group")
        print(f"peak resident set: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=5_000_000)
    parser.add_argument("--folder", default=None, help="where the features are written (default: the system's)")
    options = parser.parse_args()
    main(options.items, options.folder)
