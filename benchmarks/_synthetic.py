"""Synthetic comparisons for the benchmarks: item embeddings with spectrum 1/i, linear rewards, logit sd about 2.2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Synthetic:
    features: np.ndarray
    heads: np.ndarray
    group: np.ndarray
    user: np.ndarray
    left: np.ndarray
    right: np.ndarray
    outcome: np.ndarray

    def part(self, rows: np.ndarray) -> Synthetic:
        columns = (getattr(self, name)[rows] for name in ("user", "left", "right", "outcome"))
        return Synthetic(self.features, self.heads, self.group, *columns)

    def differences(self) -> np.ndarray:
        return self.features[self.left] - self.features[self.right]


def synthetic(
    rows: int = 200_000, items: int = 50_000, dim: int = 384, users: int = 2000, groups: int = 1, seed: int = 0
) -> Synthetic:
    rng = np.random.default_rng([seed, 17])
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0].astype(np.float32)
    features = rng.normal(size=(items, dim)).astype(np.float32) / np.sqrt(np.arange(1, dim + 1, dtype=np.float32))
    features = np.ascontiguousarray(features @ rotation)
    heads = rng.normal(size=(dim, groups))
    heads *= 2.2 / np.sqrt(2) / (features @ heads).std(axis=0)
    group = rng.integers(groups, size=users)
    user = np.sort(rng.integers(users, size=rows))
    left = rng.integers(items, size=rows)
    right = (left + 1 + rng.integers(items - 1, size=rows)) % items
    scores = features @ heads
    z = scores[left, group[user]] - scores[right, group[user]]
    outcome = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(np.float64)
    return Synthetic(features, heads, group, user, left, right, outcome)


def log_loss(z: np.ndarray, outcome: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0.0, z) - outcome * z))
