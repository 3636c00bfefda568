"""`pluralism graph`: from two files of cards and votes to a report, a page, a comparison, and a checked log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pytest
from interviews import begin, play

from pluralism.data import Comparisons
from pluralism.elicitation.interview import JsonlStore
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.simulation.people import simulate_people
from pluralism.elicitation.simulation.study import simulate_study

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cards.json, votes.csv and groups.csv of a simulated study."""
    folder = tmp_path_factory.mktemp("study")
    graph = simulate_study(simulate_people(40, 6, contexts=("When x", "When y"), n_cliques=2, rng=0), 6, rng=0)
    cards = [{"id": name, **card.to_dict()} for name, card in graph.cards.items()]
    (folder / "cards.json").write_text(json.dumps(cards))
    pc.write_csv(graph.votes.to_frame(), folder / "votes.csv")
    lines = [f"{name},{group}" for name, group in graph.groups.items()]
    (folder / "groups.csv").write_text("\n".join(["participant,group", *lines]) + "\n")
    return folder


@pytest.fixture
def built(call: Call, study: Path, tmp_path: Path) -> Path:
    out = tmp_path / "graph.json"
    made = call(
        "graph", "build", study / "cards.json", study / "votes.csv", "--groups", study / "groups.csv", "-o", out
    )
    assert made.code == 0, made.err
    return out


def test_build_says_what_it_built(call: Call, study: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "graph.parquet"
    made = call("graph", "build", study / "cards.json", study / "votes.csv", "--out", out, "--json")
    assert made.code == 0, made.err
    found = made.document
    assert (found["values"], found["votes"], found["participants"]) == (6, 240, 40)
    assert found["contexts"] == ["When x", "When y"] and len(found["head"]) == 64
    assert found["cards"]["findings"]  # simulated cards speak of "theme 3", which is a number
    assert MoralGraph.read(out).counted().counts.sum() == 240
    shown = call("graph", "build", study / "cards.json", study / "votes.csv", "--out", out)
    assert "MoralGraph(6 values" in shown.out and "head of the log" in shown.out


def test_report_ranks_and_writes_a_page(call: Call, built: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    found = call("graph", "report", built, "--bootstrap", 50, "--out", page, "--json")
    assert found.code == 0, found.err
    document = found.document
    assert document["ranking"]["rule"] == "bradley-terry" and len(document["ranking"]["values"]) == 6
    assert document["ranking"]["uncertainty"]["draws"] == 50
    assert {"shape", "feedback_arcs", "transitivity", "votes_needed"} <= document.keys()
    assert page.read_text().startswith("<!doctype html>")
    shown = call("graph", "report", built, "--rule", "reference", "--context", "When x", "--bootstrap", 20)
    assert shown.code == 0 and "P(top)" in shown.out
    again = call("graph", "report", built, "--bootstrap", 50, "--json")
    assert again.document["ranking"] == document["ranking"]


def test_diff_of_groups_moments_and_files(call: Call, built: Path, tmp_path: Path) -> None:
    groups = call("graph", "diff", built, "--groups", "clique 0, clique 1", "--bootstrap", 30, "--json")
    assert groups.code == 0 and len(groups.document["edges"]) > 10
    moments = call("graph", "diff", built, "--at", "2024-01-01T00:02:00", "--bootstrap", 30)
    assert moments.code == 0 and "GraphDifference" in moments.out
    same = call("graph", "diff", built, built, "--bootstrap", 10, "--json")
    assert same.document["overlap"] == pytest.approx(1)
    for arguments in ((), ("--groups", "a"), ("--at", "noon"), ("--groups", "a,b"), (built, "--at", "2024-01-01")):
        assert call("graph", "diff", built, *arguments).code == 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("g.parquet", None),
        ("g.graphml", None),
        ("g.gexf", None),
        ("g.dot", None),
        ("g.html", None),
        ("g.md", None),
        ("tables/", None),
        ("p.json", "published"),
        ("c.parquet", "comparisons"),
        ("principles.jsonl", "principles"),
        ("principles.json", "principles"),
    ],
)
def test_every_export(call: Call, built: Path, tmp_path: Path, name: str, kind: str | None) -> None:
    out = tmp_path / "out" / name
    chosen = ["--as", kind] if kind else []
    # the cards of simulated people are harmless; principles of one context
    where = ["--context", "When x"] if kind == "principles" else []
    made = call("graph", "export", built, "--out", out, *chosen, *where, "--bootstrap", 20, "--json")
    assert made.code == 0, made.err
    assert out.exists()
    if kind == "comparisons":
        assert len(Comparisons.read(out)) == 240
    elif kind == "principles" and name.endswith("l"):
        assert all(json.loads(line)["role"] == "system" for line in out.read_text().splitlines())
    elif name not in ("g.md", "principles.json"):
        again = call("graph", "report", out, "--bootstrap", 0, "--json")
        assert again.code == 0, again.err
        assert len(again.document["ranking"]["values"]) >= 4


