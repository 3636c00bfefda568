"""Small files of judgements, a run fitted to them, and the command line called in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluralism.cli import main

KINDS = ("short", "long", "warm", "cold", "bold", "careful")
NOUNS = ("answer", "story", "plan", "letter", "recipe", "guide")
TEXTS = [f"A {kind} {noun} about topic {topic}" for topic in range(3) for kind in KINDS for noun in NOUNS]
LIKES: tuple[dict[str, float], ...] = ({"short": 3, "bold": 2, "warm": -2}, {"long": 3, "warm": 2, "bold": -2})


@dataclass(frozen=True)
class Result:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def judgements(n_users: int, n_rows: int, seed: int, prefix: str) -> list[list[object]]:
    """Rows of user, left, right, outcome by people of two tastes, one in three of the second."""
    rng = np.random.default_rng(seed)
    rows: list[list[object]] = []
    for user in range(n_users):
        taste = LIKES[user % 3 == 0]
        for _ in range(n_rows):
            left, right = (TEXTS[i] for i in rng.choice(len(TEXTS), 2, replace=False))
            z = sum(value * ((word in left.split()) - (word in right.split())) for word, value in taste.items())
            outcome = 0.5 if rng.random() < 0.05 else float(rng.random() < 1 / (1 + np.exp(-z)))
            rows.append([f"{prefix}{user}", left, right, outcome])
    return rows


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="session")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.csv and test.csv of the same people, and support.csv and new.csv of others."""
    folder = tmp_path_factory.mktemp("votes")
    header = ["user", "left", "right", "outcome"]
    for name, n_users, n_rows, seed, prefix in (
        ("train", 30, 16, 0, "u"),
        ("test", 30, 5, 1, "u"),
        ("support", 12, 10, 2, "new"),
        ("new", 12, 8, 3, "new"),
    ):
        write_csv(folder / f"{name}.csv", header, judgements(n_users, n_rows, seed, prefix))
    return folder


@pytest.fixture(scope="session")
def own_features(votes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same judgements by item ids, items.csv, and features.npy that tell the words of a text."""
    folder = tmp_path_factory.mktemp("own")
    ids = {text: f"t{number}" for number, text in enumerate(TEXTS)}
    write_csv(folder / "items.csv", ["id", "text"], [[name, text] for text, name in ids.items()])
    words = np.array([[word in text.split() for word in (*KINDS, *NOUNS)] for text in TEXTS], dtype=np.float32)
    np.save(folder / "features.npy", words)
    for name in ("train", "test", "support", "new"):
        with (votes / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        coded: list[list[object]] = [[user, ids[left], ids[right], outcome] for user, left, right, outcome in rows]
        write_csv(folder / f"{name}.csv", header, coded)
    return folder


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run a command line in this process, with a cache of its own and a terminal of 100 columns."""
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def run(votes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two groups fitted to train.csv with the hashing encoder."""
    out = tmp_path_factory.mktemp("runs") / "run"
    cache = tmp_path_factory.mktemp("cache")
    arguments = ["fit", votes / "train.csv", "--encoder", "hash:64", "--cache", cache, "--groups", 2, "--ridge", 1]
    assert main([str(argument) for argument in [*arguments, "--no-item-effects", "--out", out]]) == 0
    return out


@pytest.fixture(scope="session")
def own_run(own_features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two groups fitted to item ids with the user's own features."""
    out = tmp_path_factory.mktemp("runs") / "own"
    given = ["--items", own_features / "items.csv", "--features", own_features / "features.npy"]
    arguments = ["fit", own_features / "train.csv", *given, "--groups", 2, "--ridge", 1, "--no-item-effects"]
    assert main([str(argument) for argument in [*arguments, "--out", out]]) == 0
    return out
