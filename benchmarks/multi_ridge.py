"""Ridge regression of ten attributes with missing labels and prompt-grouped cross-validation, against one Gram product.

200,000 rows of 384 features in single precision. The product features' x features is what any exact solver must do
once. Labels complete, rated by two sources on five attributes each, or a tenth missing at random.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _timing import compare, machine, markdown_table

from pluralism.solvers import FeatureMatrix
from pluralism.solvers.multi_ridge import fit_multi_ridge, group_folds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processor", action="store_true", help="processor seconds, for a busy machine")
    given = parser.parse_args()
    rows, dim = given.rows, given.dim
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, dim)).astype(np.float32) / np.sqrt(np.arange(1, dim + 1, dtype=np.float32))
    y = x @ rng.normal(size=(dim, 10)) + rng.normal(size=(rows, 10))
    fold = group_folds(rng.integers(rows // 4, size=rows), 5, rng)
    # two sources that rated five attributes each, and every attribute missing now and then
    halves = np.where((np.arange(rows) < rows // 2)[:, None], np.arange(10) < 5, np.arange(10) >= 5)
    patterns = {"complete": y, "two sources of five each": np.where(halves, y, np.nan)}
    patterns["a tenth missing at random"] = np.where(rng.random(y.shape) < 0.1, np.nan, y)
    features = FeatureMatrix(x)
    runs = {
        name: (lambda labels=labels: fit_multi_ridge(features, labels, fold=fold)) for name, labels in patterns.items()
    }
    clock = time.process_time if given.processor else time.perf_counter
    seconds = compare({"one Gram product": lambda: x.T @ x, **runs}, given.repeats, clock=clock)
    base = seconds["one Gram product"]
    found = fit_multi_ridge(features, patterns["complete"], fold=fold)
    table = [[name, value, value / base] for name, value in seconds.items()]
    print(f"{rows:,} x {dim} x 10 attributes, 5 folds, {len(found.tried)} ridges; R2 {found.r2.mean():.3f}")
    print(markdown_table(["labels", "seconds", "Gram products"], table))
    print(machine())


if __name__ == "__main__":
    main()
