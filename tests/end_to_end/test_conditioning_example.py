"""From the demo's judgements to a conditioned model: each group prefers, by held-out judges, what was made for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def run(repository, folder):
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / "condition_language_model.py")],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg"},
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    return (folder / "conditioned" / "condition.json").read_text()


def test_each_group_prefers_what_was_made_for_it(repository, tmp_path, minilm):
    document = run(repository, tmp_path)
    scores = json.loads(document)["scores"]
    assert len(scores["groups"]) == 4
    tests = {test["method"]: test for test in scores["diagonals"]}
    win_rate = np.array(scores["win_rate"])
    for name in ("supervised adapters", "best of 4"):
        test = tests[name]
        assert test["p"] < 0.01
        assert max(test["group_p"]) < 0.01
        assert min(test["group_statistic"]) > 0
        square = win_rate[:, [c for c, method in enumerate(scores["methods"]) if method == name]]
        assert (np.argmax(square, axis=1) == np.arange(4)).all()
    single = dict(zip(scores["conditions"], win_rate.T, strict=True))
    # whoever is few and wants the opposite loses under the mean, and less so under MaxMin
    assert single["maxmin"].min() > single["utilitarian"].min()
    # what the best of 4 makes for each group
    assert np.diag(square).min() > single["maxmin"].min()
    assert (tmp_path / "conditioned" / "report.html").stat().st_size > 20_000
    assert (tmp_path / "conditioned" / "gains.svg").read_text().lstrip().startswith("<")
    # run again it goes on with what is there: cells are not made anew
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "conditioned" / "experiment" / "cells").iterdir()}
    assert run(repository, tmp_path) == document
    assert cells and cells == {path: path.stat().st_mtime_ns for path in cells}
