"""`pluralism audit`: what it prints and writes is what the audit says; what cannot be audited is one message."""

from __future__ import annotations

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_openai import FakeOpenAI, Say

import pluralism as pl
from pluralism.discretion import (
    audit_discretion,
    explain_verdicts,
    factor_preferences,
    group_verdicts,
    human_verdicts,
    read_principles,
)
from pluralism.elicitation import MoralGraph, ValuesCard

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


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_reasons_are_printed_and_written(call, data, tmp_path):
    out = tmp_path / "why"
    options = ["--annotator", "human", "--annotator", "human:groups", "--bootstrap", 30, "--why"]
    found = call("audit", data, *options, "--out", out, "--scenario", "group", "--json")
    assert found.code == 0, found.err
    comparisons = pl.Comparisons.read(data)
    people = [human_verdicts(comparisons), *group_verdicts(comparisons)]
    groups = [str(comparisons.groups[code]) for code in comparisons.group]
    expected = explain_verdicts(comparisons, people, scenario=groups, n_bootstrap=30)
    why = found.document["why"]
    assert why["factors"] == expected.to_dict()["factors"]
    assert why["agreement"][0]["annotators"] == ["human", "human:few"]
    assert {row["level"] for row in why["weights"]["levels"]} == {"judge", "scenario"}
    assert json.loads((out / "audit.json").read_text(encoding="utf-8"))["why"] == why
    assert 'id="why"' in (out / "report.html").read_text(encoding="utf-8")
    assert {"reasons.csv", "weights.csv"} <= {path.name for path in out.iterdir()}
    without = call("audit", data, "--bootstrap", 0, "--out", out, "--json")
    assert without.document["why"] is None
    assert {path.name for path in out.iterdir()} == set(without.document["files"])
    printed = call("audit", data, *options, "--factor", "length", "--ties", "none")
    assert printed.code == 0, printed.err
    assert "factors of human and human:few: correlation" in printed.out
    assert "readability" not in printed.out


def test_too_many_scenarios_are_refused_before_anything_is_done(call, tmp_path):
    rows = [["u", f"s{k}", TEXTS[k % 7], TEXTS[8 + k % 5], k % 2] for k in range(500)]
    named = write_csv(tmp_path / "many.csv", ["user", "source", "left", "right", "outcome"], rows)
    found = call("audit", named, "--why", "--scenario", "source", "--bootstrap", 10)
    assert found.code == 2
    assert "500 scenarios are too many for 5 factors" in found.err
    assert "at most 409" in found.err


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_groups_with_colons_in_their_names_are_groups_of_the_same_people(call, tmp_path):
    rows = [["u", f"a:{k % 2}", TEXTS[k % 7], TEXTS[8 + k % 5], k % 3 % 2] for k in range(60)]
    named = write_csv(tmp_path / "colons.csv", ["user", "group", "left", "right", "outcome"], rows)
    found = call("audit", named, "--annotator", "human:groups", "--bootstrap", 10, "--json")
    assert found.code == 0, found.err
    (between,) = found.document["between"]
    assert {row["group"] for row in between["groups"]} == {"human:a:0", "human:a:1"}


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_values_of_a_moral_graph_are_principles_and_their_order_is_held_against(call, data, tmp_path):
    names = ("candour", "tact", "care")
    cards = {name: ValuesCard(name.title(), "", [f"MOMENTS of {name}"]) for name in names}
    votes = [
        {"participant": f"p{p}", "source": source, "wiser": wiser, "answer": "upgrade"}
        for p in range(6)
        for source, wiser in (("tact", "candour"), ("care", "tact"))
    ]
    graph = tmp_path / "graph.json"
    MoralGraph(cards).with_votes(votes).write(graph)
    rng = np.random.default_rng(2)
    outcome = pl.Comparisons.read(data).outcome
    # people follow candour against tact, and tact against care
    side = np.where(outcome > 0.5, 1, -1)
    third = rng.integers(0, 3, 240)
    signs = np.zeros((240, 3), dtype=int)
    for k, (winner, loser) in enumerate(((0, 1), (1, 2), (0, 2))):
        rows = third == k
        signs[rows, winner], signs[rows, loser] = side[rows], -side[rows]
    table = write_csv(tmp_path / "v.csv", names, signs.tolist())
    options = ["--graph", graph, "--verdicts", table, "--bootstrap", 40]
    out = tmp_path / "out"
    found = call("audit", data, *options, "--out", out, "--json")
    assert found.code == 0, found.err
    elicited = found.document["graph"]
    assert elicited["values"] == list(names)
    assert elicited["annotators"][0]["discrepancy"] == 0.0
    assert "Against the order that people elicited" in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "graph.csv").is_file()
    assert "discrepancy to the graph" in call("audit", data, *options).out
    both = call("audit", data, *options, "--principles", "factors")
    assert both.code == 2
    assert "values of a graph are the principles" in both.err


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
    assert found["own_judges"] == ["openai:judge"]
    assert "agrees with itself" in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "judge.jsonl").is_file()
    again = call("audit", few, *options)
    assert again.code == 0
    assert "openai:judge judged the principles as well" in " ".join(again.out.split())
    assert len(server.requests) == 16


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_another_model_of_the_server_is_an_annotator_and_shares_the_budget(call, server, tmp_path):
    few = write_csv(tmp_path / "few.csv", ["user", "left", "right", "outcome"],
                    [["u", TEXTS[0], TEXTS[1], 1], ["v", TEXTS[2], TEXTS[3], 0]])  # fmt: skip

    def shortest(body):
        said = prefers_longer(body)
        return said if body["model"] == "one" else Say("A", first={"A": 0.2, "B": 0.7})

    server.reply = shortest
    options = ["--principles", "helpful-honest-harmless", "--llm", server.url, "--llm-model", "one",
               "--record", tmp_path / "r.jsonl", "--annotator", "judge", "--annotator", "judge:two",
               "--bootstrap", 0]  # fmt: skip
    capped = call("audit", few, *options, "--most-calls", 17)
    assert capped.code == 2
    assert "openai:two has used 17 calls" in capped.err
    done = call("audit", few, *options, "--json")
    assert done.code == 0, done.err
    found = done.document
    assert [row["name"] for row in found["annotators"]] == ["openai:one", "openai:two"]
    assert found["annotators"][1]["conflict"] == 1.0
    assert found["own_judges"] == ["openai:one"]
    assert found["judge"]["name"] == "openai:one, openai:two"
    assert found["judge"]["calls"] == len(server.requests) == 2 * 2 * 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
