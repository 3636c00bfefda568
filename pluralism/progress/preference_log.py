"""Choices over time: who preferred which response to a prompt, in which period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from pluralism.data.columns import require_columns
from pluralism.data.comparisons import Comparisons
from pluralism.data.files_io import read_source
from pluralism.data.frames import frame_source
from pluralism.data.sources import Source
from pluralism.errors import DataError, UsageError
from pluralism.progress.trajectory_table import TrajectoryTable
from pluralism.progress.vote_estimate import vote_estimate

__all__ = ["PreferenceLog", "VoteShares"]

_CONTRACT = "A log of preferences has the columns time, prompt, responses (a list), choice (a position), perhaps user."


@dataclass(frozen=True, eq=False)
class VoteShares:
    """Votes on each pair of items in each period.

    Attributes
    ----------
    left, right : arrays of shape (pairs,)
        Codes of the items; left is the smaller.
    share : array of shape (pairs, periods)
        Of the weight that prefers `left`; NaN where nobody was asked.
    n : array of shape (pairs, periods)
        Total weight.
    """

    left: Int[np.ndarray, " pairs"]
    right: Int[np.ndarray, " pairs"]
    share: Float[np.ndarray, "pairs periods"]
    n: Float[np.ndarray, "pairs periods"]


@dataclass(frozen=True, eq=False, repr=False)
class PreferenceLog:
    """Comparisons with a time, in periods.

    Attributes
    ----------
    comparisons : Comparisons
        With `time`.
    times : array of shape (periods,)
        Where each period begins.
    period : array of shape (pairs,)
        The period of each row.

    Examples
    --------
    >>> log = PreferenceLog.from_frame([
    ...     {"time": 1, "prompt": "Tea?", "responses": ["yes", "no"], "choice": 0},
    ...     {"time": 2, "prompt": "Tea?", "responses": ["no", "yes"], "choice": 0},
    ... ])
    >>> log.vote_shares().share
    array([[1., 0.]])
    """

    comparisons: Comparisons
    times: np.ndarray
    period: Int[np.ndarray, " pairs"]

    @classmethod
    def read(cls, path: str | Path, *, columns: Mapping[str, str] | None = None) -> PreferenceLog:
        """Read JSON lines or Parquet with the columns time, prompt, responses, choice, and perhaps user.

        `responses` is a list of texts, `choice` the position of the one that was preferred, counted from 0.

        Raises
        ------
        DataError
            Naming file and row of what is wrong.
        """
        return _of_records(read_source(path).renamed(columns))

    @classmethod
    def from_frame(cls, frame: Any, *, columns: Mapping[str, str] | None = None) -> PreferenceLog:
        """Build from a frame or a list of records; otherwise as `read`."""
        return _of_records(frame_source(frame).renamed(columns))

    @classmethod
    def of_comparisons(cls, comparisons: Comparisons, starts: Any = None) -> PreferenceLog:
        """Put comparisons that have times into periods.

        Parameters
        ----------
        comparisons : Comparisons
        starts : array-like, optional
            Where each period begins, in order, the first not after any row; left out, each distinct time is one.

        Raises
        ------
        DataError
            If a row has no time, or lies before the first period.
        """
        time = comparisons.time
        if time is None:
            raise DataError("The comparisons have no times.", fix="Read them with a column time.")
        lost = np.isnat(time) if time.dtype.kind == "M" else np.isnan(time)
        if lost.any():
            raise DataError(
                f"{int(lost.sum()):,} comparisons have no time.",
                where=f"row {int(np.flatnonzero(lost)[0]) + 1}",
                fix="Leave them out with take.",
            )
        edges = np.unique(time) if starts is None else np.asarray(starts)
        if len(edges) > 1 and not (edges[1:] > edges[:-1]).all():
            raise UsageError("The periods do not follow each other.", fix="Sort the starts, without repeats.")
        period = np.searchsorted(edges, time, side="right") - 1
        if (period < 0).any():
            raise DataError(
                "A comparison lies before the first period.",
                where=f"row {int(np.flatnonzero(period < 0)[0]) + 1}",
                fix="Begin the first period earlier.",
            )
        return cls(comparisons, edges, period)

    @property
    def n_periods(self) -> int:
        """Periods; some may be empty."""
        return len(self.times)

    def at(self, period: int) -> Comparisons:
        """The comparisons of one period."""
        if not 0 <= period < self.n_periods:
            raise UsageError(f"There is no period {period}.", fix=f"Use 0 to {self.n_periods - 1}.")
        return self.comparisons.take(self.period == period)

    def vote_shares(self) -> VoteShares:
        """Who wins each pair in each period, whichever side it was shown on."""
        data = self.comparisons
        low, high = np.minimum(data.left, data.right), np.maximum(data.left, data.right)
        key = low.astype(np.int64) * data.n_items + high
        pairs, code = np.unique(key, return_inverse=True)
        cell = code * self.n_periods + self.period
        size = len(pairs) * self.n_periods
        won = np.where(data.left == low, data.outcome, 1.0 - data.outcome) * data.weight
        total = np.bincount(cell, data.weight, size)
        share = np.divide(np.bincount(cell, won, size), total, out=np.full(size, np.nan), where=total > 0)
        shape = (len(pairs), self.n_periods)
        return VoteShares(pairs // data.n_items, pairs % data.n_items, share.reshape(shape), total.reshape(shape))

    def trajectory(
        self, dim_names: Sequence[str] | None = None, *, sharpness: float = 1.0, prior_std: float = 0.5
    ) -> TrajectoryTable:
        """What the choices of each period say of values, by which environments can be made.

        Values are the weights of a Bradley-Terry model on the features of items, fitted to each period by itself with a
        normal prior; `se` is the standard deviation of the posterior (Laplace's approximation), `n` the weight of the
        choices. A period without choices is missing.

        Parameters
        ----------
        dim_names : sequence of str, optional
            Of the features; left out, numbers.
        sharpness, prior_std : float
            As for `ItemBank`, and of each weight.

        Raises
        ------
        DataError
            If the items have no features.
        UsageError
            If the names are not as many as the features.
        """
        data = self.comparisons
        features = data.items.features
        if features is None:
            raise DataError(
                "The items have no features.", fix="Embed them: of_comparisons(log.comparisons.embed(...))."
            )
        names = [str(k) for k in range(data.items.dim)] if dim_names is None else [str(name) for name in dim_names]
        if len(names) != data.items.dim or not (sharpness > 0 and prior_std > 0):
            raise UsageError(
                f"{len(names)} names for {data.items.dim} features, sharpness={sharpness}, prior_std={prior_std}.",
                fix="Name each feature once; sharpness and prior_std are above 0.",
            )
        shape = (self.n_periods, 1, len(names))
        values, se, n = (np.full(shape, np.nan) for _ in range(3))
        for t in range(self.n_periods):
            rows = self.period == t
            if not data.weight[rows].any():
                continue
            left, right = (np.asarray(features[side[rows]], dtype=float) for side in (data.left, data.right))
            apart, weight = left - right, np.asarray(data.weight[rows], dtype=float)
            (found,) = vote_estimate(
                apart[None], data.outcome[rows][None], weight[None], sharpness=sharpness, prior_std=prior_std
            )
            chance = expit(sharpness * apart @ found)
            told = sharpness**2 * (apart * (weight * chance * (1 - chance))[:, None]).T @ apart
            values[t, 0], n[t, 0] = found, weight.sum()
            se[t, 0] = np.sqrt(np.diag(np.linalg.inv(told + np.eye(len(names)) / prior_std**2)))
        return TrajectoryTable(self.times, tuple(names), ("all",), values, se, n, (1.0,))

    def __repr__(self) -> str:
        return f"PreferenceLog({len(self.comparisons):,} comparisons in {self.n_periods} periods)"


def _of_records(source: Source) -> PreferenceLog:
    require_columns(source, ("time", "prompt", "responses", "choice"), _CONTRACT)
    listed = {name: _objects(source, name) for name in ("time", "prompt", "responses", "choice")}
    user = _objects(source, "user") if "user" in source else ["all"] * source.n_rows
    rows: dict[str, list[Any]] = {name: [] for name in ("user", "prompt", "left", "right", "outcome", "time")}
    for row, (responses, choice) in enumerate(zip(listed["responses"], listed["choice"], strict=True)):
        if not isinstance(responses, list) or len(set(map(str, responses))) < 2:
            raise _fault(source, row, "responses", "must be a list of at least two different texts")
        if isinstance(choice, bool) or not isinstance(choice, int) or not 0 <= choice < len(responses):
            raise _fault(source, row, "choice", f"must be a position from 0 to {len(responses) - 1}")
        for other in responses[:choice] + responses[choice + 1 :]:
            rows["user"].append(user[row])
            rows["prompt"].append(listed["prompt"][row])
            rows["left"].append(responses[choice])
            rows["right"].append(other)
            rows["outcome"].append(1.0)
            rows["time"].append(listed["time"][row])
    return PreferenceLog.of_comparisons(Comparisons.from_frame(rows))


def _objects(source: Source, name: str) -> list[Any]:
    column = source[name]
    return column if isinstance(column, list) else column.to_pylist()


def _fault(source: Source, row: int, column: str, what: str) -> DataError:
    return DataError(
        f"{column!r} {what}.", where=f"{source.name}, row {row + 1}", fix="Correct the row, or leave it out."
    )