def test_verify_finds_what_was_changed(call: Call, built: Path) -> None:
    fine = call("graph", "verify", built, "--json")
    assert fine.code == 0 and fine.document["ok"] and fine.document["votes"] == 240
    head = fine.document["head"]
    assert call("graph", "verify", built, "--head", head).code == 0
    assert call("graph", "verify", built, "--head", "0" * 64, "--json").document["since"] == 240
    document = json.loads(built.read_text())
    answers = document["votes"]["answer"]
    answers[6] = "no_upgrade" if answers[6] == "upgrade" else "upgrade"
    built.write_text(json.dumps(document))
    broken = call("graph", "verify", built)
    assert broken.code == 2 and "1 votes were changed" in broken.err and "votes 7" in broken.err
    assert "is broken: 1 votes changed" in call("graph", "report", built, "--bootstrap", 0).out
    assert call("graph", "verify", built, "--head", "f" * 64).code == 2
    assert call("graph", "verify", built, "--head", "xyz").code == 2


BAD_FILES = {
    "bytes.json": b"\xff\xfe\x00",
    "half.json": b'[{"id": "v0"',
    "empty.csv": b"",
    "no_wiser.csv": b"participant,source,answer\nx,v0,upgrade\n",
    "strangers.csv": b"participant,source,wiser,answer\nx,v0,v9,upgrade\n",
    "answers.csv": b"participant,source,wiser,answer\nx,v0,v1,perhaps\n",
    "no_title.json": b'[{"id": "v0", "policies": ["A"]}]',
    "published.json": b'{"values": [{"id": 1, "title": "A"}, {"id": 2, "title": "B"}], '
    b'"edges": [{"sourceValueId": 1, "wiserValueId": 2, "counts": 7}]}',
}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("build {s}/cards.json {s}/missing.csv -o {t}/g.json", "missing.csv"),
        ("build {s}/missing.json {s}/votes.csv -o {t}/g.json", "There is no such file"),
        ("build {s} {s}/votes.csv -o {t}/g.json", "are not understood"),
        ("build {s}/groups.csv {s}/votes.csv -o {t}/g.json", "groups.csv, card 1"),
        ("build {s}/cards.json {s}/groups.csv -o {t}/g.json", "The columns 'source', 'wiser', 'answer' are missing"),
        ("build {s}/cards.json {t}/no_wiser.csv -o {t}/g.json", "The column 'wiser' is missing"),
        ("build {s}/cards.json {t}/strangers.csv -o {t}/g.json", "without a card: 'v9'"),
        ("build {s}/cards.json {t}/strangers.csv -o {t}/g.json", "strangers.csv"),
        ("build {s}/cards.json {t}/answers.csv -o {t}/g.json", "row 1 (line 2 of the file): 'perhaps'"),
        ("build {s}/cards.json {t}/empty.csv -o {t}/g.json", "The file is empty"),
        ("build {t}/bytes.json {s}/votes.csv -o {t}/g.json", "not UTF-8"),
        ("build {t}/half.json {s}/votes.csv -o {t}/g.json", "not valid JSON"),
        ("build {t}/no_title.json {s}/votes.csv -o {t}/g.json", "no_title.json, card 1"),
        ("build {s}/cards.json {s}/votes.csv -o {t}/g.xlsx", "End it in .json or .parquet"),
        ("build {s}/cards.json {s}/votes.csv -o {t}/g.json --contradiction x", "latest, majority or abstain"),
        ("build {s}/cards.json {s}/votes.csv -o {t}/g.json --groups {s}/votes.csv", "lacks participant or group"),
        ("build {s}/cards.json {s}/votes.csv -o {t}/g.json --column participant=x", "There is no column 'x'"),
        ("report {t}/missing.json", "There is no such file"),
        ("report {t}/bytes.json", "not UTF-8"),
        ("report {t}/published.json", "Edge 1 has counts that are no object"),
        ("report {s}/votes.csv", "hold no moral graph"),
        ("report {b} --rule wisest", "bradley-terry"),
        ("report {b} --context When", "When x"),
        ("report {b} --out {t}/r.pdf", "End it in .html"),
        ("export {b} --out {b}", "would be overwritten"),
        ("export {b} --out {t}/x.json --as poem", "published, comparisons, principles"),
        ("export {b} --out {t}/x.csv --as published", "End it in one of .json"),
        ("export {b} --out {t}/x.zip", ".graphml, .gexf, .dot, .gv, .html"),
        ("diff {b} {t}/missing.json", "There is no such file"),
        ("diff {b} --groups nobody,else", "nobody"),
        ("verify {t}/missing.json", "There is no such file"),
        ("verify {s}/cards.json", "no moral graph"),
        ("nonsense", "No such command"),
        ("report", "Missing argument"),
    ],
)
def test_bad_use_is_one_message_and_code_2(
    call: Call, study: Path, built: Path, tmp_path: Path, arguments: str, said: str
) -> None:
    for name, content in BAD_FILES.items():
        (tmp_path / name).write_bytes(content)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = call("graph", *(word.format(s=study, t=tmp_path, b=built) for word in arguments.split()))
    assert done.code == 2 and done.out == ""
    assert said in done.err and "fix:" in done.err and "Traceback" not in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_cards_in_tables(call: Call, study: Path, tmp_path: Path) -> None:
    cards = json.loads((study / "cards.json").read_text())
    lines = [json.dumps({**card, "policies": json.dumps(card["policies"])}) for card in cards]
    (tmp_path / "cards.jsonl").write_text("\n".join(lines) + "\n")
    made = call("graph", "build", tmp_path / "cards.jsonl", study / "votes.csv", "-o", tmp_path / "g.json", "--json")
    assert made.code == 0 and made.document["values"] == 6
    (tmp_path / "cards.jsonl").write_text('{"id": "v0", "title": "A", "policies": "MOMENTS"}\n')
    bad = call("graph", "build", tmp_path / "cards.jsonl", study / "votes.csv", "-o", tmp_path / "g2.json")
    assert bad.code == 2 and "no JSON list" in bad.err and "card 1" in bad.err


