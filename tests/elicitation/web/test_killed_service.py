"""What the service has acknowledged survives a kill at any moment, on both databases; nothing is half there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "support" / "killed_service.py"


@pytest.mark.slow
def test_acknowledged_steps_survive_kills(either_address: str) -> None:
    done = subprocess.run([sys.executable, PROGRAM, either_address, "1", "60"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["killed"] >= 60 and found["done"] > 0 and found["votes"] > 0
