"""Processes killed while they write: what was acknowledged is there, and the interview goes on where it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork and SIGKILL")


def kill(folder: Path, repository: Path, seed: int, kills: int) -> dict[str, int]:
    program = repository / "tests" / "support" / "killed_interviews.py"
    command = [sys.executable, program, folder, str(seed), str(kills)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_was_acknowledged_survives_a_kill_at_any_point(tmp_path, repository):
    kills = 8
    found = kill(tmp_path, repository, seed=0, kills=kills)
    assert found["killed"] == kills and found["torn"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_survives_many_kills(tmp_path, repository, seed):
    kills = 100
    found = kill(tmp_path, repository, seed=seed, kills=kills)
    assert found["killed"] == kills and found["torn"] >= kills // 10 and found["done"] >= kills // 20
