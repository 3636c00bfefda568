"""`pluralism progress`: runs, tables, pages, and what is refused."""

from __future__ import annotations

import numpy as np


def test_agents_run_and_stand_on_a_leaderboard(call, tmp_path):
    folder, page, report = tmp_path / "board", tmp_path / "page.html", tmp_path / "board.md"
    common = ["--seeds", "5", "--set", "dims=4", "--out", folder, "--json"]
    first = call(
        "progress", "run", "--env", "Predict-v0", "--agent", "persistence,kalman", "--set", "horizon=2", *common
    )
    assert first.code == 0 and first.document["oracle"] == "kalman" and first.document["settings"]["horizon"] == 2
    assert [row["agent"] for row in first.document["results"]] == ["kalman", "persistence"]
    second = call("progress", "run", "--env", "Coevolve-v0", "--agent", "lqg,lead,extrapolative:order=2", *common)
    assert second.code == 0 and len(list(folder.glob("*.json"))) == 2
    board = call("progress", "leaderboard", folder, "--out", page)
    assert board.code == 0 and "Coevolve-v0, damped_trend: 5 histories" in board.out and "extrapolative" in board.out
    assert page.read_text().startswith("<!doctype html>")
    assert call("progress", "leaderboard", folder, "--out", report, "--json").document["out"] == str(report)
    assert report.read_text().startswith("# Values over time") and "](<board-2.svg>)" in report.read_text()
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["board-1.svg", "board-2.svg"]
    again = call(
        "progress", "run", "--env", "Predict-v0", "--agent", "persistence,kalman", "--set", "horizon=2", *common
    )
    assert len(list(folder.glob("*.json"))) == 2
    assert again.document["results"][0]["score"] == first.document["results"][0]["score"]


def test_a_killed_run_goes_on(call, tmp_path, monkeypatch):
    from pluralism.progress import comparison
    from pluralism.progress.agent_run import run_agent

    ran = []

    def watched(task, agent, seeds, *, name):
        ran.append(name)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return run_agent(task, agent, seeds, name=name)

    monkeypatch.setattr(comparison, "run_agent", watched)
    command = ["progress", "run", "--agent", "pooled,lifelong", "--seeds", "3", "--set", "dims=2", "--out", tmp_path]
    assert call(*command, "--json").code != 0
    assert not list(tmp_path.glob("*.json")) and len(list(tmp_path.glob(".unfinished/*/*"))) == 1
    result = call(*command, "--json")
    assert result.code == 0 and len(list(tmp_path.glob("*.json"))) == 1 and not (tmp_path / ".unfinished").exists()
    # pooled was kept; what was interrupted, the reference, persistence and the oracle ran.
    assert ran == ["pooled", "lifelong", "lifelong", "frozen", "persistence", "kalman"]


def test_elections_and_questions_in_words_are_settings(call):
    panel = ["--set", "survey_noise=none", "--set", "n_votes=6", "--set", "voters=panel", "--set", "items=worded"]
    sizes = ["--seeds", "1", "--set", "dims=4", "--set", "n_periods=3", "--json"]
    result = call("progress", "run", "--agent", "low_rank_vote:rule=schulze;weights=free", *panel, *sizes)
    assert result.code == 0 and result.document["settings"]["voters"] == "panel"


def test_a_table_is_a_process(call, tmp_path):
    path = tmp_path / "series.csv"
    rng = np.random.default_rng(0)
    rows = [
        f"{year},{name},{value:.3f}"
        for year in range(2000, 2008)
        for name, value in zip("ab", rng.normal(size=2), strict=True)
    ]
    path.write_text("\n".join(["time,dim,value", *rows]))
    result = call("progress", "run", "--process", path, "--agent", "persistence,pooled", "--seeds", "2", "--json")
    assert (
        result.code == 0 and result.document["process"] == "series.csv" and result.document["oracle"] == "clairvoyant"
    )


def test_mistakes_are_told_without_a_traceback(call, tmp_path):
    for arguments, said in (
        (["run", "--env", "Wander-v0"], "no environment"),
        (["run", "--agent", "nobody"], "no agent 'nobody'"),
        (["run", "--agent", "extrapolative:order=-1"], "order must"),
        (["run", "--set", "colour=3"], "no setting 'colour'"),
        (["run", "--set", "seeds=3"], "option of its own"),
        (["run", "--set", "horizon=two"], "horizon must be a whole number"),
        (["run", "--set", "dims=2.5"], "dims must be a whole number"),
        (["run", "--set", "survey_noise=much"], "survey_noise must be a finite number"),
        (["run", "--set", "survey_noise=none"], "Nobody is asked anything"),
        (["run", "--set", "epochs=[1]"], "epochs must be two numbers"),
        (["run", "--set", "items=3"], "items must be an ItemBank"),
        (["run", "--set", "items=few"], "no items 'few'"),
        (["run", "--set", "checkpoint=x"], "no setting 'checkpoint'"),
        (["run", "--set", "voters=panel"], "nobody votes"),
        (["run", "--agent", "low_rank_vote:rule=dice"], "no rule 'dice'"),
        (["run", "--agent", "lifelong_dpo", "--set", "n_votes=2"], "no words"),
        (["run", "--process", "spiral"], "no value process"),
        (["run", "--process", tmp_path / "none.csv"], "no such file"),
        (["leaderboard", tmp_path], "no comparisons"),
        (["leaderboard", tmp_path, "--out", tmp_path / "x.pdf"], "cannot be written"),
    ):
        result = call("progress", *arguments)
        assert result.code == 2 and said in result.err and "Traceback" not in result.err
