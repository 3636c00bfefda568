"""The page about conditioning says what the experiment found, and lets nothing run that a model wrote."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import plain_conditioners as plain
import pytest

from pluralism.errors import UsageError
from pluralism.reports import CrossDisplay, KLGainDisplay, build_conditioning_report
from pluralism.reports.conditioning import p_text, policy_rows

NAMES = ["brief", "warm", "near"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return plain.run(tmp_path_factory.mktemp("page") / "out")


@pytest.fixture(scope="module")
def report(found):
    return build_conditioning_report(
        found, groups=NAMES, settings={"adapters": "dpo"}, command="pluralism condition RUN"
    )


def test_the_summary_says_who_prefers_what(found, report):
    said = report.content["summary"]
    assert said["headline"] == "Every group prefers what best of 4 made for it"
    test = found.scores.diagonal("leaning")
    assert f"{100 * test.statistic:.1f} points" in said["sentences"][1]
    assert "best of 2 methods, so it asks p < 0.0050 of a group" in said["sentences"][0]
    assert "3 of 3 groups do so at p < 0.01" in said["sentences"][1]
    assert any(line.startswith("Single policies for all: single (") for line in said["sentences"])
    assert said["sentences"][-1] == "Judged by counting words."
    assert [figure["words"] for figure in said["figures"]][-1] == "prompts that no method learnt from"


def test_tables_hold_the_numbers(found, report):
    scores = found.scores
    leaning = report.content["methods"][0]
    assert leaning["name"] == "leaning"
    assert leaning["rows"][1]["own"] == pytest.approx(scores.win_rate[1, 1])
    assert leaning["rows"][1]["least"] == pytest.approx(min(scores.between[1, 1, [0, 2]]))
    assert leaning["test"]["exact"] is True
    rows = {row["name"]: row for row in policy_rows(found, NAMES)}
    assert [cell["value"] for cell in rows["single"]["cells"]] == pytest.approx(scores.win_rate[:, -1].tolist())
    assert rows["leaning"]["worst"] == pytest.approx(np.diag(scores.win_rate[:, :3]).min())
    assert rows["leaning"]["mean"] == pytest.approx(scores.shares @ np.diag(scores.win_rate[:, :3]))
    assert not rows["leaning"]["single"]
    conditions = report.content["conditions"]
    assert len(conditions) == 1 + len(scores.conditions)
    assert conditions[1]["kl"] == pytest.approx(found.facts[1].kl.value)
    assert conditions[4]["kl_bound"] == pytest.approx(np.log(4) - 0.75)
    assert report.content["between"][2]["rows"][0][1]["value"] == pytest.approx(scores.between[2, 0, 1])
    example = report.content["examples"][0]
    assert example["prompt"] == plain.PROMPTS[0]
    assert [block["method"] for block in example["methods"]] == ["leaning", "best of 4", "one for everybody"]
    assert [card["name"] for card in example["methods"][2]["cards"]] == ["reference", "single"]
    assert example["methods"][0]["cards"][2]["text"] == found.responses["leaning/c"].of_prompt(0)[0]


def test_the_page_is_whole_and_the_same_each_time(report):
    page = report.to_html()
    assert page == report.to_html()
    for text in ("Who prefers what", "Who gains, who loses", "How far it goes", "pluralism condition RUN", "dpo"):
        assert text in page
    assert page.count("<svg") == 4
    assert json.loads(report.to_json())["settings"]["judge"] == "counting words"


def test_what_a_model_writes_is_escaped(found):
    attack = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    responses = {name: replace(one, texts=tuple(attack for _ in one.texts)) for name, one in found.responses.items()}
    prompts = (attack, *found.prompts[1:])
    page = build_conditioning_report(
        replace(found, responses=responses, prompts=prompts), groups=[attack, "b", "c"], title=attack
    ).to_html()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_displays_draw_their_numbers(found):
    cross = CrossDisplay.from_scores(found.scores, "leaning", groups=NAMES)
    drawn = [text.get_text() for text in cross.plot().ax_.texts]
    assert drawn == [f"{value:.2f}" for value in found.scores.win_rate[:, :3].ravel()]
    assert cross.conditions == ["for brief", "for warm", "for near"]
    assert f"brief: for brief {found.scores.win_rate[0, 0]:.2f}" in cross.describe()
    with pytest.raises(UsageError, match="do not fit"):
        CrossDisplay(["a"], ["x", "y"], np.zeros((2, 2)), np.array([0, 1]))
    against = KLGainDisplay.from_experiment(found, groups=NAMES)
    assert len(against.rows) == 7
    assert against.rows[0][1] == found.facts[1].kl.value
    assert "at most 0.64 nats" in against.describe()
    unknown = replace(found, facts=tuple(replace(one, kl=None, kl_bound=None) for one in found.facts))
    assert KLGainDisplay.from_experiment(unknown).plot().describe() == "The KL of no condition is known."


def test_p_values_in_words():
    assert [p_text(p) for p in (0.5, 0.0123, 0.00049, 3e-7, 0.0)] == ["0.500", "0.012", "< 0.001", "< 1e−6", "< 1e−99"]


def test_where_conditioning_fails_the_page_says_so(tmp_path):
    found = plain.run(tmp_path / "out", conditioners=[plain.Leaning(0.0)])
    said = build_conditioning_report(found).content["summary"]
    assert said["headline"] == "No group is shown to prefer what was made for it"


@pytest.mark.parametrize(
    ("group_p", "tested", "headline"),
    [
        ([1e-4, 0.2, 0.9], 1, "1 of 3 groups prefers what was made for it"),
        ([1e-4, 0.006, 0.9], 1, "2 of 3 groups prefer what was made for them"),
        # of two methods the better one is chosen by its test, so that each p counts twice
        ([1e-4, 0.006, 0.9], 2, "1 of 3 groups prefers what leaning made for it"),
    ],
)
def test_the_headline_counts_groups_that_are_sure(found, group_p, tested, headline):
    first = replace(found.scores.diagonal("leaning"), group_p=np.array(group_p))
    best = replace(found.scores.diagonal("best of 4"), statistic=-1.0)
    scores = replace(found.scores, diagonals=(first, best)[:tested])
    assert build_conditioning_report(replace(found, scores=scores)).content["summary"]["headline"] == headline


def test_conditions_that_are_far_leave_room_for_those_that_are_near(found):
    far = replace(found.facts[1], kl=replace(found.facts[1].kl, value=60.0))
    display = KLGainDisplay.from_experiment(replace(found, facts=(found.facts[0], far, *found.facts[2:]))).plot()
    assert display.ax_.get_xscale() == "symlog"
    assert display.ax_.get_xlim()[0] <= 0
    assert KLGainDisplay.from_experiment(found).plot().ax_.get_xscale() == "linear"


def test_without_draws_there_are_no_intervals(tmp_path):
    report = build_conditioning_report(plain.run(tmp_path / "out", conditioners=[plain.Leaning()], bootstrap=0))
    assert re.search(r"points \(p [<0]", report.content["summary"]["sentences"][0])
    assert "– to –" not in report.to_html()


def test_the_page_says_when_there_is_no_kl(found):
    page = build_conditioning_report(found).to_html()
    assert "At another temperature than 1" in page
    assert "all permutations counted" in page
