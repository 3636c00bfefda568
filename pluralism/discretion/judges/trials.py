"""Trials of judges: who was shown which pair in which order, and what the verdict was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.data.arrays import Column, code_vector, frozen
from pluralism.data.frames import frame_source
from pluralism.data.labels import distinct_labels
from pluralism.discretion.questions import DistinctPairs
from pluralism.errors import DataError

__all__ = ["JudgeTrials"]

WORDS = {"left": 1.0, "right": 0.0, "tie": 0.5, "": np.nan, "none": np.nan}


@dataclass(frozen=True, eq=False, repr=False, init=False)
class JudgeTrials:
    """Verdicts of judges on pairs, one a trial.

    Parameters
    ----------
    pairs, judges : sequence of str
        Labels.
    pair, judge : int arrays of shape (trials,)
        Codes into them.
    swapped : bool array of shape (trials,)
        Whether the right item was shown first.
    verdict : array of shape (trials,)
        Mass on the left item, in [0, 1], whatever the order in which it was shown: 1 left, 0 right, 0.5 a tie; NaN
        where there was no answer that could be read.

    Examples
    --------
    >>> JudgeTrials.from_frame({"pair": [0, 0], "judge": ["j", "j"], "swapped": [False, True], "verdict": [1, 0]})
    JudgeTrials(2 verdicts by 1 judge on 1 pair, 1 pair in both orders)
    """

    pairs: tuple[str, ...]
    judges: tuple[str, ...]
    pair: Int[np.ndarray, " trials"]
    judge: Int[np.ndarray, " trials"]
    swapped: Bool[np.ndarray, " trials"]
    verdict: Float[np.ndarray, " trials"]

    def __init__(
        self, pairs: Column, judges: Column, pair: Column, judge: Column, swapped: Column, verdict: Column
    ) -> None:
        n = len(verdict)
        names = [
            tuple(distinct_labels(labels, what).to_pylist()) for labels, what in ((pairs, "pairs"), (judges, "judges"))
        ]
        values = np.array(verdict, dtype=np.float64)
        bad = np.flatnonzero((values < 0) | (values > 1))
        turned = np.asarray(swapped)
        if len(bad) or turned.shape != (n,) or turned.dtype != bool:
            raise DataError(
                "A trial has a verdict in [0, 1] and an order.",
                where=f"row {int(bad[0]) + 1}" if len(bad) else "swapped",
                fix="Use 1 for left, 0 for right, 0.5 for a tie, NaN for no answer; swapped is True or False.",
            )
        self.__dict__.update(
            pairs=names[0],
            judges=names[1],
            pair=code_vector(pair, "pair", n, len(names[0])),
            judge=code_vector(judge, "judge", n, len(names[1])),
            swapped=frozen(turned.copy()),
            verdict=frozen(values),
        )

    @classmethod
    def from_frame(cls, frame: Any) -> JudgeTrials:
        """From a frame with the columns `pair`, `judge`, `swapped`, and `verdict` or the scores of both items.

        Verdicts are left, right or tie, or numbers as in the class; null is no answer. With `score_left` and
        `score_right` in place of verdicts the higher score wins, and equal ones tie.

        Raises
        ------
        DataError
            A column is missing or holds something else.
        """
        source = frame_source(frame)
        scored = "score_left" in source and "score_right" in source
        wanted = ("pair", "judge", "swapped", *(("score_left", "score_right") if scored else ("verdict",)))
        missing = [name for name in wanted if name not in source]
        if missing:
            raise DataError(
                f"There is no column {missing[0]!r}.", where=source.name, fix=f"Give the columns {', '.join(wanted)}."
            )
        columns = {name: _plain(source[name]) for name in wanted}
        if scored:
            a, b = (_scores(columns[name], name, source.name) for name in ("score_left", "score_right"))
            verdict = np.where(np.isnan(a) | np.isnan(b), np.nan, 0.5 * (1.0 + np.sign(a - b)))
        else:
            verdict = np.array([_verdict(value, k, source.name) for k, value in enumerate(columns["verdict"])])
        coded = [_coded(columns[name]) for name in ("pair", "judge")]
        swapped = columns["swapped"]
        wrong = [k for k, value in enumerate(swapped) if not isinstance(value, bool)]
        if wrong:
            raise DataError(
                f"{swapped[wrong[0]]!r} says nothing of the order.",
                where=f"{source.name}, row {wrong[0] + 1}, column swapped",
                fix="Write true where the right item was shown first, else false.",
            )
        return cls(coded[0][0], coded[1][0], coded[0][1], coded[1][1], np.array(swapped, dtype=bool), verdict)

    @classmethod
    def of_judged(
        cls, sides: Float[np.ndarray, "questions orders sides"], pairs: DistinctPairs, judge: str
    ) -> JudgeTrials:
        """From probabilities of `judge_pairs` for one question: the mass on the first item among both."""
        total = sides.sum(axis=-1)
        known = np.where(np.isnan(total), np.nan, 0.5)
        mass = np.divide(sides[..., 0], total, out=known, where=total > 0)
        ids = pairs.items.ids.to_pylist()
        names = [f"{ids[a]} / {ids[b]}" for a, b in zip(pairs.first, pairs.second, strict=True)]
        question, order = np.nonzero(~np.isnan(mass))
        return cls(names, [judge], question, np.zeros_like(question), order == 1, mass[question, order])

    def __len__(self) -> int:
        return len(self.verdict)

    @property
    def answered(self) -> Bool[np.ndarray, " trials"]:
        """Whether each trial has a verdict."""
        return ~np.isnan(self.verdict)

    def of(self, judges: Sequence[str]) -> JudgeTrials:
        """The trials of some judges."""
        unknown = [name for name in judges if name not in self.judges]
        if unknown:
            raise DataError(f"There is no judge {unknown[0]!r}.", fix=f"There are {', '.join(self.judges)}.")
        codes = np.array([self.judges.index(name) for name in judges], dtype=np.int64)
        place = np.full(len(self.judges), -1)
        place[codes] = np.arange(len(codes))
        rows = np.isin(self.judge, codes)
        return JudgeTrials(
            self.pairs, judges, self.pair[rows], place[self.judge[rows]], self.swapped[rows], self.verdict[rows]
        )

    def take(self, rows: np.ndarray) -> JudgeTrials:
        """Some trials, by mask or indices; pairs and judges stay."""
        return JudgeTrials(
            self.pairs, self.judges, self.pair[rows], self.judge[rows], self.swapped[rows], self.verdict[rows]
        )

    def by_order(self) -> tuple[Float[np.ndarray, "judges pairs orders"], Int[np.ndarray, "judges pairs orders"]]:
        """Mean verdict of each judge on each pair in each order (left first, right first), and how many there are.

        Averages are taken within an order before anything is pooled: were answers that could not be read dropped
        first, the orders would weigh differently, and the bias be back.
        """
        shape = (len(self.judges), len(self.pairs), 2)
        rows = np.flatnonzero(self.answered)
        cell = (self.judge[rows].astype(np.int64) * shape[1] + self.pair[rows]) * 2 + self.swapped[rows]
        size = int(np.prod(shape))
        counts = np.bincount(cell, minlength=size)
        sums = np.bincount(cell, self.verdict[rows], size)
        mean = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
        return mean.reshape(shape), counts.astype(np.int64).reshape(shape)

    def to_frame(self) -> pa.Table:
        """Columns `pair, judge, swapped, verdict`."""
        return pa.table(
            {
                "pair": [self.pairs[k] for k in self.pair],
                "judge": [self.judges[k] for k in self.judge],
                "swapped": self.swapped,
                "verdict": pa.array(self.verdict, mask=~self.answered),
            }
        )

    def __repr__(self) -> str:
        _, counts = self.by_order()
        both = int((counts > 0).all(axis=2).any(axis=0).sum())
        said = [(len(self.judges), "judge"), (len(self.pairs), "pair"), (both, "pair")]
        judges, pairs, twice = (f"{n:,} {noun}{'s' * (n != 1)}" for n, noun in said)
        return f"JudgeTrials({len(self):,} verdicts by {judges} on {pairs}, {twice} in both orders)"


def _plain(column: Any) -> list[Any]:
    return list(column) if isinstance(column, list) else column.to_pylist()


def _coded(labels: list[Any]) -> tuple[list[str], np.ndarray]:
    names = list(dict.fromkeys(str(label) for label in labels))
    place = {name: k for k, name in enumerate(names)}
    return names, np.array([place[str(label)] for label in labels], dtype=np.int64)


def _verdict(value: Any, row: int, where: str) -> float:
    if value is None:
        return float("nan")
    word = str(value).strip().casefold()
    try:
        return WORDS[word] if word in WORDS else float(word)
    except ValueError:
        raise DataError(
            f"{value!r} is no verdict.",
            where=f"{where}, row {row + 1}, column verdict",
            fix="Write left, right or tie, or a number from 0 (right) to 1 (left).",
        ) from None


def _scores(values: list[Any], name: str, where: str) -> Float[np.ndarray, " trials"]:
    out = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            out[row] = np.nan if value is None else float(value)
        except (TypeError, ValueError):
            raise DataError(
                f"{value!r} is no score.", where=f"{where}, row {row + 1}, column {name}", fix="Write a number."
            ) from None
    return out
