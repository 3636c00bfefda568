"""The command line as a user runs it: processes, exit codes, kills, pipes and terminals."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pluralism.data.simulate import simulate_mixture

SCRIPT = Path(sys.executable).with_name("pluralism")
DEADLINE = 120.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with votes by item ids, the items, and features."""
    import numpy as np

    folder = tmp_path_factory.mktemp("data")
    drawn = simulate_mixture(n_users=40, n_groups=2, n_items=60, dim=6, pairs_per_user=24, rng=0).comparisons
    train, test = drawn.split(test=0.25, by="pair", rng=0)
    train.write(folder / "train.csv")
    test.write(folder / "test.csv")
    texts = [f"text {number}" for number in range(len(drawn.items))]
    lines = [f"{name},{text}" for name, text in zip(drawn.items.ids.to_pylist(), texts, strict=True)]
    (folder / "items.csv").write_text("id,text\n" + "\n".join(lines) + "\n")
    np.save(folder / "features.npy", np.asarray(drawn.items.features, dtype=np.float32))
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PLURALISM_CACHE": str(tmp_path / "cache"), "COLUMNS": "80"}


def command(*arguments: object) -> list[str]:
    start = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "pluralism"]
    return [*start, *map(str, arguments)]


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment, timeout=DEADLINE, check=False
    )


def fit_arguments(data: Path, out: Path, *options: object) -> tuple[object, ...]:
    given = ("--items", data / "items.csv", "--features", data / "features.npy")
    return ("fit", data / "train.csv", *given, "--set", "max_groups=3", *options, "--out", out, "--json")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


def start_and_wait(environment: dict[str, str], out: Path, pieces: int, data: Path) -> subprocess.Popen[bytes]:
    """Start a fit and return when so many pieces are in its checkpoint."""
    process = subprocess.Popen(
        command(*fit_arguments(data, out)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    end = time.monotonic() + DEADLINE
    while len(finished(out)) < pieces:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)
    return process


def finished(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / ".checkpoint").glob("[!.]*")}


