"""A comparison that was killed goes on where it was, and never with runs of another task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.progress import comparison
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents import catalogue
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.comparison import run_agents
from pluralism.progress.kept_runs import KeptRuns
from pluralism.progress.task import Task
from pluralism.progress.task_settings import task_of

AGENTS = ["persistence", "damped_trend", "kalman"]


@pytest.mark.parametrize("kind", ["predict", "coevolve"])
@pytest.mark.parametrize("metric", ["v2", "progressgym"])
def test_a_run_comes_back_bit_for_bit(kind: str, metric: str, tmp_path: Path) -> None:
    task = task_of(kind, dims=3, metric=metric, n_votes=2)
    kept = KeptRuns(tmp_path, task, range(4))
    run = run_agent(task, make_agent("kalman"), range(4), name="kalman")
    kept.put(run)
    found = KeptRuns(tmp_path, task_of(kind, dims=3, metric=metric, n_votes=2), range(4)).get("kalman")
    assert found is not None and repr(found) == repr(run)
    for name in ("loss", "reward", "values", "target", "people", "twin", "mean", "groups", "score", "deviation"):
        np.testing.assert_array_equal(getattr(found, name), getattr(run, name))
    assert found.parts.keys() == run.parts.keys() and (found.n_answers, found.seconds) == (run.n_answers, run.seconds)
    others = [replace(task, survey_noise=0.2), task_of(kind, dims=3, metric=metric, n_votes=3)]
    assert all(KeptRuns(tmp_path, other, range(4)).get("kalman") is None for other in others)
    assert KeptRuns(tmp_path, task, range(5)).get("kalman") is None and kept.get("lqg") is None


def test_a_killed_comparison_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    whole = run_agents("Predict-v0", AGENTS, seeds=5, dims=3)

    def watched(task: Task, agent, seeds, *, name: str):
        ran.append(name)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return run_agent(task, agent, seeds, name=name)

    monkeypatch.setattr(comparison, "run_agent", watched)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_agents("Predict-v0", AGENTS, seeds=5, dims=3, checkpoint=tmp_path / "kept", progress=told.append)
    assert ran == told == AGENTS and len(list((tmp_path / "kept").iterdir())) == 2
    # A file that the kill, or somebody else, left damaged counts for nothing.
    next((tmp_path / "kept").iterdir()).write_bytes(b"no")
    made = run_agents("Predict-v0", AGENTS, seeds=5, dims=3, checkpoint=tmp_path / "kept")
    assert len(ran) == 3 + 3 and not list((tmp_path / "kept").iterdir())
    assert [each.score for each in made.results] == [each.score for each in whole.results]


class Broken:
    value = "nowhere:Agent"

    def __init__(self, made: object) -> None:
        self.made = made

    def load(self):
        if isinstance(self.made, Exception):
            raise self.made
        return lambda **settings: self.made


def test_packages_that_register_nonsense_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"gone": Broken(ModuleNotFoundError("No module named 'nowhere'")), "number": Broken(3)}
    monkeypatch.setattr(catalogue, "_outside", lambda: points)
    with pytest.raises(UsageError, match="cannot be loaded: No module named 'nowhere'"):
        make_agent("gone")
    with pytest.raises(UsageError, match="makes int, which is no agent"):
        make_agent("number")
    from pluralism.progress import task_settings

    processes = {**points, "text": Broken("static"), "still": Broken(task_of("follow", "static", dims=2).process)}
    monkeypatch.setattr(task_settings, "_outside_processes", lambda: processes)
    for name, match in (("gone", "cannot be made"), ("number", "int is no value process"), ("text", "gives a text")):
        with pytest.raises(UsageError, match=match):
            task_of("follow", name)
    assert task_of("follow", "still").dims == 2


@pytest.mark.parametrize("seeds", [0, [], [-1], [0.5], 2.5, ["a"]])
def test_seeds_that_are_none_are_refused(seeds: Any) -> None:
    with pytest.raises(UsageError, match="Seeds must be whole numbers"):
        run_agents("Follow-v0", ["persistence"], seeds=seeds, dims=2)