def test_a_graph_of_interviews(call: Call, study: Path, tmp_path: Path) -> None:
    for name in ("ann", "bob", "cem", "dan"):
        interview = begin(JsonlStore(tmp_path / f"{name}.jsonl"), participant=name)
        play(interview, until="vote" if name == "cem" else None)
        if name == "dan":
            interview.withdraw()
    records = [part for name in ("ann", "bob", "cem", "dan") for part in ("--interview", tmp_path / f"{name}.jsonl")]
    out = tmp_path / "graph.json"
    made = call("graph", "build", *records, "--out", out, "--json")
    assert made.code == 0, made.err
    found = {name: [Path(path).stem for path in paths] for name, paths in made.document["interviews"].items()}
    assert found == {"counted": ["ann", "bob"], "not_done": ["cem"], "withdrawn": ["dan"]}
    graph = MoralGraph.read(out)
    assert set(graph.participants.to_pylist()) == {"ann", "bob"} and made.document["votes"] == len(graph.votes) == 8
    assert call("graph", "verify", out).code == 0
    shown = call("graph", "build", *records, "--partial", "--out", out)
    assert "3 interviews counted, 0 not done and 1 withdrawn" in " ".join(shown.out.split())
    more = call("graph", "build", study / "cards.json", study / "votes.csv", *records, "--out", out, "--json")
    assert more.document["votes"] == 240 + 8 and more.document["values"] > 6
    (tmp_path / "torn.jsonl").write_text("no event\n")
    for wrong, said in (
        (("--interview", tmp_path / "cem.jsonl"), "None of the interviews counts"),
        (("--interview", tmp_path / "nobody.jsonl"), "There is no such file"),
        (("--interview", tmp_path / "torn.jsonl"), "torn.jsonl"),
        ((), "no votes to build a graph of"),
    ):
        bad = call("graph", "build", *wrong, "--out", tmp_path / "new.json")
        assert bad.code == 2 and said in bad.err and not (tmp_path / "new.json").exists()


def test_hostile_titles_do_not_steer_the_terminal(call: Call, tmp_path: Path) -> None:
    cards = [{"id": i, "title": f"\x1b[31mred {i}\u202e", "policies": ["MOMENTS [bold]x[/bold]"]} for i in "ab"]
    (tmp_path / "cards.json").write_text(json.dumps(cards))
    (tmp_path / "votes.csv").write_text("participant,source,wiser,answer\nx,a,b,upgrade\ny,a,b,upgrade\n")
    out = tmp_path / "g.json"
    built = call("graph", "build", tmp_path / "cards.json", tmp_path / "votes.csv", "-o", out)
    shown = call("graph", "report", out, "--bootstrap", 10)
    assert built.code == shown.code == 0
    assert "\x1b" not in built.out + shown.out and "\u202e" not in built.out + shown.out
