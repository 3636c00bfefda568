"""Counts of discretion over all comparisons, and over resamples of them.

A resample draws whole units again (comparisons, with all judgements of the pair, or annotators, with all judgements of
the person), so its counts are a matrix of how often each unit was drawn times the sums of the units.
Units whose rows are the same add up before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.discretion.measures.row_statistics import Layout, consensus_block, contest_blocks, wins_of
from pluralism.evaluation.bootstrap import resample_users

__all__ = ["CountedRows", "DiscretionCounts"]

ROW_CELLS = 1 << 22
DRAW_CELLS = 1 << 26
# Whole numbers below this are exact in single precision, in which resamples are multiplied.
EXACT = 1 << 24


@dataclass(frozen=True, eq=False)
class DiscretionCounts:
    """Counts in each of some draws.

    Attributes
    ----------
    categories : array of shape (draws, 3)
        Mass of comparisons with consensus, conflict and indifference.
    agreement : array of shape (draws, annotators, 2)
        Mass of verdicts with and against a consensus.
    by_principle : array of shape (draws, annotators, principles, 2)
        The same where the principle is part of the consensus.
    by_size : array of shape (draws, annotators, principles, 2)
        The same where 1, 2, ... principles make the consensus.
    wins : array of shape (draws, annotators, principles, principles)
        Mass of verdicts for the row's principle where the column's is on the other side.
    """

    categories: Float[np.ndarray, "draws kinds"]
    agreement: Float[np.ndarray, "draws annotators sides"]
    by_principle: Float[np.ndarray, "draws annotators principles sides"]
    by_size: Float[np.ndarray, "draws annotators principles sides"]
    wins: Float[np.ndarray, "draws annotators principles principles"]


@dataclass(frozen=True, eq=False)
class CountedRows:
    """Rows to count, each with what the principles and the annotators say of it.

    Attributes
    ----------
    left, right : arrays of shape (pairs, principles)
    sides : array of shape (pairs, annotators, 2)
    weight : array of shape (pairs,)
    unit : int array of shape (pairs,)
        What is drawn together in a resample, counted from 0.
    """

    left: Float[np.ndarray, "pairs principles"]
    right: Float[np.ndarray, "pairs principles"]
    sides: Float[np.ndarray, "pairs annotators sides"]
    weight: Float[np.ndarray, " pairs"]
    unit: Int[np.ndarray, " pairs"]

    @property
    def layout(self) -> Layout:
        """Numbers of principles and annotators."""
        return Layout(self.left.shape[1], self.sides.shape[1])

    @property
    def n_units(self) -> int:
        """Units that a resample draws."""
        return int(self.unit.max(initial=-1)) + 1

    def observed(self) -> DiscretionCounts:
        """Counts of the rows as they are."""
        layout = self.layout
        sums = np.zeros(layout.consensus_width)
        for rows in _chunks(np.arange(len(self.weight)), layout.consensus_width):
            sums += self.weight[rows] @ self._consensus(rows)
        wins = wins_of(self.left, self.right, self.sides, self.weight)
        return DiscretionCounts(**layout.split_consensus(sums[None]), wins=wins[None])

    def resampled(self, n_draws: int, rng: np.random.Generator) -> DiscretionCounts:
        """Counts in resamples of the units."""
        layout = self.layout
        merged, place = self._merged()
        precision = np.float32 if self.weight.sum() < EXACT else np.float64
        consenting, contested = _some_consensus(merged), _some_conflict(merged) & merged.sides.any(axis=(1, 2))
        found = []
        for times in _draw_blocks(self.n_units, n_draws, place, len(np.unique(place)), rng):
            drawn = times.astype(precision, copy=False)
            sums = merged._drawn_consensus(drawn, np.flatnonzero(consenting))
            wins = layout.to_wins(*merged._drawn_contests(drawn, np.flatnonzero(contested)))
            found.append((sums, wins))
        sums, wins = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return DiscretionCounts(**layout.split_consensus(sums), wins=wins)

    def _drawn_consensus(
        self, drawn: Float[np.ndarray, "draws units"], rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "draws columns"]:
        """Sums of the consensus block in each draw; `rows` are all that have a consensus."""
        width = self.layout.consensus_width
        totals = np.zeros((len(drawn), width), dtype=drawn.dtype)
        for chunk in _chunks(rows, width + len(drawn)):
            block = self._consensus(chunk) * self.weight[chunk, None]
            totals += drawn[:, self.unit[chunk]] @ block.astype(drawn.dtype)
        # rows without a consensus have a category as well
        for column, values in ((1, _conflict(self)), (2, _indifference(self))):
            mass = np.bincount(self.unit, self.weight * values, drawn.shape[1])
            totals[:, column] = drawn @ mass.astype(drawn.dtype)
        return totals.astype(np.float64)

    def _drawn_contests(
        self, drawn: Float[np.ndarray, "draws units"], rows: Int[np.ndarray, " rows"]
    ) -> tuple[Float[np.ndarray, "draws annotators contests"], Float[np.ndarray, "draws annotators contests"]]:
        """Games and leads of all contests in each draw; annotators who decide alike often share their games."""
        layout = self.layout
        mass, shared = np.unique(self.sides.sum(axis=2), axis=1, return_inverse=True)
        lead = self.sides[..., 0] - self.sides[..., 1]
        factor = np.concatenate([mass, lead], axis=1).astype(drawn.dtype)
        n_mass, n_contests = mass.shape[1], len(layout.contests[0])
        totals = np.zeros((len(drawn), factor.shape[1] * n_contests), dtype=drawn.dtype)
        block = np.empty(0, dtype=drawn.dtype)
        for chunk in _chunks(rows, totals.shape[1] + len(drawn)):
            scale = self.weight[chunk, None].astype(drawn.dtype)
            games, leads = (part.astype(drawn.dtype) * scale for part in self._contests(chunk))
            if block.shape != (len(chunk), factor.shape[1], n_contests):
                block = np.empty((len(chunk), factor.shape[1], n_contests), dtype=drawn.dtype)
            np.multiply(games[:, None], factor[chunk, :n_mass, None], out=block[:, :n_mass])
            np.multiply(leads[:, None], factor[chunk, n_mass:, None], out=block[:, n_mass:])
            totals += drawn[:, self.unit[chunk]] @ block.reshape(len(chunk), -1)
        split = totals.astype(np.float64).reshape(len(drawn), -1, n_contests)
        return split[:, shared.ravel()], split[:, n_mass:]

    def _consensus(self, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows columns"]:
        return consensus_block(self.left[rows], self.right[rows], self.sides[rows])

    def _contests(
        self, rows: Int[np.ndarray, " rows"]
    ) -> tuple[Float[np.ndarray, "rows contests"], Float[np.ndarray, "rows contests"]]:
        return contest_blocks(self.left[rows], self.right[rows], self.layout)

    def _merged(self) -> tuple[CountedRows, Int[np.ndarray, " units"]]:
        """Rows with the place of their unit, and the place of each unit; alike units of one row share a place."""
        n_units = self.n_units
        if len(self.unit) != n_units:
            return self, np.arange(n_units)
        flat = np.concatenate([self.left, self.right, self.sides.reshape(n_units, -1), self.weight[:, None]], axis=1)
        keys = np.ascontiguousarray(flat).view(np.dtype((np.void, flat.itemsize * flat.shape[1]))).ravel()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        place = np.empty(n_units, dtype=np.int64)
        place[self.unit] = inverse
        return self._at(first, np.arange(len(first))), place

    def _at(self, rows: Int[np.ndarray, " rows"], unit: Int[np.ndarray, " rows"]) -> CountedRows:
        return CountedRows(self.left[rows], self.right[rows], self.sides[rows], self.weight[rows], unit)


def _draw_blocks(
    n_units: int, n_draws: int, place: Int[np.ndarray, " units"], n_places: int, rng: np.random.Generator
) -> Iterator[Float[np.ndarray, "draws places"]]:
    """How often each place is drawn, in blocks of draws that fit into memory."""
    held: list[np.ndarray] = []
    most = max(1, DRAW_CELLS // max(n_places, 1))
    same = n_places == n_units
    for times in resample_users(n_units, n_draws, rng):
        if same:
            turned = np.empty_like(times)
            turned[:, place] = times
        else:
            cells = place + n_places * np.arange(len(times))[:, None]
            turned = np.bincount(cells.ravel(), times.ravel(), len(times) * n_places).reshape(len(times), n_places)
        held.append(turned.astype(np.float32))
        if sum(map(len, held)) >= most:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _chunks(rows: Int[np.ndarray, " rows"], width: int) -> Iterator[Int[np.ndarray, " some"]]:
    step = max(1, ROW_CELLS // max(width, 1))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _indifference(rows: CountedRows) -> Float[np.ndarray, " pairs"]:
    return np.clip(1.0 - rows.left - rows.right, 0.0, 1.0).prod(axis=1)


def _conflict(rows: CountedRows) -> Float[np.ndarray, " pairs"]:
    agreed = (1.0 - rows.right).prod(axis=1) + (1.0 - rows.left).prod(axis=1)
    return np.clip(1.0 - agreed + _indifference(rows), 0.0, 1.0)


def _some_consensus(rows: CountedRows) -> Bool[np.ndarray, " pairs"]:
    open_left, open_right = np.all(rows.right < 1, axis=1), np.all(rows.left < 1, axis=1)
    some_left, some_right = np.any(rows.left > 0, axis=1), np.any(rows.right > 0, axis=1)
    return np.asarray((open_left & some_left) | (open_right & some_right))


def _some_conflict(rows: CountedRows) -> Bool[np.ndarray, " pairs"]:
    return np.asarray(np.any(rows.left > 0, axis=1) & np.any(rows.right > 0, axis=1))