def test_fit_evaluate_and_adapt(data: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    fitted = run(environment, *fit_arguments(data, tmp_path / "run", "--groups", 2, "--ridge", 1))
    assert (fitted.returncode, fitted.stderr) == (0, "")
    assert fitted.stdout.count("\n") == 1
    assert json.loads(fitted.stdout)["n_groups"] == 2
    scored = run(environment, "evaluate", tmp_path / "run", data / "test.csv", "--json")
    assert (scored.returncode, scored.stderr) == (0, "")
    found: dict[str, Any] = json.loads(scored.stdout)
    assert found["n"] == 240
    assert found["accuracy"] > 0.6
    placed = run(environment, "adapt", tmp_path / "run", data / "test.csv", "--out", tmp_path / "placed.parquet")
    assert placed.returncode == 0
    assert (tmp_path / "placed.parquet").exists()
    assert "Group A" in placed.stdout


def test_a_killed_fit_resumes_to_the_same_bytes(data: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    assert run(environment, *fit_arguments(data, tmp_path / "whole")).returncode == 0
    out = tmp_path / "killed"
    before: dict[str, int] = {}
    for pieces in (3, 20):
        process = start_and_wait(environment, out, pieces, data)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        now = finished(out)
        assert {name: now[name] for name in before} == before
        assert not (out / "model.json").exists()
        before = now
    resumed = run(environment, *fit_arguments(data, out))
    assert resumed.returncode == 0, resumed.stderr
    assert contents(out) == contents(tmp_path / "whole")


def test_control_c_says_how_to_resume(data: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    process = start_and_wait(environment, tmp_path / "run", 2, data)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert out == b""
    assert b"resume with the same command" in err
    assert b"Traceback" not in err
    assert finished(tmp_path / "run")
    assert not (tmp_path / "run" / "model.json").exists()


def test_bad_input_exits_with_2_and_writes_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "votes.csv").write_text("user,left,right,outcome\na,x,y,1\nb,x,x,1\n")
    failed = run(environment, "fit", tmp_path / "votes.csv", "--encoder", "hash", "--out", tmp_path / "run", "--json")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("[PL010]")
    assert all(word in failed.stderr for word in ("votes.csv", "row 2", "left"))
    assert [path.name for path in tmp_path.iterdir()] == ["votes.csv"]


def test_a_closed_pipe_is_no_error(data: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command("check", data / "train.csv"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(DEADLINE)


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
def test_progress_shows_on_a_terminal_alone(data: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(*fit_arguments(data, tmp_path / "run")),
        env={**environment, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(master)
    out = process.communicate(timeout=DEADLINE)[0]
    assert process.returncode == 0
    assert json.loads(out)["n"] == 720
    assert b"choosing the ridge" in seen
    assert b"\x1b[" in seen


def test_any_encoding_of_the_terminal_will_do(data: Path, environment: dict[str, str]) -> None:
    checked = run({**environment, "PYTHONIOENCODING": "ascii"}, "check", data / "train.csv")
    assert checked.returncode == 0
    assert checked.stderr == ""


def test_help_and_version_load_no_numerical_library() -> None:
    code = (
        "import sys\nfrom pluralism.cli import main\n"
        "assert main(['--version']) == 0 and main(['fit', '--help']) == 0\n"
        "heavy = {'numpy', 'pyarrow', 'scipy', 'sklearn', 'numba', 'torch', 'matplotlib'}\n"
        "sys.exit(', '.join(heavy & {name.partition('.')[0] for name in sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_module_runs_like_the_script(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pluralism", "--version"], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.startswith("pluralism ")


def test_the_demo_on_a_small_scale(tmp_path: Path, environment: dict[str, str]) -> None:
    from rich.console import Console

    from pluralism.cli.demo_text import render_demo

    out = tmp_path / "demo"
    shown = run(environment, "demo", "--out", out, "--raters", 48, "--encoder", "hash:256", "--json")
    assert (shown.returncode, shown.stderr) == (0, "")
    found = json.loads(shown.stdout)
    assert found["raters"] == 48
    assert len(found["groups"]) == found["n_groups"]
    assert found["pooled"]["n"] == found["mixture"]["n"]
    assert found["ceiling"]["accuracy"] > found["mixture"]["accuracy"]
    assert found["few_shot"]["shots"][0] == 0
    assert (out / "report.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    table = io.StringIO()
    render_demo(Console(file=table, width=80), found)
    for words in (
        "1. Who is there",
        "2. What each wants",
        "3. One reward",
        "4. How fast",
        "What it means",
        "report.html",
    ):
        assert words in table.getvalue()
    assert max(len(line) for line in table.getvalue().split("Where it is")[0].splitlines()) <= 80
    scored = run(environment, "evaluate", out / "run", out / "test.parquet", "--json")
    assert json.loads(scored.stdout)["nll"] == pytest.approx(found["mixture"]["nll"])


def test_the_demo_overwrites_nothing_foreign(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    foreign = run(environment, "demo", "--out", tmp_path)
    assert (foreign.returncode, foreign.stdout) == (2, "")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_the_demo_finds_the_kinds_of_raters(tmp_path: Path, environment: dict[str, str], minilm: str) -> None:
    shown = run(environment, "demo", "--out", tmp_path / "demo", "--encoder", minilm, "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["n_groups"] == found["n_groups_true"] == 4
    assert {group["true_name"] for group in found["groups"]} == set(found["ceiling"]["groups"])
    for group in found["groups"]:
        low, high = group["share_interval"]
        assert low <= group["true_share"] <= high
    assert found["placed_right"] > 0.9
    assert found["pooled"]["worst_group_accuracy"] < 0.5
    assert found["mixture"]["worst_group_accuracy"] > 0.75
    assert found["few_shot"]["accuracy"][-1] > found["few_shot"]["control_accuracy"] + 0.1
