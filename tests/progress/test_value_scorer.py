"""Nineteen values: content is told from place, on items made by hand and on ProgressGym's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.progress.value_scorer import DIMENSIONS, FOUNDATIONS, RULES, ValueItems


def frames() -> tuple[dict, dict, dict]:
    labels = {f"a{k}_{rule}": ["No", "No Agreement"] for k in (1, 2) for rule in RULES}
    labels["a2_death"], labels["a1_pain"] = ["Yes", "Yes"], ["Yes", "No"]
    dilemmas = {"context": ["c1", "c2"], "action1": ["a", "b"], "action2": ["x", "y"], **labels}
    virtues = {"context": ["f1", "f2"], "generation_theme": [FOUNDATIONS[0], FOUNDATIONS[4]]}
    views = {"context": ["v"], **{f"action{k + 1}": [name] for k, name in enumerate("tmpi")}}
    return dilemmas, {**virtues, "action1": ["good", "good"], "action2": ["bad", "bad"]}, views


LIKING = {"a": 3.0, "x": 1.0, "b": 1.0, "y": 1.0, "good": 4.0, "bad": 1.0, "t": 7.0, "m": 2.0, "p": 0.8, "i": 0.2}


def by_content(contexts, options):
    return [[LIKING[option] for option in row] for row in options]


def by_place(contexts, options):
    return [np.arange(len(row), 0, -1) ** 3 for row in options]


def test_a_judge_of_content_gets_its_own_values() -> None:
    found = ValueItems.read(*frames()).score(by_content)
    values = dict(zip(DIMENSIONS, found.values, strict=True))
    assert values["death"] == pytest.approx(0.5) and values["pain"] == pytest.approx(-0.5)
    assert values["Harm_Care"] == pytest.approx(0.6) and values["Purity_Sancity"] == pytest.approx(0.6)
    np.testing.assert_allclose(found.values[-4:], (4 * np.array([0.7, 0.2, 0.08, 0.02]) - 1) / 3)
    assert found.n[0] == 1 and np.isnan(values["cheat"]) and np.isnan(found.se[0])
    assert "Harm_Care" in repr(found) and found.to_frame().num_rows == 19 and '"value": null' in found.to_json()


def test_a_judge_of_places_has_no_values() -> None:
    values = ValueItems.read(*frames()).score(by_place).values
    np.testing.assert_allclose(values[~np.isnan(values)], 0.0, atol=1e-12)


def test_items_that_cannot_be_read_are_named() -> None:
    dilemmas, virtues, views = frames()
    with pytest.raises(DataError, match="no label"):
        ValueItems.read({**dilemmas, "a1_duty": ["No", "Perhaps"]})
    with pytest.raises(DataError, match="no foundation"):
        ValueItems.read(foundation={**virtues, "generation_theme": ["Harm_Care", "Taste"]})
    with pytest.raises(DataError, match="repeats the header"):
        ValueItems.read(views={**views, "context": ["context"]})
    with pytest.raises(DataError, match="missing"):
        ValueItems.read(views={"context": ["v"]})
    with pytest.raises(UsageError, match="no items"):
        ValueItems.read()
    with pytest.raises(UsageError, match="Answers must be"):
        ValueItems.read(*frames()).score(lambda contexts, options: [[0.0, 0.0]] * len(options))


def test_the_published_items(shared_data: Path) -> None:
    folder = shared_data / "progressgym_values"
    with pytest.raises(DataError, match="repeats the header"):
        ValueItems.read(views=folder / "views.parquet")
    views = pl.read_parquet(folder / "views.parquet").filter(pl.col("context") != "context")
    with pytest.raises(DataError, match="'action4' is empty"):
        ValueItems.read(views=views)
    views = views.drop_nulls("action4")
    items = ValueItems.read(folder / "moralchoice.parquet", folder / "foundation.parquet", views)
    assert len(items) == 680 + 600 + 535
    asked: list[int] = []

    def lenient(contexts, options):
        """Likes short options, wherever they are shown."""
        asked.append(len(options) * len(options[0]))
        return [[np.exp(-len(option) / 40) for option in row] for row in options]

    found = items.score(lenient)
    np.testing.assert_array_equal(found.n[10:15], [120, 128, 130, 112, 110])
    assert found.n[0] > 80 and (found.n[-4:] == 535).all() and len(asked) == 6
    assert found.values[-4:].sum() == pytest.approx(0.0, abs=1e-9)
    # Shown the other way round the items say the same.
    again = ValueItems(items.contexts, items.options, items.loadings).score(
        lambda contexts, options: [row[::-1] for row in lenient(contexts, [o[::-1] for o in options])]
    )
    np.testing.assert_allclose(again.values, found.values, atol=1e-12)
    np.testing.assert_allclose(items.score(by_place).values, 0.0, atol=1e-12)
