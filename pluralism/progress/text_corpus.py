"""Values in texts of many years: read year by year, scored by whatever scores a text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError
from pluralism.progress.answers import mean_answers
from pluralism.progress.trajectory_table import TrajectoryTable

__all__ = ["Document", "TextCorpus", "TextScorer", "dictionary_scorer"]

TextScorer: TypeAlias = Callable[[Sequence[str]], ArrayLike]
"""Gives a number for each dimension of each text; NaN where a text does not speak to it."""

_YEAR = re.compile(r"Y(\d{4})\.json")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True)
class Document:
    """A text with its year and where it comes from."""

    content: str
    year: int
    source: str


@dataclass(frozen=True, repr=False)
class TextCorpus:
    """A folder with one file a year, in the layout of ProgressGym-HistText: `C018/Y1762.json`.

    Each file is a JSON list of objects with `content`, `creation_year` and `source_dataset`; others of their fields are
    not read. Files are read one by one, so that a corpus may be larger than the memory.

    Attributes
    ----------
    folder : Path
    years : tuple of int
        In order.

    Raises
    ------
    DataError
        If there is no such folder, or no file of a year in it.
    """

    folder: Path
    years: tuple[int, ...]

    @classmethod
    def read(cls, folder: str | Path) -> TextCorpus:
        """Find the files of all years, in the folder or in folders of centuries."""
        place = Path(folder)
        found = _files(place)
        if not found:
            raise DataError(
                "There is no file of a year here.", where=str(place), fix="Name files Y1762.json, in folders C018."
            )
        return cls(place, tuple(sorted(found)))

    def documents(self, year: int) -> Iterator[Document]:
        """The texts of one year.

        Raises
        ------
        UsageError
            If the corpus has no such year.
        DataError
            If the file is damaged, or a text lacks a field or has another year than its file.
        """
        if year not in self.years:
            raise UsageError(f"There is no year {year}.", fix=f"Use one of {self.years[0]} to {self.years[-1]}.")
        path = _files(self.folder)[year]
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(f"The file is not JSON: {error}.", where=str(path), fix="Get a good copy.") from error
        if not isinstance(rows, list):
            raise DataError("The file holds no list.", where=str(path), fix="Write a list of texts.")
        for row, given in enumerate(rows):
            yield _document(given, year, f"{path}, entry {row + 1}")

    def trajectory(
        self,
        scorer: TextScorer,
        dims: Sequence[str],
        *,
        span: int = 1,
        by_source: bool = False,
        batch: int = 64,
        max_chars: int = 20_000,
    ) -> TrajectoryTable:
        """Mean values of the texts of each period, with standard errors over texts.

        Parameters
        ----------
        scorer : callable
            Such as `dictionary_scorer`, or a function that asks a language model; called with lists of texts, it gives
            an array of shape (texts, dims), with NaN where a text does not speak to a dimension.
        dims : sequence of str
            Names of what it gives.
        span : int
            Years in a period: 100 for centuries. A period is called by its first year.
        by_source : bool
            Whether sources are groups. Periods and sources are confounded in most corpora (the sixteenth century is
            nearly all of one source, the twenty-first of another): look at one source at a time before any talk of
            change.
        batch : int
            Texts in one call.
        max_chars : int
            Of each text, its beginning.

        Raises
        ------
        UsageError
            If the scorer gives another shape.
        DataError
            If no text speaks to any dimension.
        """
        if min(span, batch, max_chars) < 1 or not dims:
            raise UsageError("span, batch, max_chars or dims is empty.", fix="Use at least 1, and name the dimensions.")
        rows: dict[str, list[Any]] = {name: [] for name in ("time", "dim", "value", "group")}
        for year in self.years:
            period = year // span * span
            for texts in _batches(self.documents(year), batch):
                scores = np.asarray(scorer([text.content[:max_chars] for text in texts]), dtype=float)
                if scores.shape != (len(texts), len(dims)):
                    raise UsageError(
                        f"The scorer gave an array of shape {scores.shape}, not {(len(texts), len(dims))}.",
                        fix="Return a row for each text and a column for each dimension.",
                    )
                for t, d in np.argwhere(np.isfinite(scores)):
                    rows["time"].append(period)
                    rows["dim"].append(dims[d])
                    rows["value"].append(float(scores[t, d]))
                    rows["group"].append(texts[t].source if by_source else "all")
        if not rows["value"]:
            raise DataError("No text speaks to any dimension.", where=str(self.folder), fix="Try another scorer.")
        return mean_answers(rows)

    def __repr__(self) -> str:
        return f"TextCorpus({len(self.years):,} years from {self.years[0]} to {self.years[-1]})"


def dictionary_scorer(words: Mapping[str, Sequence[str]]) -> TextScorer:
    """Share of the words of a text that belong to each dimension, in words per thousand.

    Parameters
    ----------
    words : mapping of str to sequence of str
        Words of each dimension; one that ends in `*` stands for all that begin so. Upper and lower case are alike.

    Returns
    -------
    callable
        A text without words is NaN throughout.

    Examples
    --------
    >>> score = dictionary_scorer({"care": ["care", "protect*"], "harm": ["hurt"]})
    >>> score(["Protecting and care", ""])
    array([[666.66666667,   0.        ],
           [         nan,          nan]])
    """
    exact = [frozenset(word.lower() for word in listed if not word.endswith("*")) for listed in words.values()]
    stems = [tuple(word[:-1].lower() for word in listed if word.endswith("*")) for listed in words.values()]

    def score(texts: Sequence[str]) -> Float[np.ndarray, "texts dim"]:
        made = np.full((len(texts), len(exact)), np.nan)
        for row, text in enumerate(texts):
            found = _WORD.findall(text.lower())
            for d, (whole, begun) in enumerate(zip(exact, stems, strict=True)):
                if found:
                    hits = sum(word in whole or (bool(begun) and word.startswith(begun)) for word in found)
                    made[row, d] = 1000.0 * hits / len(found)
        return made

    return score


def _files(folder: Path) -> dict[int, Path]:
    paths = [*folder.glob("Y*.json"), *folder.glob("C*/Y*.json")]
    return {int(match.group(1)): path for path in paths if (match := _YEAR.fullmatch(path.name))}


def _batches(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    held: list[Document] = []
    for document in documents:
        held.append(document)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def _document(given: Any, year: int, where: str) -> Document:
    fields = {"content": str, "creation_year": int, "source_dataset": str}
    for name, kind in fields.items():
        if not isinstance(given, dict) or not isinstance(given.get(name), kind):
            raise DataError(f"The text has no {name}.", where=where, fix=f"Give each text {', '.join(fields)}.")
    if given["creation_year"] != year:
        raise DataError(
            f"The text is of {given['creation_year']}, its file of {year}.", where=where, fix="Move it to its year."
        )
    return Document(given["content"], year, given["source_dataset"])
