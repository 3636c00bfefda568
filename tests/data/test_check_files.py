"""Raw tables: all faults of a file in one report, with the rows of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pluralism.data import Items, simulate_mixture
from pluralism.data.check import check_file, check_frame
from pluralism.errors import UsageError


def _columns(n: int = 8) -> dict[str, list[Any]]:
    return {
        "user": [f"u{row % 3}" for row in range(n)],
        "left": [f"text {row}" for row in range(n)],
        "right": [f"text {row + 1}" for row in range(n)],
        "outcome": [1.0, 0.0] * (n // 2),
    }


def _errors(report: Any) -> dict[str, int]:
    return {check.name: check.count for check in report.errors}


def test_all_faults_of_a_csv_file_are_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(
        "user,left,right,outcome,weight,wieght2,notes\n"
        "u1,a,b,1,1,0,\n"
        "u1,b,c,1.5,1,0,\n"  # outcome out of range
        "u2,c,c,0,1,0,\n"  # self-comparison
        ",a,c,1,1,0,\n"  # no user
        "u2,,c,1,1,0,\n"  # no text
        'u2,"  ",c,1,1,0,\n'  # blank text
        "u3,a,b,left?,1,0,\n"  # no number
        "u3,a,b,nan,1,0,\n"  # NaN
        "u3,a,b,1,-2,0,\n"  # negative weight
        'u3,"c\nc",b,0,1,0,\n'
        "u3,b,a,-3,inf,0,\n"  # two faults in one row
    )
    report = check_file(path)
    assert _errors(report) == {
        "missing values": 2,
        "numbers": 1,
        "outcome range": 2,
        "self-comparisons": 1,
        "empty texts": 2,
        "weight range": 2,
    }
    assert [s["row"] for s in report["outcome range"].samples] == [2, 11]
    assert report["outcome range"].samples[0]["value"] == 1.5
    assert {(s["row"], s["column"]) for s in report["missing values"].samples} == {(4, "user"), (8, "outcome")}
    assert "'notes'" in report["misspelt columns"].found
    assert "2 of 11 rows" in report["rows"].found
    assert report.source == str(path) and report.n_rows == 11


def test_the_rows_of_later_checks_are_those_of_the_file() -> None:
    columns = _columns()
    columns["outcome"][2] = 7.0
    columns = {name: [*values, values[6]] for name, values in columns.items()}
    report = check_frame(columns)
    assert report["exact duplicates"].samples[0] | {"row": 9, "same_as_row": 7} == report["exact duplicates"].samples[0]


def test_a_misspelt_column_is_an_error_and_the_rest_is_checked_under_its_right_name() -> None:
    columns = _columns()
    columns["rihgt"] = columns.pop("right")
    columns["outcom"] = columns.pop("outcome")
    columns["outcom"][3] = 4.0
    report = check_frame(columns)
    assert _errors(report) == {"columns": 2, "outcome range": 1}
    assert {s["column"]: s["meant"] for s in report["misspelt columns"].samples} == {
        "rihgt": "right",
        "outcom": "outcome",
    }
    assert "'rihgt'" in report["columns"].fix and report["connectedness"].applies


@pytest.mark.parametrize(
    ("missing", "untested", "tested"),
    [
        ("user", ["identical users", "users with one judgement", "raters against the others"], "separability by items"),
        ("outcome", ["order bias", "separability by items", "tie share"], "connectedness"),
        ("left", ["order bias", "connectedness", "users with one judgement"], None),
    ],
)
def test_a_missing_column_does_not_hide_the_faults_of_the_others(
    missing: str, untested: list[str], tested: str | None
) -> None:
    columns = _columns() | {"weight": [1.0] * 7 + [-1.0]}
    del columns[missing]
    report = check_frame(columns)
    assert _errors(report) == {"columns": 1, "weight range": 1}
    assert all(report[name].status == "not tested" for name in untested)
    assert tested is None or report[tested].applies


def test_a_clean_file_passes_in_every_format(tmp_path: Path) -> None:
    data = simulate_mixture(n_users=60, n_groups=1, n_items=20, pairs_per_user=40, scale=1.2, rng=0).comparisons
    for suffix in ("csv", "parquet", "jsonl"):
        data.write(tmp_path / f"votes.{suffix}", as_ids=True)
        report = check_file(tmp_path / f"votes.{suffix}", texts=False)
        assert report.ok and not report.warnings, report
        assert report.n_rows == 2400


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_frames_of_all_kinds(frame: Any) -> None:
    columns = _columns()
    columns["outcome"][0] = float("nan")
    assert _errors(check_frame(frame(columns))) == {"missing values": 1}


def test_chosen_and_rejected() -> None:
    columns = _columns()
    report = check_frame({"user": columns["user"], "chosen": columns["left"], "rejected": columns["right"]})
    assert report.ok and report["order bias"].status == "not tested"
    both = check_frame({**columns, "chosen": columns["left"], "rejected": columns["right"]})
    assert _errors(both) == {"columns": 5} and "both layouts" in both["columns"].found


def test_items_and_features_are_checked_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], "text": ["a", "b", "c"]}), tmp_path / "items.parquet")
    np.save(tmp_path / "good.npy", np.eye(3, dtype=np.float32))
    np.save(tmp_path / "short.npy", np.eye(2, dtype=np.float32))
    votes = {"user": ["u"] * 3, "left": [1, 2, 9], "right": [2, 3, 1], "outcome": [1.0, 1.0, 0.0]}
    report = check_frame(votes, tmp_path / "items.parquet", tmp_path / "good.npy")
    assert _errors(report) == {"unknown items": 1} and report["unknown items"].samples[0]["row"] == 3
    assert not report["separability by features"].passed
    short = check_frame(votes, tmp_path / "items.parquet", tmp_path / "short.npy")
    assert "items" in _errors(short) and "2 rows of features" in short["items"].found
    assert check_frame(votes, Items(ids=["1", "2", "3", "9"])).ok


def test_columns_can_be_named() -> None:
    columns = _columns()
    columns["annotator"] = columns.pop("user")
    hint = check_frame(columns)
    assert _errors(hint) == {"columns": 1} and "annotator" in hint["columns"].fix
    assert check_frame(columns, columns={"user": "annotator"}).ok
    wrong = check_frame(columns, columns={"user": "rater"})
    assert _errors(wrong) == {"columns": 1} and wrong["order bias"].status == "not tested"
    assert check_frame({k: v for k, v in columns.items() if k != "annotator"}, user="me").ok
    with pytest.raises(UsageError):
        check_frame(_columns(), user="me")


def test_types_that_cannot_be_read_are_one_error() -> None:
    columns = _columns() | {"user": [1, "1"] * 4}
    report = check_frame(columns)
    assert _errors(report) == {"column types": 1} and "are they one id or two" in report["column types"].found


@pytest.mark.parametrize("name", ["absent.csv", "broken.csv", "votes.xlsx", "empty.csv"])
def test_files_that_cannot_be_read_are_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.csv").write_text('user,left,right,outcome\nu,a,"b,1\n')
    (tmp_path / "empty.csv").write_text("")
    report = check_file(tmp_path / name)
    assert _errors(report) == {"file": 1} and report["file"].fix
    assert all(check.status == "not tested" for check in report if check.name != "file")


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text("user,left,right,outcome\n")
    assert _errors(check_file(tmp_path / "votes.csv")) == {"rows": 1}


def test_no_good_row_is_left() -> None:
    report = check_frame({"user": ["u"], "left": ["a"], "right": ["a"], "outcome": [2.0]})
    assert _errors(report) == {"self-comparisons": 1, "outcome range": 1, "rows": 1}


def test_real_comparisons_pass(shared_data: Path) -> None:
    table = pq.read_table(shared_data / "ukp_convarg" / "comparisons.parquet").to_pandas()
    pairs = pq.read_table(shared_data / "ukp_convarg" / "pairs.parquet").to_pandas()
    votes = table.merge(pairs, on="pair_id")
    outcome = votes["choice"].map({"a1": 1.0, "equal": 0.5, "a2": 0.0})
    texts = pq.read_table(shared_data / "ukp_convarg" / "arguments.parquet").to_pandas()
    items = Items.from_texts(texts["text"].tolist(), ids=(texts["topic"] + "/" + texts["arg_id"]).tolist())
    frame = {
        "user": votes["user_id"],
        "left": votes["topic"] + "/" + votes["arg_a"],
        "right": votes["topic"] + "/" + votes["arg_b"],
        "outcome": outcome,
        "time": votes["submitted"],
    }
    report = check_frame(pd.DataFrame(frame), items)
    assert report.ok and report.n_rows == 63_314
    assert report["connectedness"].measures["components"] == 24
    assert report["tie share"].passed and report["order bias"].passed
    assert report["users with one judgement"].measures["users"] == 3768
