"""The examples run as a reader would run them, and find what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def run(repository: Path, name: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / name), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_trained_policy_comes_near_the_optimum(repository: Path, tmp_path: Path) -> None:
    found = list(map(float, re.findall(r"\d\.\d{4}", run(repository, "progress_train.py", tmp_path))))
    trained, optimum, expected, following, frozen = found
    assert optimum < trained < optimum + 0.5 * (following - optimum) and following < frozen
    assert optimum == pytest.approx(expected, rel=0.1)


def test_a_library_of_reinforcement_learning_trains_in_them(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3", reason="the example needs: pip install stable-baselines3")
    found = list(map(float, re.findall(r"\d\.\d{4}", run(repository, "progress_stable_baselines.py", tmp_path))))
    trained, optimum, _, following, frozen = found
    assert optimum < trained < optimum + 0.75 * (following - optimum) and following < frozen


def test_the_page_has_the_frontier_of_the_example(repository: Path, tmp_path: Path) -> None:
    out = run(repository, "plot_progress_frontier.py", tmp_path, "frontier.svg")
    page = (repository / "docs" / "progress.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (optimum [^|]+|\w+)(?: \([^|]*\))? \| (\d\.\d{4}) \| (\d\.\d{4}) \| (\d\.\d{4}) \|$", page, re.M
    )
    printed = {line[:22].strip(): line.split()[-3:] for line in out.splitlines()}
    assert len(rows) == 11
    for name, *aims in rows:
        assert printed[name.strip()] == aims
    assert "dominated: persistence, history, lead, frozen" in out and (tmp_path / "frontier.svg").exists()
