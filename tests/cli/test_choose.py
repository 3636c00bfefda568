"""`pluralism choose`: what it prints is what the policies say; what cannot be compared is refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import pluralism as pl
from pluralism.policy import maxmin

KINDS, NOUNS = ("short", "long", "warm", "cold", "bold", "careful"), ("answer", "story", "plan", "letter", "recipe")
TEXTS = [f"A {kind} {noun} about topic 1" for kind in KINDS for noun in NOUNS]


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def candidates(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = [
        [f"c{i}", text, f"prompt {i % 9}", round(float(chance), 4)]
        for i, (text, chance) in enumerate(zip(TEXTS, rng.uniform(0.1, 1, len(TEXTS)), strict=True))
    ]
    path = tmp_path_factory.mktemp("candidates") / "candidates.csv"
    return write_csv(path, ["id", "text", "prompt", "reference"], rows)


def test_the_policy_of_the_rule_is_written_and_told(call, run, candidates, tmp_path):
    out, page = tmp_path / "policy.parquet", tmp_path / "choice.html"
    result = call(
        "choose", run, candidates, "--rule", "maxmin", "--beta", "0.3", "--out", out, "--report", page, "--json"
    )
    assert result.code == 0, result.err
    found = result.document
    table = pq.read_table(out)
    items = pl.Items.read(candidates).embed("hash:64")
    utilities = pl.load(run).utilities(items, log_reference=np.log(items.covariates["reference"]))
    expected = maxmin(utilities, beta=0.3)
    np.testing.assert_allclose([row["utility"] for row in found["groups"]], expected.group_utilities, atol=1e-6)
    assert found["kl"] == pytest.approx(expected.kl_mean, abs=1e-6)
    for x in range(9):
        rows = [row for row in table.to_pylist() if row["prompt"] == f"prompt {x}"]
        assert sum(row["probability"] for row in rows) == pytest.approx(1.0)
        assert sum(row["reference"] for row in rows) == pytest.approx(1.0)
    assert found["gap"] < 1e-7
    assert found["worst"] == pytest.approx(min(row["utility"] for row in found["groups"]))
    shares = [row["share"] for row in found["groups"]]
    assert found["mean"] == pytest.approx(np.dot(shares, [row["utility"] for row in found["groups"]]))
    assert json.loads(table.schema.metadata[b"pluralism.policy"])["method"] == found["method"]
    text = page.read_text(encoding="utf-8")
    assert "Who gains, who loses" in text
    assert "maximal-lottery" in text


def test_a_vote_and_a_budget(call, run, candidates):
    voted = call("choose", run, candidates, "--rule", "borda")
    assert voted.code == 0
    assert "Group A" in voted.out
    assert "has least" in voted.out
    spent = call("choose", run, candidates, "--rule", "utilitarian", "--kl", "0.1", "--json")
    assert spent.code == 0, spent.err
    assert spent.document["kl"] == pytest.approx(0.1, rel=2e-3)
    assert spent.document["cost_to_the_mean"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rule", "maxmin", "--utility", "raw"], "zero is arbitrary"),
        (["--rule", "best"], "no rule 'best'"),
        (["--rule", "pmean", "--beta", "1"], "--rho"),
        (["--rule", "borda", "--beta", "1"], "does not take beta"),
        (["--rule", "maxmin", "--beta", "1", "--kl", "1"], "exclude each other"),
        (["--utility", "money"], "unit='money'"),
        (["--out", "policy.csv"], "Name a .parquet file"),
    ],
)
def test_what_cannot_work_is_one_message(call, run, candidates, options, says):
    result = call("choose", run, candidates, *options)
    assert result.code == 2
    assert says in result.err
    assert result.out == ""


def test_raw_rewards_are_compared_on_demand(call, run, candidates):
    result = call("choose", run, candidates, "--rule", "maxmin", "--utility", "raw", "--allow-raw", "--json")
    assert result.code == 0
    assert result.document["unit"] == "raw"
    assert "raw rewards" in result.err


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        (["id", "text"], [], "There is no candidate."),
        (["id", "words"], [["a", "x"]], "Candidates have the columns id and text"),
        (["id", "text"], [["a", "x"], ["a", "y"]], "'id', row 2 (line 3 of the file): 'a'"),
        (["id", "text", "reference"], [["a", "x", 0.5], ["b", "y", -0.5]], "'reference', row 2 (line 3 of the file)"),
        (["id", "text", "reference"], [["a", "x", 0.5], ["b", "y", ""]], "empty cells"),
        (["id", "text", "reference"], [["a", "x", "often"], ["b", "y", 1]], "must hold numbers"),
        (["id", "text", "reference"], [["a", "x", 0], ["b", "y", 0]], "no candidate of positive probability"),
        (["id", "text", "log_reference"], [["a", "x", "inf"], ["b", "y", -1]], "must be finite"),
        (["id", "text", "reference", "log_reference"], [["a", "x", 1, 0]], "both reference and log_reference"),
    ],
)
def test_bad_candidates_are_named(call, run, tmp_path, header, rows, says):
    result = call("choose", run, write_csv(tmp_path / "bad.csv", header, rows))
    assert result.code == 2 and result.out == ""
    assert says in result.err and "bad.csv" in result.err


def test_files_that_cannot_be_read_or_written_are_named(call, run, candidates, tmp_path):
    for path in (tmp_path / "nothing.csv", tmp_path):
        missing = call("choose", run, path)
        assert missing.code == 2 and str(path) in missing.err
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    for option, path in (("--out", folder), ("--report", tmp_path), ("--report", tmp_path / "page")):
        result = call("choose", run, candidates, option, path)
        assert result.code == 2 and f"{option} writes" in result.err
    kept = write_csv(tmp_path / "mine.csv", ["id", "text"], [["a", TEXTS[0]]])
    assert call("choose", run, kept, "--out", tmp_path / "deep" / "er" / "policy.parquet").code == 0
    assert (tmp_path / "deep" / "er" / "policy.parquet").exists()


def test_one_candidate_is_chosen(call, run, tmp_path):
    result = call("choose", run, write_csv(tmp_path / "one.csv", ["id", "text"], [["a", TEXTS[0]]]), "--json")
    assert result.code == 0
    assert result.document["kl"] == result.document["entropy"] == 0.0
