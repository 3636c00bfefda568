"""Ratings as votes: models with a threshold read them against it, all others as pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

Call = Callable[..., Any]


@pytest.fixture
def ratings(tmp_path: Path) -> tuple[Path, Path]:
    """Forty people of different strictness, thirty items, yes or no; some rows held out."""
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(40), 25), np.concatenate([rng.permutation(30)[:25] for _ in range(40)])
    strictness, quality = 2 * rng.normal(size=40), rng.normal(size=30)
    value = (rng.random(1000) < expit(quality[item] - strictness[user])).astype(int)
    held = np.arange(1000) % 5 == 0
    for name, rows in (("train.csv", ~held), ("test.csv", held)):
        table = pa.table({"user": user[rows], "item": item[rows], "value": value[rows]})
        pc.write_csv(table, tmp_path / name)
    return tmp_path / "train.csv", tmp_path / "test.csv"


@pytest.mark.filterwarnings("ignore::pluralism.errors.SeparationWarning")
def test_thresholds_of_people_are_learnt_and_strangers_placed(
    call: Call, ratings: tuple[Path, Path], tmp_path: Path
) -> None:
    train, test = ratings
    run = tmp_path / "run"
    fitted = call("fit", train, "--model", "binary", "--out", run, "--json")
    assert fitted.code == 0, fitted.err
    assert (fitted.document["model"], fitted.document["n"]) == ("HierarchicalBradleyTerry", 800)
    scored = call("evaluate", run, test, "--json")
    assert scored.document["n"] == 200
    placed = call("adapt", run, test, "--out", tmp_path / "placed.parquet")
    assert placed.code == 0, placed.err
    table = pq.read_table(tmp_path / "placed.parquet")
    assert table.column_names == ["user", "n", "group_0", "factor_0", "factor_0_sd", "covariance"]
    assert set(table["n"].to_pylist()) == {5}
    shown = call("fit", train, "--model", "binary", "--out", tmp_path / "shown")
    assert "threshold" in shown.out


@pytest.mark.filterwarnings("ignore::pluralism.errors.SeparationWarning")
def test_compare_scores_all_models_on_votes_if_one_needs_them(call: Call, ratings: tuple[Path, Path]) -> None:
    train, test = ratings
    found = call("compare", train, "--test", test, "--models", "bt,binary", "--json").document["models"]
    assert [row["n"] for row in found] == [200, 200]
    assert found[1]["nll"] < found[0]["nll"] - 0.05


def test_pairs_are_no_votes(call: Call, votes: Path, ratings: tuple[Path, Path], tmp_path: Path) -> None:
    refused = call("fit", votes / "train.csv", "--encoder", "hash:16", "--model", "binary", "--out", tmp_path / "run")
    assert refused.code == 2
    assert "shared-private" in refused.err
    assert not (tmp_path / "run").exists()
    refused = call("fit", ratings[0], "--model", "binary", "--max-pairs", 5, "--out", tmp_path / "run")
    assert refused.code == 2
    assert "--max-pairs" in refused.err
