"""`pluralism check`, `embed` and `report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pluralism as pl

Call = Callable[..., Any]


def test_check_states_every_check(call: Call, votes: Path) -> None:
    result = call("check", votes / "train.csv")
    report = call("check", votes / "train.csv", "--json").document
    assert result.code == 0
    assert report["ok"] is True
    assert report["n_rows"] == 480
    assert len(report["checks"]) > 20
    assert all(check["name"] in result.out for check in report["checks"])
    assert max(map(len, result.out.splitlines())) <= 100


def test_check_of_a_warning_goes_on(call: Call, tmp_path: Path) -> None:
    data = tmp_path / "votes.csv"
    data.write_text("user,left,right,outcome\n" + "".join(f"u{k},a{k % 3},b{k % 4},1\n" for k in range(40)))
    result = call("check", data)
    assert result.code == 0
    assert "warning" in result.out
    assert "fix:" in result.out


def test_check_reads_ratings_rankings_and_polis(call: Call, tmp_path: Path) -> None:
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("user,item,value\n" + "".join(f"u{k % 5},tea{k % 4},{k % 3}\n" for k in range(20)))
    assert call("check", ratings, "--json").document["subject"] == "ratings"
    rankings = tmp_path / "rankings.csv"
    rankings.write_text("user,item,rank\n" + "".join(f"u{k % 5},tea{k // 5},{k // 5}\n" for k in range(20)))
    assert call("check", rankings, "--json").document["subject"] == "rankings"
    polis = tmp_path / "polis"
    polis.mkdir()
    (polis / "comments.csv").write_text("comment-id,comment-body,moderated\n0,Trees,1\n1,Cars,1\n")
    (polis / "votes.csv").write_text("timestamp,comment-id,voter-id,vote\n1,0,0,1\n2,1,0,-1\n3,0,1,1\n")
    assert call("check", polis, "--json").document["n_rows"] == 3


def test_check_of_ids_in_a_csv_file_does_not_take_them_for_texts(call: Call, tmp_path: Path) -> None:
    data = tmp_path / "votes.csv"
    data.write_text("user,left,right,outcome\n" + "".join(f"u{k},{k % 3},{3 + k % 4},1\n" for k in range(40)))
    checks = {check["name"]: check for check in call("check", data, "--json").document["checks"]}
    assert checks["over-long texts"]["status"] == "not tested"


def test_check_with_items_and_features(call: Call, own_features: Path) -> None:
    given = ("--items", own_features / "items.csv", "--features", own_features / "features.npy")
    checks = call("check", own_features / "train.csv", *given, "--json").document["checks"]
    assert {check["name"]: check for check in checks}["items"]["status"] == "ok"


def test_embedded_data_give_the_same_model(call: Call, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "embedded"
    result = call("embed", votes / "train.csv", "--encoder", "hash:32", "--out", out, "--json")
    assert result.code == 0, result.err
    found = result.document
    features = np.load(found["features"])
    assert features.shape == (found["n_items"], found["dim"]) == (len(pl.Items.read(found["items"])), 32)
    quick = ("--groups", 2, "--ridge", 1, "--no-item-effects", "--json")
    given = ("--items", found["items"], "--features", found["features"])
    by_id = call("fit", found["comparisons"], *given, *quick, "--out", tmp_path / "ids").document
    by_text = call("fit", votes / "train.csv", "--encoder", "hash:32", *quick, "--out", tmp_path / "texts").document
    assert by_id["objective"] == pytest.approx(by_text["objective"], rel=1e-9)


def test_embed_takes_a_table_of_items(call: Call, own_features: Path, tmp_path: Path) -> None:
    out = tmp_path / "embedded"
    result = call("embed", own_features / "items.csv", "--encoder", "hash:16", "--out", out)
    assert result.code == 0, result.err
    assert sorted(path.name for path in out.iterdir()) == ["features.npy", "items.parquet"]
    assert pl.Items.read(out / "items.parquet").ids.equals(pl.Items.read(own_features / "items.csv").ids)
    again = call("embed", out / "items.parquet", "--encoder", "hash:16", "--out", out)
    assert again.code == 2
    assert "overwritten" in again.err


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--encoder", "none"), "nothing to do"), (("--encoder", "hush"), "hush")],
)
def test_embed_refuses(call: Call, votes: Path, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    result = call("embed", votes / "train.csv", *options, "--out", tmp_path / "embedded")
    assert result.code == 2
    assert words in result.err
    assert not (tmp_path / "embedded").exists()


def test_a_second_command_finds_the_vectors_in_the_cache(call: Call, votes: Path, tmp_path: Path) -> None:
    command = ("embed", votes / "train.csv", "--encoder", "hash:16", "--cache", tmp_path / "vectors")
    assert call(*command, "--out", tmp_path / "one").code == 0
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "vectors").rglob("*.*")}
    assert shards
    assert call(*command, "--out", tmp_path / "two").code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "vectors").rglob("*.*")} == shards


def test_report_is_a_page_about_the_run(call: Call, run: Path, votes: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "report.html"
    result = call("report", run, "-o", page, "--test", votes / "test.csv", "--title", "Two <tastes>", "--json")
    assert result.code == 0, result.err
    html = page.read_text(encoding="utf-8")
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert "Two &lt;tastes&gt;" in html
    assert "pluralism report" in html or "pluralism" in html
    assert result.document["report"] == str(page)
    assert result.document["content"]["title"] == "Two <tastes>"


def test_report_reads_data_that_moved_and_says_so_if_they_changed(
    call: Call, run: Path, votes: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "train.csv"
    moved.write_bytes((votes / "train.csv").read_bytes())
    same = call("report", run, "-o", tmp_path / "a.html", "--data", moved, "--test", votes / "test.csv")
    assert (same.code, "has changed" in same.err) == (0, False), same.err
    moved.write_bytes(moved.read_bytes() + b"u0,A short answer about topic 0,A long answer about topic 0,1\n")
    changed = call("report", run, "-o", tmp_path / "b.html", "--data", moved, "--test", votes / "test.csv")
    assert changed.code == 0
    assert "has changed" in changed.err
    gone = call("report", run, "-o", tmp_path / "c.html", "--data", tmp_path / "gone.csv")
    assert gone.code == 2
    assert not (tmp_path / "c.html").exists()


def test_report_of_a_model_saved_from_python_needs_data(call: Call, run: Path, tmp_path: Path) -> None:
    pl.load(run).save(tmp_path / "saved")
    result = call("report", tmp_path / "saved", "-o", tmp_path / "a.html", "--encoder", "hash:64")
    assert result.code == 2
    assert "--data" in result.err
