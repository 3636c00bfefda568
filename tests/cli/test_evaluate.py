"""`pluralism evaluate`, `adapt` and `compare`: the numbers of the library, with the keys that scripts rely on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import pluralism as pl

Call = Callable[..., Any]
KEYS = {
    "n",
    "users",
    "accuracy",
    "nll",
    "brier",
    "ece",
    "ece_null_low",
    "ece_null_high",
    "worst_group_accuracy",
    "groups",
}


def embedded(path: Path) -> pl.Comparisons:
    return pl.Comparisons.read(path).embed("hash:64")


def test_evaluate_gives_the_pinned_keys_and_the_numbers_of_the_library(call: Call, run: Path, votes: Path) -> None:
    result = call("evaluate", run, votes / "test.csv", "--json")
    assert result.code == 0, result.err
    found = result.document
    assert found.keys() >= KEYS
    expected = pl.evaluate(pl.load(run), embedded(votes / "test.csv"), rng=0)
    for name in KEYS - {"groups"}:
        assert found[name] == pytest.approx(getattr(expected, name)), name
    assert [group["name"] for group in found["groups"]] == ["group 0", "group 1"]
    assert sum(group["n"] for group in found["groups"]) == found["n"] == 150
    assert found["accuracy"] > 0.6


def test_evaluate_prints_a_table_within_the_terminal(call: Call, run: Path, votes: Path) -> None:
    result = call("evaluate", run, votes / "test.csv")
    assert result.code == 0
    assert all(words in result.out for words in ("accuracy", "NLL", "ECE", "worst group", "Group A", "Group B"))
    assert max(map(len, result.out.splitlines())) <= 100


def test_unseen_users_are_placed_by_support_alone(call: Call, run: Path, votes: Path) -> None:
    without = call("evaluate", run, votes / "new.csv", "--json").document
    with_support = call("evaluate", run, votes / "new.csv", "--support", votes / "support.csv", "--json").document
    assert (without["n_users_prior"], with_support["n_users_supported"]) == (12, 12)
    expected = pl.evaluate(pl.load(run), embedded(votes / "new.csv"), support=embedded(votes / "support.csv"), rng=0)
    assert with_support["nll"] == pytest.approx(expected.nll)
    assert with_support["nll"] < without["nll"]
    refused = call("evaluate", run, votes / "new.csv", "--support", votes / "new.csv")
    assert refused.code == 2
    assert "new.csv" in refused.err


def test_a_temperature_is_fitted_on_other_rows(call: Call, run: Path, votes: Path) -> None:
    found = call(
        "evaluate",
        run,
        votes / "new.csv",
        "--support",
        votes / "support.csv",
        "--calibration",
        votes / "test.csv",
        "--json",
    ).document
    assert found["calibrated"]["n_rows"] > 100
    assert found["calibrated"]["temperature"] > 0


def test_own_features_are_those_of_the_run_unless_named(
    call: Call, own_run: Path, own_features: Path, tmp_path: Path
) -> None:
    result = call("evaluate", own_run, own_features / "test.csv", "--json")
    assert result.code == 0, result.err
    assert result.document["accuracy"] > 0.7
    for name in ("items.csv", "features.npy"):
        shutil.copy(own_features / name, tmp_path / name)
    named = ("--items", tmp_path / "items.csv", "--features", tmp_path / "features.npy")
    again = call("evaluate", own_run, own_features / "test.csv", *named, "--json")
    assert again.document == result.document
    reversed_features = np.load(own_features / "features.npy")[::-1]
    np.save(tmp_path / "features.npy", reversed_features)
    other = call("evaluate", own_run, own_features / "test.csv", *named, "--json")
    assert other.document["accuracy"] < result.document["accuracy"] - 0.1


def test_items_that_are_gone_are_asked_for(call: Call, own_run: Path, own_features: Path, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(own_run, moved)
    record = json.loads((moved / "run.json").read_text())
    record["items"]["path"] = str(tmp_path / "gone.csv")
    (moved / "run.json").write_text(json.dumps(record))
    result = call("evaluate", moved, own_features / "test.csv")
    assert result.code == 2
    assert "gone.csv" in result.err
    assert "--items" in result.err
    without_features = call("evaluate", own_run, own_features / "test.csv", "--items", own_features / "items.csv")
    assert without_features.code == 2
    assert "--features" in without_features.err


def test_features_of_another_encoder_are_refused(call: Call, run: Path, votes: Path) -> None:
    result = call("evaluate", run, votes / "test.csv", "--encoder", "hash:32")
    assert result.code == 2
    assert "64" in result.err


def test_a_model_saved_from_python_needs_its_encoder_named(call: Call, run: Path, votes: Path, tmp_path: Path) -> None:
    pl.load(run).save(tmp_path / "saved")
    bare = call("evaluate", tmp_path / "saved", votes / "test.csv")
    assert bare.code == 2
    assert "--encoder" in bare.err
    named = call("evaluate", tmp_path / "saved", votes / "test.csv", "--encoder", "hash:64", "--json")
    assert named.document["nll"] == pytest.approx(call("evaluate", run, votes / "test.csv", "--json").document["nll"])


def test_a_run_does_not_decide_where_texts_are_sent(call: Call, run: Path, votes: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    record = json.loads((copy / "run.json").read_text())
    for name, value in (("base_url", "http://127.0.0.1:9/v1"), ("api_key_env", "HOME")):
        record["encoder"] = {"name": "openai:m", "options": {name: value}, "space": None}
        (copy / "run.json").write_text(json.dumps(record))
        result = call("evaluate", copy, votes / "test.csv")
        assert result.code == 2
        assert f"--encoder-option {name}={value}" in result.err


def test_adapt_writes_user_n_and_groups(call: Call, run: Path, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "placed.parquet"
    result = call("adapt", run, votes / "support.csv", "--out", out, "--json")
    assert result.code == 0, result.err
    table = pq.read_table(out)
    assert table.column_names == ["user", "n", "group_0", "group_1"]
    assert table["user"].to_pylist() == [f"new{k}" for k in range(12)]
    assert set(table["n"].to_pylist()) == {10}
    posterior = np.column_stack([table["group_0"], table["group_1"]])
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0)
    expected = pl.load(run).adapt(embedded(votes / "support.csv"))
    np.testing.assert_allclose(posterior, expected.posterior)
    assert result.document["users"] == 12
    assert result.document["out"] == str(out)
    tastes = np.arange(12) % 3 == 0
    minority = posterior.mean(axis=0).argmin()
    assert np.mean((posterior.argmax(axis=1) == minority) == tastes) >= 0.9


def test_adapt_prints_the_first_users(call: Call, run: Path, votes: Path, tmp_path: Path) -> None:
    result = call("adapt", run, votes / "support.csv", "--out", tmp_path / "placed.parquet")
    assert "12 users placed by 120 answers" in result.out
    assert "and 2 more" in result.out
    for wrong in (tmp_path / "placed.csv", tmp_path):
        assert call("adapt", run, votes / "support.csv", "--out", wrong).code == 2


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "two.toml"
    path.write_text('kind = "MixtureBradleyTerry"\n[parameters]\nn_groups = 2\nridge = 1.0\nitem_effects = false\n')
    return path


def test_compare_gives_one_row_a_model(call: Call, own_features: Path, recipe: Path) -> None:
    given = ("--items", own_features / "items.csv", "--features", own_features / "features.npy")
    command = ("compare", own_features / "train.csv", "--test", own_features / "test.csv", *given)
    result = call(*command, "--models", f"bt,{recipe}", "--json")
    assert result.code == 0, result.err
    rows = result.document["models"]
    assert [row["model"] for row in rows] == ["bt", str(recipe)]
    assert [row["n_groups"] for row in rows] == [1, 2]
    assert all(row.keys() >= KEYS - {"groups"} for row in rows)
    assert rows[1]["nll"] < rows[0]["nll"]
    assert rows[1]["differences"]["nll"][0] == pytest.approx(rows[1]["nll"] - rows[0]["nll"])
    table = call(*command, "--models", f"bt,{recipe}")
    assert table.code == 0
    assert "less bt" in table.out
    assert "less its one group" in table.out
    assert "*" in table.out


def test_compare_places_new_users_by_support(call: Call, own_features: Path, recipe: Path) -> None:
    given = ("--items", own_features / "items.csv", "--features", own_features / "features.npy")
    command = ("compare", own_features / "train.csv", "--test", own_features / "new.csv", *given, "--models", recipe)
    without = call(*command, "--json").document["models"][0]
    placed = call(*command, "--support", own_features / "support.csv", "--json").document["models"][0]
    assert placed["nll"] < without["nll"]


@pytest.mark.parametrize("models", ["", ",", "bt,bt", "bt,nonsense"])
def test_compare_refuses_models_that_are_none(call: Call, votes: Path, models: str) -> None:
    result = call("compare", votes / "train.csv", "--test", votes / "test.csv", "--models", models)
    assert result.code == 2
    assert result.out == ""
