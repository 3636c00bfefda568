"""Bad input of every kind: exit code 2, one message that names file, row and column, and nothing is written."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Call = Callable[..., Any]
HEADER = ["user", "left", "right", "outcome"]
GOOD: list[list[object]] = [["a", "x", "y", 1], ["b", "y", "z", 0], ["c", "x", "z", 0.5], ["a", "z", "x", 1]]


def with_row(row: list[object], header: list[str] | None = None) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([header or HEADER, *GOOD[:2], row, *GOOD[2:]])
    return text.getvalue()


def without_column(name: str) -> str:
    at = HEADER.index(name)
    rows = [[cell for k, cell in enumerate(row) if k != at] for row in ([*HEADER], *GOOD)]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


# What is wrong, the file, and what the message must name.
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "missing user": (without_column("user"), ("user", "--user all")),
    "missing left": (without_column("left"), ("left",)),
    "missing outcome": (without_column("outcome"), ("outcome",)),
    "misspelt column": (with_row(GOOD[0], ["user", "left", "rihgt", "outcome"]), ("rihgt", "--column right=rihgt")),
    "outcome above 1": (with_row(["c", "x", "y", 1.5]), ("row 3", "line 4", "outcome", "1.5")),
    "outcome below 0": (with_row(["c", "x", "y", -1]), ("row 3", "outcome", "-1")),
    "outcome NaN": (with_row(["c", "x", "y", "nan"]), ("row 3", "outcome")),
    "outcome empty": (with_row(["c", "x", "y", ""]), ("row 3", "outcome")),
    "outcome a word": (with_row(["c", "x", "y", "perhaps"]), ("row 3", "outcome", "perhaps")),
    "self-comparison": (with_row(["c", "x", "x", 1]), ("row 3", "left", "right")),
    "empty text": (with_row(["c", "", "y", 1]), ("row 3", "left")),
    "blank text": (with_row(["c", "  ", "y", 1]), ("row 3", "left")),
    "empty user": (with_row(["", "x", "y", 1]), ("row 3", "user")),
    "negative weight": (
        "user,left,right,outcome,weight\na,x,y,1,1\nb,y,z,0,1\nc,x,z,1,-2\n",
        ("row 3", "weight", "-2"),
    ),
    "too few cells": ("user,left,right,outcome\na,x,y,1\nb,y\n", ("line 3",)),
    "open quote": ('user,left,right,outcome\na,"x,y,1\nb,y,z,0\n', ("line 2",)),
    "column twice": ("user,left,left,outcome\na,x,y,1\n", ("left",)),
    "empty file": ("", ()),
    "header alone": ("user,left,right,outcome\n", ()),
    "no weight that counts": ("user,left,right,outcome,weight\na,x,y,1,0\n", ("weight",)),
}


def refused(result: Any, *words: str) -> None:
    """One message, no table, no traceback."""
    assert result.code == 2, result.err
    assert result.out == ""
    assert result.err.startswith("[PL0"), result.err
    assert result.err.count("[PL") == 1
    assert "Traceback" not in result.err
    assert "fix:" in result.err
    missing = [word for word in words if word not in result.err]
    assert not missing, result.err


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_refused_and_nothing_is_written(call: Call, tmp_path: Path, name: str) -> None:
    content, words = FILES[name]
    as_json = ("--json",) if len(name) % 2 else ()
    data, out = tmp_path / "votes.csv", tmp_path / "run"
    data.write_text(content)
    refused(call("fit", data, "--encoder", "hash:16", "--out", out, *as_json), "votes.csv" if words else "", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) in (["votes.csv"], ["cache", "votes.csv"])


@pytest.mark.parametrize("name", [name for name in FILES if name != "no weight that counts"])
def test_check_states_what_is_wrong_and_exits_with_2(call: Call, tmp_path: Path, name: str) -> None:
    data = tmp_path / "votes.csv"
    data.write_text(FILES[name][0])
    result = call("check", data)
    assert result.code == 2
    assert "ERROR" in result.out
    assert result.err.count("[PL010]") == 1
    as_json = call("check", data, "--json")
    assert as_json.code == 2
    assert as_json.document["ok"] is False
    assert as_json.document["n_errors"] >= 1


def test_all_faults_of_a_file_are_told_at_once(call: Call, tmp_path: Path) -> None:
    data = tmp_path / "votes.csv"
    data.write_text(with_row(["c", "x", "x", 7]))
    refused(call("fit", data, "--encoder", "hash:16", "--out", tmp_path / "run"), "itself", "between 0 and 1")


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent.csv", "no such file"), ("votes.xlsx", ".xlsx"), ("votes", "nothing"), ("folder.csv", "directory")],
)
def test_files_that_are_no_tables(call: Call, tmp_path: Path, name: str, words: str) -> None:
    if name == "folder.csv":
        (tmp_path / name).mkdir()
    elif name != "absent.csv":
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    refused(call("fit", tmp_path / name, "--kind", "comparisons", "--out", tmp_path / "run"), name, words)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl", ".csv.gz"])
def test_damaged_files(call: Call, tmp_path: Path, suffix: str) -> None:
    data = tmp_path / f"votes{suffix}"
    data.write_bytes(b"\x00\xff not this format \xfe")
    refused(call("fit", data, "--out", tmp_path / "run"), data.name)
    assert not (tmp_path / "run").exists()


def test_unknown_item_ids(call: Call, own_features: Path, tmp_path: Path) -> None:
    data = tmp_path / "votes.csv"
    data.write_text("user,left,right,outcome\na,t0,t1,1\nb,t0,t999,1\n")
    refused(
        call("fit", data, "--items", own_features / "items.csv", "--out", tmp_path / "run"), "row 2", "right", "t999"
    )


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.ones((3, 4), np.float32), ("features.npy", "3")),
        (np.full((108, 4), np.nan, np.float32), ("features.npy",)),
        (np.zeros((108, 4), np.float32), ("features.npy",)),
        (np.ones(108, np.float32), ("features.npy",)),
        (np.ones((108, 4), np.int64), ("features.npy",)),
        (None, ("features.npy",)),
    ],
    ids=["rows", "nan", "zero", "one dimension", "integers", "no array"],
)
def test_features_that_do_not_fit(
    call: Call, own_features: Path, tmp_path: Path, features: np.ndarray | None, words: tuple[str, ...]
) -> None:
    path = tmp_path / "features.npy"
    if features is None:
        path.write_bytes(b"not an array")
    else:
        np.save(path, features)
    given = ("--items", own_features / "items.csv", "--features", path)
    refused(call("fit", own_features / "train.csv", *given, "--out", tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--model", "pal-z"), ("pal-z", "bt, crm")),
        (("--model", "absent.toml"), ("absent.toml",)),
        (("--encoder", "minlm"), ("minlm", "minilm")),
        (("--encoder", "hash:64", "--encoder-option", "pooling=cls"), ("pooling",)),
        (("--encoder-option", "pooling"), ("--encoder-option", "NAME=VALUE")),
        (("--groups", "0"), ("--groups",)),
        (("--groups", "two"), ("--groups",)),
        (("--groups", "2", "--model", "bt"), ("--groups", "maxmin")),
        (("--ridge", "-1"), ("--ridge",)),
        (("--ridge", "nan"), ("--ridge",)),
        (("--ties", "thirds"), ("--ties", "davidson")),
        (("--covariate", "nonsense", "--encoder", "hash"), ("nonsense", "length")),
        (("--set", "n_innit=3"), ("n_innit", "n_init")),
        (("--set", "ridge=2", "--ridge", "3"), ("--set ridge",)),
        (("--features", "features.npy"), ("--items",)),
        (("--kind", "votes"), ("--kind", "comparisons")),
        (("--kind", "ratings"), ("item",)),
        (("--column", "user=nobody"), ("nobody",)),
        (("--attribute", "tone"), ("--attribute",)),
        (("--max-pairs", "3"), ("--max-pairs",)),
        (("--user", "all"), ("user",)),
        (("--seed", "-1"), ("--seed",)),
        (("--sed", "1"), ("--sed", "--help")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options(call: Call, votes: Path, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(call("fit", votes / "train.csv", *options, "--out", tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


def test_a_missing_argument_and_an_unknown_command(call: Call) -> None:
    refused(call("fit"), "pluralism fit --help")
    refused(call("fti"), "fit")


@pytest.mark.parametrize(
    "content",
    ["kind = ", 'kind = "Nonsense"', 'kind = "BradleyTerry"\n[parameters]\ncolour = 1', "\xff"],
    ids=["no TOML", "no model", "no parameter", "no UTF-8"],
)
def test_bad_recipes(call: Call, votes: Path, tmp_path: Path, content: str) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_bytes(content.encode("latin-1"))
    result = call("fit", votes / "train.csv", "--model", recipe, "--out", tmp_path / "run")
    assert result.code == 2
    assert result.err.startswith("[PL001]")
    assert "mine" in result.err


def damage_nothing(run: Path) -> None:
    shutil.rmtree(run)


def damage_model(run: Path) -> None:
    (run / "model.json").write_text("{")


def damage_arrays(run: Path) -> None:
    (arrays,) = run.glob("arrays-*.safetensors")
    arrays.write_bytes(arrays.read_bytes()[:-1])


def damage_record(run: Path) -> None:
    (run / "run.json").write_text("[]")


def record_of_another_model(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"model_sha256": "0" * 64}))


def newer_record(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"schema_version": 99, "novelty": 1}))


def record_as_a_link(run: Path) -> None:
    (run / "run.json").rename(run / "elsewhere.json")
    (run / "run.json").symlink_to(run / "elsewhere.json")


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing,
        damage_model,
        damage_arrays,
        damage_record,
        record_of_another_model,
        newer_record,
        record_as_a_link,
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "adapt", "report"])
def test_damaged_runs(
    call: Call, run: Path, votes: Path, tmp_path: Path, damage: Callable[[Path], None], command: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    damage(copy)
    out = tmp_path / ("page.html" if command == "report" else "placed.parquet")
    data = () if command == "report" else (votes / "test.csv",)
    to = () if command == "evaluate" else ("--out", out)
    result = call(command, copy, *data, *to)
    refused(result, str(copy))
    assert result.err.startswith("[PL041]")
    assert not out.exists()


def test_data_of_other_commands_are_checked_too(call: Call, run: Path, votes: Path, tmp_path: Path) -> None:
    data = tmp_path / "votes.csv"
    data.write_text(FILES["outcome above 1"][0])
    for command in (
        ("evaluate", run, data),
        ("evaluate", run, votes / "test.csv", "--support", data),
        ("adapt", run, data, "--out", tmp_path / "placed.parquet"),
        ("compare", votes / "train.csv", "--test", data, "--encoder", "hash:16"),
        ("report", run, "--data", data, "-o", tmp_path / "page.html"),
        ("embed", data, "--encoder", "hash:16", "--out", tmp_path / "embedded"),
    ):
        refused(call(*command), "votes.csv", "row 3", "outcome")
    assert {path.name for path in tmp_path.iterdir()} <= {"votes.csv", "cache"}
