"""The page about discretion says what the audit says; its figures hold the numbers they draw."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.data import Comparisons, Items
from pluralism.discretion import (
    PrinciplePreferences,
    Verdicts,
    audit_discretion,
    between_groups,
    explain_verdicts,
    graph_discrepancy,
    read_principles,
)
from pluralism.elicitation import MoralGraph, ValuesCard, aggregate
from pluralism.errors import UsageError
from pluralism.reports import PriorityDisplay, TournamentDisplay, build_discretion_report


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    n = 300
    items = Items(
        [f"i{k}" for k in range(40)], texts=[f"text {k}{' indeed' * (k % 3)}" for k in range(40)], prompts=["Why?"] * 40
    )
    left = rng.integers(0, 40, n)
    data = Comparisons.from_arrays(left=left, right=(left + rng.integers(1, 40, n)) % 40, items=items)
    principles = read_principles("helpful-honest-harmless")
    signs = rng.choice([-1, 0, 1], (n, 3))
    weights = np.array([1.5, 0.0, -1.5])
    many = (rng.random(n) < 1 / (1 + np.exp(-signs @ weights))).astype(float)
    few = (rng.random(n) < 1 / (1 + np.exp(signs @ weights))).astype(float)
    people = [Verdicts("run", many), Verdicts("run:0", many, share=0.7), Verdicts("run:1", few, share=0.3)]
    found = PrinciplePreferences.from_signs(principles.ids, signs)
    audit = audit_discretion(data, found, people, n_bootstrap=100)
    return audit, data, principles, between_groups(audit, ["run:0", "run:1"], pooled="run")


def test_the_page_holds_the_numbers_of_the_audit(made):
    audit, data, principles, between = made
    report = build_discretion_report(audit, data, principles=principles, between=[between], command="pluralism audit x")
    page = report.to_html()
    assert report.to_html() == page
    said = report.content["summary"]
    share = audit.categories.shares[1:].sum()
    assert said["headline"] == f"Principles leave {share:.0%} of 300 comparisons to discretion".replace("%", "\u00a0%")
    assert "In conflicts run puts Helpful first and Harmless last." in said["sentences"]
    assert between.answer in said["sentences"]
    for row, value in zip(report.content["annotators"], audit.arbitrariness.value, strict=True):
        assert row["arbitrariness"] == pytest.approx(value)
    first = report.content["supremacy"][0]
    assert first["titles"] == ["Helpful", "Honest", "Harmless"]
    assert first["rows"][0][1]["value"] == pytest.approx(audit.supremacy[0].probability[0, 1])
    assert first["rows"][0][0] is None
    assert len(report.content["most"]) == 10
    listed = report.content["most"][0]
    assert listed["consensus"]
    assert listed["prompt"] == "Why?"
    for text in ("Honest", "pluralism audit x", "Why?", "text ", "run:1"):
        assert text in page
    assert json.loads(report.to_json())["settings"]["draws"] == 100


def test_the_page_says_why_and_what_people_elicited(made):
    audit, data, _, _ = made
    reasons = explain_verdicts(data, audit.annotators, n_bootstrap=50, factors=["repetition", "length"])
    cards = {name: ValuesCard(name, "", [f"MOMENTS of {name}"]) for name in audit.principles}
    votes = [{"participant": f"p{p}", "source": "harmless", "wiser": "helpful", "answer": "upgrade"} for p in range(5)]
    elicited = graph_discrepancy(audit, aggregate(MoralGraph(cards).with_votes(votes)))
    report = build_discretion_report(audit, data, reasons=reasons, elicited=elicited)
    page = report.to_html()
    assert 'id="why"' in page
    assert "run · run:1" in page
    # no text repeats itself
    assert [row["factor"] for row in report.content["why"]["factors"]] == ["repetition", "length"]
    assert report.content["why"]["factors"][0]["common"] is None
    weight = reasons.weights_of("run:1")[0][1]
    assert report.content["why"]["factors"][1]["values"][2]["weight"] == pytest.approx(weight)
    assert 'id="elicited"' in page
    assert report.content["elicited"]["annotators"][0]["discrepancy"] == 0.0
    plain = build_discretion_report(audit, data).to_html()
    assert 'id="why"' not in plain
    assert 'id="elicited"' not in plain
    other = explain_verdicts(data, audit.annotators[:1], n_bootstrap=0, factors=["length"])
    with pytest.raises(UsageError, match="not of the audit's annotators"):
        build_discretion_report(audit, data, reasons=other)


def test_without_titles_and_texts_there_are_ids(made):
    audit, data, _, _ = made
    bare = Comparisons.from_arrays(left=data.left, right=data.right)
    report = build_discretion_report(audit, bare, examples=2)
    assert "helpful" in report.to_html()
    assert report.content["most"][0]["sides"][0]["text"] is None
    with pytest.raises(UsageError, match="not those of the audit"):
        build_discretion_report(audit, bare.take(slice(0, 3)))
    with pytest.raises(UsageError, match="principles are not those"):
        build_discretion_report(audit, bare, principles=read_principles("factors"))


def test_displays_hold_the_numbers_they_draw(made):
    audit, *_ = made
    display = PriorityDisplay.from_audit(audit)
    drawn = display.plot()
    marks = [line for line in drawn.ax_.get_lines() if line.get_linestyle() == "None"]
    np.testing.assert_allclose(marks[0].get_xdata(), np.sort(audit.priority[0].weight)[::-1])
    assert "run: helpful +" in display.describe()
    with pytest.raises(UsageError, match="do not fit"):
        PriorityDisplay(["p"], ["a"], np.zeros((2, 1)), np.zeros((2, 1, 2)))
    tournament = TournamentDisplay.from_supremacy(audit.supremacy[0], titles=["H", "T", "S"])
    assert "H over S in" in tournament.describe()
    assert len(tournament.plot().ax_.texts) >= 3
    quiet = Verdicts("quiet", np.full(len(audit.preferences), np.nan))
    data = made[1]
    with pytest.warns(match="met no other principle"):
        silent = audit_discretion(data, audit.preferences, [quiet], n_bootstrap=0)
    assert TournamentDisplay.from_supremacy(silent.supremacy[0]).describe() == "No principle beats another."
    page = build_discretion_report(silent, data).to_html()
    assert "Never in a conflict that was decided" in page
    assert "No verdict overrides a principle." in page
    assert "By how many principles" not in page
    assert "By how many principles" in build_discretion_report(audit, data).to_html()


def test_shades_tell_half_from_all(made):
    audit, data, *_ = made
    signs = np.tile([[1, 0, 1], [0, 1, 1]], (40, 1))
    # half of the verdicts on the first principle, all on the second
    verdict = np.tile([1, 0, 0, 0], 20)
    found = PrinciplePreferences.from_signs(audit.principles, signs)
    with pytest.warns(match="met no other principle"):
        broken = audit_discretion(data.take(slice(0, 80)), found, [Verdicts("v", verdict)], n_bootstrap=0)
    report = build_discretion_report(broken, data.take(slice(0, 80)))
    half, all_of_them, _ = (row["values"][0] for row in report.content["by_principle"])
    assert (half["value"], all_of_them["value"]) == (0.5, 1.0)
    assert all_of_them["shade"] < half["shade"] < 0
