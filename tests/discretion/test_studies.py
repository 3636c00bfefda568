"""The studies of real judgements run as a reader would run them, and find what the page about discretion says."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def study(repository, shared_data, name):
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / name)],
        capture_output=True,
        text=True,
        env={**os.environ, "PLURALISM_DATA": str(shared_data)},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(out, start, place=0):
    line = [line for line in out.splitlines() if line.strip().startswith(start)][place]
    return [float(value) for value in re.findall(r"(?<![\w.:])-?\d+\.\d+", line)]


def test_arguments(repository, shared_data):
    pytest.importorskip("textblob")
    out = study(repository, shared_data, "discretion_arguments.py")
    value, low, high, coverage = numbers(out, "human")
    assert value == pytest.approx(0.405, abs=0.001)
    assert low < value < high
    assert coverage == pytest.approx(0.730, abs=0.001)
    assert numbers(out, "longer")[0] == pytest.approx(0.80, abs=0.02)
    assert "group:1" in out
    minority = float(re.search(r"discrepancy of (\d\.\d+)", out)[1])
    assert minority <= 0.2
    assert numbers(out, "length", -1)[0] > 0.6


def test_safety(repository, shared_data):
    pytest.importorskip("textblob")
    out = study(repository, shared_data, "discretion_safety.py")
    assert numbers(out, "expert")[0] == pytest.approx(1.07, abs=0.05)
    own = numbers(out, "human", 1)
    assert own[0] == pytest.approx(0.200, abs=0.005)
    assert numbers(out, "pooled", 1)[0] < own[1]
    assert "108 side with the experts" in out


def test_judges(repository, shared_data):
    out = study(repository, shared_data, "discretion_judges.py")
    assert numbers(out, "Falcon")[:2] == [0.781, 0.580]
    assert numbers(out, "GPT-4")[:2] == [0.508, 0.058]
    gain = numbers(out, "Falcon", 1)
    assert gain[2] > 0.08
    assert gain[3] > 0.05
    assert numbers(out, "ChatGPT-0301", 2)[2] < 0
    assert numbers(out, "reliabilities from")[0] > 0.78 > numbers(out, "mean of all judges")[0]
