"""Texts of many years."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.progress.text_corpus import TextCorpus, dictionary_scorer

SCORE = dictionary_scorer({"care": ["care*", "kind"], "order": ["Law"]})


def write(folder: Path, year: int, texts: list[tuple[str, str]]) -> None:
    place = folder / f"C{year // 100 + 1:03d}"
    place.mkdir(exist_ok=True)
    rows = [{"content": text, "creation_year": year, "source_dataset": source, "extra": 1} for text, source in texts]
    (place / f"Y{year}.json").write_text(json.dumps(rows))


@pytest.fixture
def corpus(tmp_path: Path) -> TextCorpus:
    write(tmp_path, 1762, [("care and law", "books"), ("the law", "laws")])
    write(tmp_path, 1799, [("Careful, kind men", "books")])
    write(tmp_path, 1801, [("law law law law", "laws"), ("", "books")])
    (tmp_path / "README.md").write_text("not a year")
    return TextCorpus.read(tmp_path)


def test_years_become_periods(corpus: TextCorpus) -> None:
    assert corpus.years == (1762, 1799, 1801) and "3 years from 1762 to 1801" in repr(corpus)
    table = corpus.trajectory(SCORE, ["care", "order"], span=100)
    assert table.times.tolist() == [1700, 1800]
    np.testing.assert_allclose(
        table.values[:, 0], [[1000 * (1 / 3 + 0 + 2 / 3) / 3, 1000 * (1 / 3 + 0.5) / 3], [0, 1000]]
    )
    assert table.n[:, 0, 0].tolist() == [3, 1]
    yearly = corpus.trajectory(SCORE, ["care", "order"], batch=1)
    assert yearly.n_periods == 3


def test_sources_are_groups_so_that_genre_is_not_taken_for_change(corpus: TextCorpus) -> None:
    table = corpus.trajectory(SCORE, ["care", "order"], span=100, by_source=True)
    assert table.groups == ("books", "laws")
    # Only the laws speak in both centuries: all "change" of the pooled means in care is the absence of books.
    care = table.values[:, :, 0]
    assert np.isnan(care[1, 0]) and care[0, 1] == care[1, 1] == 0.0


def test_any_scorer_may_leave_texts_out(corpus: TextCorpus) -> None:
    table = corpus.trajectory(lambda texts: [[len(text)] if text else [np.nan] for text in texts], ["length"])
    assert table.values[:, 0, 0].tolist() == [9.5, 17.0, 15.0]
    cut = corpus.trajectory(lambda texts: [[len(text)] for text in texts], ["length"], max_chars=4)
    assert cut.values[0, 0, 0] == 4.0
    with pytest.raises(UsageError, match="shape"):
        corpus.trajectory(lambda texts: [[1.0, 2.0] for _ in texts], ["length"])
    with pytest.raises(DataError, match="No text speaks"):
        corpus.trajectory(lambda texts: [[np.nan] for _ in texts], ["nothing"])


def test_damaged_files_are_named(corpus: TextCorpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no year 1500"):
        list(corpus.documents(1500))
    path = tmp_path / "C018" / "Y1762.json"
    for content, match in (
        ("{", "not JSON"),
        ("{}", "no list"),
        ('[{"content": "x", "creation_year": 1762}]', "no source_dataset"),
        ('[{"content": "x", "creation_year": 1763, "source_dataset": "s"}]', "its file of 1762"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=match):
            list(corpus.documents(1762))
    with pytest.raises(DataError, match="no file of a year"):
        TextCorpus.read(tmp_path / "nowhere")