def test_models_of_this_machine_judge_decide_by_likelihood_and_by_reward(call, tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch
    from tiny_chat import save_tiny_chat

    chat = save_tiny_chat(tmp_path / "chat")
    reward = tmp_path / "reward"
    transformers.AutoTokenizer.from_pretrained(chat).save_pretrained(reward)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.AutoConfig.from_pretrained(chat, num_labels=1)
        transformers.LlamaForSequenceClassification(config).save_pretrained(reward)
    rows = [["u", "May I?", TEXTS[k], TEXTS[k + 1], k % 2] for k in range(4)]
    few = write_csv(tmp_path / "few.csv", ["user", "prompt", "left", "right", "outcome"], rows)
    record = tmp_path / "r.jsonl"
    options = ["--principles", "helpful-honest-harmless", "--local", chat, "--record", record, "--bootstrap", 0]
    who = ["human", "judge", "likelihood", f"reward:{reward}"]
    done = call("audit", few, *options, *[part for name in who for part in ("--annotator", name)], "--json")
    assert done.code == 0, done.err
    names = [row["name"] for row in done.document["annotators"]]
    assert names[0] == "human"
    assert names[2:] == ["likelihood", "reward"]
    assert done.document["own_judges"] == [names[1]]
    assert [row["decided"] for row in done.document["annotators"]][2:] == [4, 4]
    # four pairs, two orders, three principles and the general question
    assert done.document["judge"]["calls"] == 4 * 2 * 4


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
        (["--annotator", "judge:b"], "no server is named"),
        (["--annotator", "likelihood"], "local models alone"),
        (["--pooled", "judge"], "no annotator that stands for all"),
        (["--by", "people"], "by='people'"),
        (["--level", "2"], "level=2.0"),
        (["--threshold", "3"], "no probability"),
        (["--llm", "http://127.0.0.1:9/v1"], "Which model of that server?"),
        (["--llm-model", "a", "--local", "b"], "one judge"),
        (["--most-cost", "1", "--record", "r.jsonl"], "A cost needs prices"),
        (["--price", "cheap"], "no pair of prices"),
        (["--price", "nan,1"], "no pair of prices"),
        (["--price", "1,1", "--most-cost", "nan", "--record", "r.jsonl"], "greater than or equal to 0"),
        (["--factor", "length"], "Reasons are not asked for"),
        (["--why", "--factor", "wit"], "no factor 'wit'"),
        (["--why", "--ties", "all"], "no way to count ties"),
        (["--why", "--scenario", "weather"], "no scenario"),
        (["--why", "--scenario", "source"], "have no source"),
        (["--graph", "missing.json"], "missing.json"),
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
