from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.calibration import accuracy, brier, calibration_table, classwise_ece, debiased_ece, ece, log_loss
from pluralism.errors import DataError, UsageError


def draw(seed: int = 0, n: int = 1200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, n)
    group = rng.choice(["over", "under"], n, p=[0.7, 0.3])
    power = np.where(group == "over", 2.0, 0.5)
    p = truth**power / (truth**power + (1 - truth) ** power)
    return p, (rng.random(n) < truth).astype(float), group


def test_each_row_is_the_metric_on_its_rows() -> None:
    p, y, group = draw()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(p))
    table = calibration_table(p, y, group=group, weight=weight, n_bins=10)
    assert list(table.columns["group"]) == ["all", "over", "under"]
    for name in ("all", "over", "under"):
        here = np.ones(len(p), bool) if name == "all" else group == name
        row = table.row(name)
        assert row["n"] == here.sum()
        for key, score in (("accuracy", accuracy), ("nll", log_loss), ("brier", brier)):
            assert row[key] == pytest.approx(score(p[here], y[here], weight=weight[here]))
        for key, score in (("ece", ece), ("debiased_ece", debiased_ece)):
            assert row[key] == pytest.approx(score(p[here], y[here], n_bins=10, weight=weight[here]))


def test_opposite_errors_of_groups_are_seen_in_the_groups() -> None:
    p, y, group = draw(n=6000)
    table = calibration_table(p, y, group=group)
    for name, sign in (("over", -1), ("under", 1)):
        row = table.row(name)
        assert row["ece"] > row["ece_null_high"]
        assert np.sign(row["signed_gap"]) == sign


def test_a_calibrated_group_lies_in_its_null_band() -> None:
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.uniform(size=400)
        row = calibration_table(p, rng.random(400) < p, rng=seed, level=0.9).row("all")
        inside += row["ece_null_low"] <= row["ece"] <= row["ece_null_high"]
    assert inside >= 30


def test_labels_that_are_missing_and_rows_that_are_ties() -> None:
    table = calibration_table([0.6, 0.7, 0.5], [0.5, 0.5, 1.0], group=[None, float("nan"), 3])
    assert list(table.columns["group"]) == ["all", "(none)", "3"]
    assert np.isnan(table.row("(none)")["accuracy"])
    assert json.loads(table.to_json())[1]["accuracy"] is None
    assert table.to_frame().num_rows == len(table) == 3
    assert "(none)" in repr(table)
    with pytest.raises(UsageError, match="no row 'x'"):
        table.row("x")
    with pytest.raises(UsageError, match="group has 1"):
        calibration_table([0.6, 0.7], [1, 0], group=["a"])


def slow_classwise(q, outcome, n_bins) -> list[float]:
    found = []
    for k in range(q.shape[1]):
        total = 0.0
        for b in range(n_bins):
            low, high = b / n_bins, (b + 1) / n_bins
            here = (q[:, k] > low) & (q[:, k] <= high) | ((b == 0) & (q[:, k] == 0))
            if here.any():
                total += here.mean() * abs(q[here, k].mean() - (outcome[here] == k).mean())
        found.append(total)
    return found


def test_classwise_is_its_definition_and_torchmetrics_per_class() -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(0)
    q = rng.dirichlet([2, 1, 2], 3000)
    outcome = np.array([rng.choice(3, p=row**1.3 / (row**1.3).sum()) for row in q])
    table = classwise_ece(q, outcome, classes=["left", "tie", "right"], n_bins=10)
    np.testing.assert_allclose(table.columns["ece"][:3], slow_classwise(q, outcome, 10), atol=1e-12)
    for k, name in enumerate(["left", "tie", "right"]):
        peer = functional.binary_calibration_error(
            torch.from_numpy(q[:, k].copy()), torch.from_numpy((outcome == k).astype(int)), n_bins=10
        )
        assert table.row(name)["ece"] == pytest.approx(float(peer), abs=1e-6)
        assert table.row(name)["observed"] == pytest.approx((outcome == k).mean())
    assert table.row("mean")["ece"] == pytest.approx(np.mean(table.columns["ece"][:3]))
    shares = classwise_ece(q, np.eye(3)[outcome], n_bins=10)
    assert shares.columns["ece"] == pytest.approx(table.columns["ece"])


def test_two_classes_are_equally_calibrated() -> None:
    rng = np.random.default_rng(3)
    p = rng.uniform(size=500)
    y = (rng.random(500) < p**2).astype(int)
    table = classwise_ece(np.column_stack([p, 1 - p]), 1 - y, n_bins=8)
    assert table.columns["ece"][0] == pytest.approx(table.columns["ece"][1], abs=1e-12)
    # Left is preferred less often than predicted, at all p: both orders of a pair cancel that, classes do not.
    assert table.columns["ece"][0] > 0.1
    assert ece(p, y, n_bins=8, mirrored=True) < 0.05


def test_classwise_refuses_what_is_no_distribution() -> None:
    with pytest.raises(DataError, match="row 2"):
        classwise_ece([[0.5, 0.5], [0.5, 0.6]], [0, 1])
    with pytest.raises(UsageError, match="class number"):
        classwise_ece([[0.5, 0.5]], [2])
    with pytest.raises(UsageError, match="names"):
        classwise_ece([[0.5, 0.5]], [1], classes=["a"])
    with pytest.raises(UsageError, match="two classes"):
        classwise_ece([0.5, 0.5], [1, 0])
    with pytest.raises(DataError, match="sum to 1"):
        classwise_ece([[0.5, 0.5]], [[0.5, 0.2]])
