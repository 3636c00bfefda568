"""`pluralism directions`: attributes, users and fronts, as a table and as JSON; bad input is one message."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pluralism as pl

Call = Callable[..., Any]
WORDS = ("short", "long", "warm", "cold")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ratings.csv on two attributes, one missing now and then, and votes.csv by two people."""
    folder = tmp_path_factory.mktemp("directions")
    rng = np.random.default_rng(3)
    texts = [f"A {a} and {b} note {i}" for i in range(15) for a in WORDS[:2] for b in WORDS[2:]]
    rated = []
    for text in texts:
        values = {"brief": 3.0 * ("short" in text), "kind": 3.0 * ("warm" in text)}
        for name, value in values.items():
            if rng.random() < 0.8:
                rated.append(["r", text, name, value + rng.normal()])
    judged = []
    for user, taste in (("ann", (2, -1)), ("bob", (-1, 2))):
        for _ in range(40):
            left, right = rng.choice(texts, 2, replace=False)
            z = sum(w * ((word in left) - (word in right)) for w, word in zip(taste, ("short", "warm"), strict=True))
            judged.append([user, left, right, float(rng.random() < 1 / (1 + np.exp(-2 * z)))])
    for name, header, rows in (
        ("ratings", ["user", "item", "attribute", "value"], rated),
        ("votes", ["user", "left", "right", "outcome"], judged),
    ):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
    return folder


def test_users_attributes_and_fronts_are_shown(call: Call, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    command = ("directions", files / "ratings.csv", "--comparisons", files / "votes.csv", "--encoder", "hash:32")
    result = call(*command, "--out", out)
    assert result.code == 0, result.err
    assert all(words in result.out for words in ("brief", "kind", "ann", "bob", "certainty", "Hypervolume", "R²"))
    assert max(map(len, result.out.splitlines()[:-1])) <= 100
    found = call(*command, "--json").document
    people = {row["user"]: row for row in found["users"]}
    assert people["ann"]["direction"][0] > 0.3 > people["ann"]["direction"][1]
    assert people["bob"]["direction"][1] > 0.3 > people["bob"]["direction"][0]
    assert people["ann"]["n"] == 40
    assert people["ann"]["prompt"].split("= ")[1].startswith("brief*")
    assert [row["name"] for row in found["attributes"]] == ["brief", "kind"]
    assert found["front"]["attributes"] == ["brief", "kind"]
    fitted: Any = pl.load(out)
    np.testing.assert_allclose(fitted.directions()[0], people["ann"]["direction"])


def test_ratings_alone_show_attributes_and_a_front(call: Call, files: Path) -> None:
    options = ("--encoder", "hash:32", "--decorrelate", "kind", "--whiten", "--ridge", 2, "--front", "kind,brief")
    found = call("directions", files / "ratings.csv", *options, "--json").document
    assert found["users"] == []
    assert found["attributes"][0]["ridge"] == 2.0
    assert found["front"]["attributes"] == ["kind", "brief"]
    assert found["front"]["hypervolume_interval"] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--front", "brief,wit"), "wit"),
        (("--front", "brief"), "two"),
        (("--decorrelate", "wit"), "decorrelate"),
        (("--ridge", "strong"), "ridge"),
    ],
)
def test_wrong_options_are_named(call: Call, files: Path, arguments: tuple[str, ...], words: str) -> None:
    result = call("directions", files / "ratings.csv", "--encoder", "hash:16", *arguments)
    assert result.code == 2
    assert words in result.err
    assert "Traceback" not in result.err


def test_data_of_another_kind_are_named(call: Call, files: Path, tmp_path: Path) -> None:
    result = call("directions", files / "votes.csv", "--encoder", "hash:16")
    assert result.code == 2
    assert "ratings are needed" in result.err
    fitted = call("fit", files / "votes.csv", "--model", "dpa", "--encoder", "hash:16", "--out", tmp_path / "run")
    assert fitted.code == 2
    assert "pluralism directions" in fitted.err
