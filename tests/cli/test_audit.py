"""`pluralism audit`: what it prints and writes is what the audit says; what cannot be audited is one message."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_openai import FakeOpenAI, Say

import pluralism as pl
from pluralism.discretion import audit_discretion, factor_preferences, human_verdicts, read_principles

WORDS = ("short", "long", "warm", "cold", "bold", "careful")
TEXTS = [f"{'Perhaps a' if k % 4 == 0 else 'A'} {WORDS[k % 6]} answer" + " and more of it" * (k % 5) for k in range(30)]


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = []
    for k in range(240):
        a, b = rng.choice(30, 2, replace=False)
        lead = (len(TEXTS[a]) - len(TEXTS[b])) * (-1 if k % 4 == 0 else 1)
        rows.append(
            [
                f"u{k % 24}",
                "few" if k % 4 == 0 else "many",
                TEXTS[a],
                TEXTS[b],
                int(rng.random() < 1 / (1 + np.exp(-lead / 8))),
            ]
        )
    path = tmp_path_factory.mktemp("audit") / "data.csv"
    return write_csv(path, ["user", "group", "left", "right", "outcome"], rows)


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_the_numbers_are_those_of_the_audit(call, data, tmp_path):
    out = tmp_path / "audit"
    result = call("audit", data, "--out", out, "--bootstrap", 50, "--json")
    assert result.code == 0, result.err
    comparisons = pl.Comparisons.read(data)
    expected = audit_discretion(
        comparisons,
        factor_preferences(comparisons, read_principles("factors")),
        [human_verdicts(comparisons)],
        n_bootstrap=50,
    )
    found = result.document
    assert found["comparisons"] == 240
    assert [row["share"] for row in found["categories"]] == pytest.approx(expected.categories.shares.tolist())
    assert found["arbitrariness"]["annotators"][0]["arbitrariness"] == pytest.approx(expected.arbitrariness.value[0])
    weights = [row["weight"] for row in found["priority"][0]["principles"]]
    np.testing.assert_allclose(np.array(weights, dtype=float), expected.priority[0].weight, atol=1e-9)
    assert set(found["files"]) == {path.name for path in out.iterdir()}
    kept = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    assert kept["arbitrariness"] == found["arbitrariness"]
    assert kept["principle_set"]["name"] == "factors"
    assert pq.read_table(out / "principles.parquet").num_rows == 240 * 5
    assert "Which principle comes first" in (out / "report.html").read_text(encoding="utf-8")
    again = call("audit", data, "--out", out, "--bootstrap", 50, "--json")
    assert again.code == 0
    assert again.document == found


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_runs_groups_and_people_are_compared(call, data, tmp_path):
    run = tmp_path / "run"
    options = ["--encoder", "hash:32", "--groups", 2, "--ridge", 1, "--no-item-effects"]
    assert call("fit", data, *options, "--out", run).code == 0
    who = ["human", "human:groups", run, f"{run}:groups", f"{run}:users"]
    named = [part for name in who for part in ("--annotator", name)]
    result = call("audit", data, *named, "--bootstrap", 40)
    assert result.code == 0, result.err
    for text in ("human:many", "run:0", "against a consensus", "further from the smaller group", "Longer"):
        assert text in result.out
    document = call("audit", data, *named, "--bootstrap", 40, "--pooled", "human", "--json").document
    assert [groups["pooled"] for groups in document["between"]] == ["human", "human"]
    assert document["between"][0]["groups"][0]["group"] == "human:many"
    twice = call("audit", data, "--annotator", run, "--annotator", run, "--bootstrap", 0)
    assert twice.code == 2
    assert "Two annotators are called 'run'" in twice.err
    personal = call("audit", data, "--annotator", who[4], "--bootstrap", 0, "--json")
    rows = pl.Comparisons.read(data).embed("hash:32")
    model = pl.load(run)
    decided = int((np.abs(model.predict_proba(rows) - 0.5) > 1e-9).sum())
    assert personal.document["annotators"][0]["decided"] == decided


@pytest.fixture
def server(monkeypatch):
    fake = FakeOpenAI()
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    yield fake
    fake.close()


def prefers_longer(body):
    said = body["messages"][-1]["content"]
    a, b = (said.split(f"<response_{side}>\n")[1].split(f"\n</response_{side}>")[0] for side in "ab")
    if "harm" in said:
        return Say("NA", first={"NA": 0.9, "A": 0.05, "B": 0.05})
    return Say("A", first={"A": 0.8, "B": 0.1}) if len(a) >= len(b) else Say("B", first={"A": 0.1, "B": 0.8})


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_a_judge_decides_principles_resumes_and_is_capped(call, data, server, tmp_path):
    few = write_csv(tmp_path / "few.csv", ["user", "left", "right", "outcome"],
                    [["u", TEXTS[0], TEXTS[1], 1], ["v", TEXTS[2], TEXTS[3], 0]])  # fmt: skip
    server.reply = prefers_longer
    out = tmp_path / "judged"
    options = ["--principles", "helpful-honest-harmless", "--llm", server.url, "--llm-model", "judge", "--out", out,
               "--price", "1,2", "--annotator", "human", "--annotator", "judge", "--bootstrap", 20]  # fmt: skip
    capped = call("audit", few, *options, "--most-calls", 5)
    assert capped.code == 2
    assert "may use 5" in capped.err
    assert len(server.requests) == 5
    done = call("audit", few, *options, "--json")
    assert done.code == 0, done.err
    # two pairs in two orders: three principles, and the judge as an annotator
    assert len(server.requests) == 2 * 2 * 4
    found = done.document
    assert found["judge"]["calls"] == 16
    assert found["judge"]["cost"] == pytest.approx(16 * (7 + 2 * 3) / 1e6)
    assert found["oracle_swap"]["pairs"] == 2
    assert found["annotators"][1]["conflict"] == 0.0
    assert (out / "judge.jsonl").is_file()
    assert call("audit", few, *options).code == 0
    assert len(server.requests) == 16


def test_verdicts_of_principles_from_a_table(call, data, tmp_path):
    rng = np.random.default_rng(1)
    words = rng.choice(["left", "right", "NA"], (240, 3)).tolist()
    table = write_csv(tmp_path / "verdicts.csv", ["helpful", "honest", "harmless"], words)
    result = call(
        "audit", data, "--principles", "helpful-honest-harmless", "--verdicts", table, "--bootstrap", 20, "--json"
    )
    assert result.code == 0, result.err
    signs = np.array([[{"left": 1, "right": -1, "NA": 0}[word] for word in row] for row in words])
    conflict = ((signs > 0).any(axis=1) & (signs < 0).any(axis=1)).mean()
    assert result.document["categories"][1]["share"] == pytest.approx(conflict)
    broken = write_csv(tmp_path / "broken.csv", ["helpful", "honest", "harmless"], [*words[:-1], ["A", "left", "NA"]])
    failed = call("audit", data, "--principles", "helpful-honest-harmless", "--verdicts", broken)
    assert failed.code == 2
    assert "'A' is no verdict" in failed.err
    assert "row 240, column helpful" in failed.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--principles", "nothing"], "no file 'nothing'"),
        (["--principles", "human-rights"], "have to be judged"),
        (["--annotator", "nobody"], "no annotator 'nobody'"),
        (["--annotator", "human", "--annotator", "human"], "called 'human'"),
        (["--annotator", "judge"], "Nobody is named who could judge"),
        (["--annotator", "likelihood"], "local models alone"),
        (["--pooled", "judge"], "no annotator that stands for all"),
        (["--by", "people"], "by='people'"),
        (["--level", "2"], "level=2.0"),
        (["--threshold", "3"], "no probability"),
        (["--llm", "http://127.0.0.1:9/v1"], "Which model of that server?"),
        (["--llm-model", "a", "--local", "b"], "one judge"),
        (["--most-cost", "1", "--record", "r.jsonl"], "A cost needs prices"),
        (["--price", "cheap"], "no pair of prices"),
        (["--most-calls", "3"], "there is none"),
        (["--verdicts", "missing.csv"], "missing.csv"),
    ],
)
def test_what_cannot_work_is_one_message(call, data, options, says):
    result = call("audit", data, "--bootstrap", 0, *options)
    assert result.code == 2
    assert says in result.err
    assert result.out == ""
    assert "Traceback" not in result.err


def test_bad_data_and_folders_are_named(call, data, tmp_path):
    missing = call("audit", tmp_path / "nothing.csv")
    assert missing.code == 2
    assert "nothing.csv" in missing.err
    ids = write_csv(tmp_path / "ids.csv", ["left", "right", "outcome"], [[1, 2, 1], [2, 3, 0]])
    bare = call("audit", ids, "--user", "ann")
    assert bare.code == 2
    assert "counted in texts" in bare.err
    assert "ids.csv" in bare.err
    groupless = write_csv(tmp_path / "g.csv", ["user", "left", "right", "outcome"], [["u", "a b", "c", 1]])
    assert "no known groups" in call("audit", groupless, "--annotator", "human:groups").err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work", encoding="utf-8")
    foreign = call("audit", data, "--out", tmp_path / "other")
    assert foreign.code == 2
    assert "holds no audit" in foreign.err
    assert "is a file" in call("audit", data, "--out", ids).err
