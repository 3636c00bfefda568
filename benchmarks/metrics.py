"""Calibration metrics and evaluation against their peers, same data, same definition, one run.

    python benchmarks/metrics.py [--rows 10000000] [--repeats 7]

ECE: torchmetrics puts the probability itself into bins of [0, 1]; given confidences and hits, and twice the number of
bins, it computes ours. Both ways are timed, and the values of the same definition must agree.
Temperature: the peer is the usual recipe, 50 steps of L-BFGS with learning rate 0.01 on the log-odds.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _timing import compare, machine, markdown_table
from torchmetrics.functional.classification import binary_calibration_error

from pluralism.calibration import ece, ece_null_band, fit_temperature, log_loss
from pluralism.evaluation.groups import Grouping
from pluralism.evaluation.scoring import Settings, evaluate_predictions


def expected_calibration_error(n: int, repeats: int) -> list[list[object]]:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=n)
    hit = rng.random(n) < p**1.2
    p_torch, y_torch = torch.from_numpy(p), torch.from_numpy(hit.astype(np.int64))
    confidence = torch.maximum(p_torch, 1 - p_torch)
    correct = torch.where(p_torch > 0.5, y_torch, 1 - y_torch)

    def peer(left: torch.Tensor, outcome: torch.Tensor, n_bins: int) -> float:
        return float(binary_calibration_error(left, outcome, n_bins=n_bins, validate_args=False))

    def from_probabilities() -> float:
        sure = torch.maximum(p_torch, 1 - p_torch)
        return peer(sure, torch.where(p_torch > 0.5, y_torch, 1 - y_torch), 30)

    difference = abs(ece(p, hit) - peer(confidence, correct, 30))
    seconds = compare(
        {
            "ours": lambda: ece(p, hit),
            "confidences given": lambda: peer(confidence, correct, 30),
            "from probabilities": from_probabilities,
            "its own definition": lambda: peer(p_torch, y_torch, 15),
        },
        repeats,
    )
    ours = seconds.pop("ours")
    rows: list[list[object]] = [[f"ECE of {n:,} predictions", "pluralism", ours * 1e3, "", ""]]
    for name, value in seconds.items():
        same = "" if name == "its own definition" else f"values differ by {difference:.1e}"
        rows.append(["", f"torchmetrics, {name}", value * 1e3, f"{value / ours:.1f}x", same])
    return rows


def temperature(n: int, repeats: int) -> list[list[object]]:
    rng = np.random.default_rng(1)
    z = rng.normal(0, 2, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.float64)
    p = 1 / (1 + np.exp(-1.3 * z))
    logits, target = torch.logit(torch.from_numpy(p)), torch.from_numpy(y)
    found: dict[str, float] = {}

    def recipe() -> None:
        scale = torch.nn.Parameter(torch.ones(1, dtype=torch.float64) * 1.5)
        optimiser = torch.optim.LBFGS([scale], lr=0.01, max_iter=50)

        def loss() -> torch.Tensor:
            optimiser.zero_grad()
            value = torch.nn.functional.binary_cross_entropy_with_logits(logits / scale, target)
            value.backward()
            return value

        optimiser.step(loss)
        found["recipe"] = float(scale.detach())

    def ours() -> None:
        found["ours"] = fit_temperature(p, y).temperature_

    seconds = compare({"ours": ours, "recipe": recipe}, repeats)

    def nll(t: float) -> float:
        return log_loss(1 / (1 + np.exp(-np.log(p / (1 - p)) / t)), y)

    return [
        [
            f"temperature, {n:,} rows",
            "pluralism",
            seconds["ours"] * 1e3,
            "",
            f"T={found['ours']:.4f} (planted 1.3), nll {nll(found['ours']):.6f}",
        ],
        [
            "",
            "L-BFGS, lr 0.01, 50 steps",
            seconds["recipe"] * 1e3,
            f"{seconds['recipe'] / seconds['ours']:.1f}x",
            f"T={found['recipe']:.4f}, nll {nll(found['recipe']):.6f}",
        ],
    ]


def whole_evaluation(n: int, n_users: int, repeats: int) -> list[list[object]]:
    rng = np.random.default_rng(2)
    p = rng.uniform(size=n)
    y = (rng.random(n) < p).astype(np.float64)
    user = rng.integers(0, n_users, n)
    grouping = Grouping(user % 4, ("a", "b", "c", "d"), "benchmark")
    small = rng.uniform(size=2352)
    seconds = compare(
        {
            "band": lambda: ece_null_band(p),
            "small band": lambda: ece_null_band(small),
            "evaluation": lambda: evaluate_predictions(
                p, y, np.ones(n), user, grouping, (n_users, 0, 0), Settings(seed=0)
            ),
        },
        repeats,
    )
    return [
        ["null band, 2,352 rows, 1,000 draws", "pluralism", seconds["small band"] * 1e3, "", ""],
        [f"null band, {n:,} rows, 1,000 draws", "pluralism", seconds["band"] * 1e3, "", ""],
        [
            f"all of evaluate() after prediction: {n:,} rows, {n_users:,} users, 1,000 bootstrap draws",
            "pluralism",
            seconds["evaluation"] * 1e3,
            "",
            "",
        ],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rows = expected_calibration_error(options.rows, options.repeats)
    rows += temperature(options.rows // 5, options.repeats)
    rows += whole_evaluation(options.rows // 10, max(options.rows // 500, 2), min(options.repeats, 3))
    print(markdown_table(["what", "who", "ms", "ratio", "note"], rows))
    print(machine())


if __name__ == "__main__":
    main()
