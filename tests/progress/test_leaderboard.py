"""Comparisons of agents, and how they are shown."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.progress.agents import catalogue
from pluralism.progress.agents.agent import Estimator
from pluralism.progress.comparison import AgentComparison, run_agents
from pluralism.progress.leaderboard import (
    leaderboard_markdown,
    leaderboard_page,
    leaderboard_pictures,
    read_comparisons,
)
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.trajectory_table import TrajectoryTable


@pytest.fixture(scope="module")
def made() -> AgentComparison:
    return run_agents("Predict-v0", ["frozen", "persistence", "kalman"], seeds=20, dims=5, horizon=2)


def test_the_oracle_is_one_and_the_reference_none(made: AgentComparison) -> None:
    found = {each.agent: each for each in made.results}
    assert made.oracle == "kalman" and [each.agent for each in made.results] == ["kalman", "persistence", "frozen"]
    assert found["kalman"].score.value == 1.0 and found["frozen"].score.value == 0.0
    assert 0 < found["persistence"].score.low < found["persistence"].score.value < found["persistence"].score.high < 1
    assert found["persistence"].over_persistence.value == 0.0 == found["persistence"].measures["skill"].value
    assert found["kalman"].measures["coverage"].value == pytest.approx(0.9, abs=0.05)
    assert found["kalman"].measures["regret"].value == 0.0 < found["persistence"].measures["regret"].low
    assert "1 is kalman" in repr(made) and made.settings == {"dims": 5, "horizon": 2}
    assert set(made.to_frame().column_names) == {"agent", "measure", "value", "low", "high", "reason"}


@pytest.mark.parametrize("env", ["Follow-v0", "Predict-v0", "Coevolve-v0"])
def test_no_agent_beats_the_oracle_it_is_scored_beside(env: str) -> None:
    names = ["uniform", "persistence", "pooled", "lifelong", "damped_trend", "kalman", "history", "lead"]
    names.append("riccati" if env == "Coevolve-v0" else "state_oracle")
    made = run_agents(env, names, seeds=20, dims=40)
    for each in made.results:
        assert each.score.value <= 1.0 + 1e-9 or each.score.low < 1.0, each
    beside = {each.agent: each.oracle for each in made.results}
    assert beside["kalman"] != beside["lead"] and "scored beside" in leaderboard_markdown([made])


def test_recovery_is_told_where_the_jump_has_a_date() -> None:
    known = SimulatedDrift.preset("regime_shift", dims=20, shock=3.0, shock_period=4)
    quick, slow = (
        run_agents("Follow-v0", [name], process=known, seeds=5).results[0].measures["recovery"].value
        for name in ("persistence", "lifelong:rate=0.3")
    )
    assert quick == 0.0 < slow
    unknown = run_agents("Follow-v0", ["persistence"], process="regime_shift", dims=2, seeds=2)
    assert "recovery" not in unknown.results[0].measures


def test_it_survives_the_file(made: AgentComparison, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(made.to_json())
    read = read_comparisons(tmp_path)
    assert len(read) == 1 and read[0].to_dict() == made.to_dict()
    with pytest.raises(DataError, match="no comparisons"):
        read_comparisons(tmp_path / "nowhere")
    (tmp_path / "b.json").write_text('{"schema": "other"}')
    with pytest.raises(DataError, match="is no comparison"):
        read_comparisons(tmp_path)
    (tmp_path / "b.json").write_text(json.dumps(made.to_dict() | {"results": [{}]}))
    with pytest.raises(DataError, match="damaged"):
        read_comparisons(tmp_path)


def test_where_a_score_means_nothing_it_says_why() -> None:
    still = run_agents("Follow-v0", ["frozen", "persistence"], process="static", dims=3, survey_noise=0.0)
    for each in still.results:
        assert np.isnan(each.score.value) and "as good as the oracle" in each.score.reason
    assert "null" in still.to_json() and "As good as" not in repr(still)
    shifted = run_agents("Coevolve-v0", ["frozen"], process="regime_shift", dims=3, seeds=3)
    assert shifted.oracle == "" and "no oracle" in shifted.results[0].score.reason
    published = run_agents("Follow-v0", ["persistence"], metric="progressgym", dims=3, seeds=3)
    assert published.oracle == "clairvoyant" and 0 < published.results[0].score.value < 1
    one = run_agents("Follow-v0", ["persistence"], dims=3, seeds=1)
    assert np.isnan(one.results[0].score.low) and one.results[0].score.reason == ""


class Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_lets_nothing_in(made: AgentComparison) -> None:
    page = leaderboard_page([made], title="<b>Board</b> & more")
    checker = Checker()
    checker.feed(page)
    assert not checker.open and checker.seen.count("circle") == 3 and "script" not in checker.seen
    assert "&lt;b&gt;Board&lt;/b&gt; &amp; more" in page and "default-src &#39;none&#39;" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', page)]
    assert places == sorted(places)


def test_the_report_is_a_table(made: AgentComparison) -> None:
    text = leaderboard_markdown([made])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 5 and len({line.count("|") for line in rows}) == 1
    assert "| kalman |" in text and "20 histories" in text


def test_a_report_has_a_picture_for_each_table(made: AgentComparison) -> None:
    (picture,) = leaderboard_pictures([made])
    drawn = ElementTree.fromstring(picture)
    name = "{http://www.w3.org/2000/svg}"
    places = [float(each.get("cx")) for each in drawn.iter(f"{name}circle")]
    spans = [
        (float(each.get("x1")), float(each.get("x2")))
        for each in drawn.iter(f"{name}line")
        if each.get("class") == "span"
    ]
    assert len(places) == len(spans) == 3 and places == sorted(places)
    assert all(low <= place <= high for place, (low, high) in zip(places, spans, strict=True))
    assert [each.text for each in drawn.iter(f"{name}text") if each.get("text-anchor") == "end"] == [
        each.agent for each in made.results
    ]
    text = leaderboard_markdown([made], pictures=["a picture.svg"])
    assert "](<a picture.svg>)" in text


def test_a_measured_series_has_a_leaderboard() -> None:
    waves = np.cumsum(np.random.default_rng(0).normal(size=(10, 4)), axis=0) / 5
    table = TrajectoryTable.of_waves(range(10), list("abcd"), waves)
    found = run_agents("Predict-v0", ["persistence", "damped_trend"], process=table, seeds=2, survey_noise=0.0)
    assert found.oracle == "clairvoyant" and found.process == "TrajectoryTable"


def test_agents_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubter(Estimator):
        label = "doubter"

        def forecast(self, past, ahead):
            return past[:, -1] / 2

    class Point:
        def load(self):
            return Doubter

    monkeypatch.setattr(catalogue, "_outside", lambda: {"doubter": Point()})
    assert "doubter" in catalogue.agent_names()
    assert run_agents("Follow-v0", ["doubter"], dims=2, seeds=3).results[0].agent == "doubter"


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="list of names"):
        run_agents("Follow-v0", "frozen")
    with pytest.raises(UsageError, match="named twice"):
        run_agents("Follow-v0", ["frozen", "frozen"])
    with pytest.raises(UsageError, match="no environment"):
        run_agents("Wander-v0", ["frozen"])
    with pytest.raises(UsageError, match="no setting"):
        run_agents("Follow-v0", ["frozen"], colour=3)
