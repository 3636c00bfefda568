"""Every shipped recipe fits, scores and places people on the command line, and says what it cannot take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pluralism.models.recipes import available

Call = Callable[..., Any]
QUICK = {
    "bayes-mixture": ("--groups", 3),
    "ensemble": ("--set", "n_members=3"),
    "general": ("--set", "rank=1"),
    "lore": ("--set", "rank=2"),
    "maxmin": ("--groups", 2),
    "pal-a": ("--set", "n_prototypes=2"),
    "pal-b": ("--set", "n_prototypes=2"),
    "plackett-luce": ("--groups", 1),
    "shared-private": ("--set", "rank=1"),
}
VOTES = {"binary", "ideal-points"}
RATINGS = {"dpa"}
COMPARISONS = sorted(set(available()) - VOTES - RATINGS)
pytestmark = pytest.mark.filterwarnings("ignore::pluralism.errors.DataWarning", "ignore::UserWarning")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", COMPARISONS)
def test_fits_scores_and_places(call: Call, votes: Path, tmp_path: Path, recipe: str) -> None:
    run, encoder = tmp_path / "run", ("--encoder", "hash:32")
    options = () if recipe == "items" else encoder
    fitted = call("fit", votes / "train.csv", "--model", recipe, *QUICK.get(recipe, ()), *options, "--out", run)
    assert fitted.code == 0, fitted.err
    assert recipe in fitted.out or "saved as" in fitted.out
    scored = call("evaluate", run, votes / "new.csv", "--support", votes / "support.csv", "--json")
    assert scored.code == 0, scored.err
    assert 0 < scored.document["nll"] < 1.2
    placed = call("adapt", run, votes / "support.csv", "--out", tmp_path / "placed.parquet")
    assert placed.code == 0, placed.err
    table = pq.read_table(tmp_path / "placed.parquet")
    assert {"user", "n", "group_0"} <= set(table.column_names)
    assert set(table["n"].to_pylist()) == {10}


@pytest.mark.slow
def test_compare_takes_every_recipe_of_comparisons(call: Call, votes: Path) -> None:
    cheap = [name for name in COMPARISONS if name in ("bt", "items", "length", "ordinal", "per-user", "shared-private")]
    found = call(
        "compare",
        votes / "train.csv",
        "--test",
        votes / "test.csv",
        "--models",
        ",".join(cheap),
        "--encoder",
        "hash:32",
    )
    assert found.code == 0, found.err
    assert all(name in found.out for name in cheap)


@pytest.mark.parametrize("recipe", sorted(VOTES | RATINGS))
def test_comparisons_without_what_a_recipe_needs_are_refused(
    call: Call, votes: Path, tmp_path: Path, recipe: str
) -> None:
    refused = call("fit", votes / "train.csv", "--model", recipe, "--encoder", "hash:8", "--out", tmp_path / "run")
    assert refused.code == 2
    assert "fix" in refused.err.lower() or ":" in refused.err
    assert any(name in refused.err for name in ("bt", "maxmin", "shared-private")), refused.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["vpl", "pal-a", "lore", "crm"])
def test_items_without_features_are_refused_where_they_are_needed(call: Call, tmp_path: Path, recipe: str) -> None:
    rng = np.random.default_rng(0)
    left = rng.integers(0, 9, 80)
    table = pa.table(
        {
            "user": rng.integers(0, 8, 80),
            "left": left,
            "right": (left + 1 + rng.integers(0, 8, 80)) % 9,
            "outcome": rng.integers(0, 2, 80),
        }
    )
    pq.write_table(table, tmp_path / "ids.parquet")
    refused = call("fit", tmp_path / "ids.parquet", "--model", recipe, "--out", tmp_path / "run")
    assert refused.code == 2
    assert "features" in refused.err
    assert "Traceback" not in refused.err
