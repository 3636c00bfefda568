"""Measured values over time, from any table: time, dimension, value, and perhaps group, error and sample size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.data.columns import number_column, optional_numbers, require_columns, time_column, warn_of_misspellings
from pluralism.data.files_io import read_source
from pluralism.data.frames import frame_source
from pluralism.data.labels import clean_labels, encode_labels
from pluralism.data.sources import Source
from pluralism.errors import DataError, UsageError
from pluralism.extras import require
from pluralism.progress.value_process import Paths

if TYPE_CHECKING:
    from pluralism.progress.linear_gaussian import LinearGaussian

__all__ = ["TrajectoryTable"]

_CONTRACT = "A trajectory has the columns time, dim, value, and optionally se, n, group."


@dataclass(frozen=True, eq=False, repr=False)
class TrajectoryTable:
    """Values by period, group and dimension; NaN where nothing was measured.

    As a value process it is one history without noise; all waves must then be complete (`complete`).

    Attributes
    ----------
    times : array of shape (periods,)
        Distinct times in order: numbers, or datetime64.
    dim_names, groups : tuple of str
    values, se, n : arrays of shape (periods, groups, dim)
        Values, their standard errors, and how many people they rest on (NaN where not given).
    shares : tuple of float
        Weights of the groups in the mean of everybody; they sum to 1.
    spread : float
        Standard deviation of people around their group's mean, for votes drawn from it.

    Examples
    --------
    >>> TrajectoryTable.from_frame({"time": [1, 2, 1, 2], "dim": ["a", "a", "b", "b"], "value": [1.0, 2.0, 0.5, 0.4]})
    TrajectoryTable(2 periods from 1 to 2, 2 dimensions, 1 group, nothing missing)
    """

    times: np.ndarray
    dim_names: tuple[str, ...]
    groups: tuple[str, ...]
    values: Float[np.ndarray, "periods groups dim"]
    se: Float[np.ndarray, "periods groups dim"]
    n: Float[np.ndarray, "periods groups dim"]
    shares: tuple[float, ...]
    spread: float = 0.0

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        shares: Mapping[str, float] | None = None,
        spread: float = 0.0,
    ) -> TrajectoryTable:
        """Read a file (CSV, Parquet, JSON lines, Arrow); otherwise as `from_frame`.

        Raises
        ------
        DataError
            Naming file, row and column of what is wrong.
        """
        return _from_source(read_source(path), columns, shares, spread)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        columns: Mapping[str, str] | None = None,
        shares: Mapping[str, float] | None = None,
        spread: float = 0.0,
    ) -> TrajectoryTable:
        """Build from a frame with the columns time, dim, value, and optionally se, n, group.

        Parameters
        ----------
        frame : frame
            pandas, polars, pyarrow, a dict of columns, a list of records.
        columns : mapping of str to str, optional
            Names of the contract to names in the frame.
        shares : mapping of str to float, optional
            Weight of each group; left out, groups count by their people where `n` is given for all, else alike.
        spread : float
        """
        return _from_source(frame_source(frame), columns, shares, spread)

    @classmethod
    def of_waves(cls, times: Sequence[Any], dim_names: Sequence[str], values: Any) -> TrajectoryTable:
        """Build from a matrix of shape (periods, dim): one group."""
        matrix = np.array(values, dtype=float)
        if matrix.shape != (len(times), len(dim_names)):
            raise DataError(
                f"{len(times)} times and {len(dim_names)} dimensions do not fit a matrix of shape {matrix.shape}.",
                fix="Give a row for each time and a column for each dimension.",
            )
        nothing = np.full((*matrix.shape[:1], 1, matrix.shape[1]), np.nan)
        order = np.argsort(np.array(times), kind="stable")
        return cls(np.array(times)[order], tuple(dim_names), ("all",), matrix[order][:, None], nothing, nothing, (1.0,))

    @classmethod
    def from_gssdata(cls) -> TrajectoryTable:
        """Seventeen attitudes of the General Social Survey, in percent who give the liberal answer, 1972 to 2024.

        They come with the package `gssdata` (extra `progress`); `complete` leaves the 20 waves since 1988 in which all
        were asked.
        """
        package = require("gssdata", extra="progress", purpose="TrajectoryTable.from_gssdata")
        frames = {name: package.trend(name) for name in package.variables()}
        return cls.from_frame(
            {
                "time": [year for frame in frames.values() for year in frame["year"].tolist()],
                "dim": [name for name, frame in frames.items() for _ in range(len(frame))],
                "value": [float(share) for frame in frames.values() for share in frame["pct"].tolist()],
            }
        )

    @property
    def n_periods(self) -> int:
        """Periods."""
        return len(self.times)

    @property
    def dims(self) -> int:
        """Dimensions."""
        return len(self.dim_names)

    @property
    def n_noise(self) -> int:
        """A table holds one history: no noise."""
        return 0

    @property
    def mean(self) -> Float[np.ndarray, "periods dim"]:
        """Mean of everybody; NaN where a group was not measured."""
        return np.einsum("tgd,g->td", self.values, np.array(self.shares))

    def complete(self) -> TrajectoryTable:
        """Only the periods in which every group and dimension was measured.

        Raises
        ------
        DataError
            If there are none.
        """
        whole = ~np.isnan(self.values).any(axis=(1, 2))
        if not whole.any():
            raise DataError(
                "There is no period in which every dimension of every group was measured.",
                fix="Choose dimensions with take_dims, or groups that were measured together.",
            )
        return self.take(np.flatnonzero(whole))

    def take(self, periods: Any) -> TrajectoryTable:
        """Only these periods, by position."""
        return replace(
            self, times=self.times[periods], values=self.values[periods], se=self.se[periods], n=self.n[periods]
        )

    def take_dims(self, names: Sequence[str]) -> TrajectoryTable:
        """Only these dimensions, by name, in this order."""
        unknown = [name for name in names if name not in self.dim_names]
        if unknown:
            raise UsageError(f"There is no dimension {unknown[0]!r}.", fix=f"Use some of {', '.join(self.dim_names)}.")
        at = [self.dim_names.index(name) for name in names]
        return replace(
            self, dim_names=tuple(names), values=self.values[..., at], se=self.se[..., at], n=self.n[..., at]
        )

    def paths(self, noise: Float[np.ndarray, "batch noise"]) -> Paths:
        """The history, once for each row of noise.

        Raises
        ------
        DataError
            If something was not measured.
        """
        missing = np.argwhere(np.isnan(self.values))
        if len(missing):
            t, g, d = missing[0]
            raise DataError(
                f"Values are missing ({len(missing):,} of them); an environment needs all.",
                where=f"time {_short(self.times[t])}, group {self.groups[g]!r}, dimension {self.dim_names[d]!r}",
                fix="Use table.complete(), or take_dims and take.",
            )
        groups = np.repeat(self.values[None], len(noise), axis=0)
        mean = np.repeat(self.mean[None], len(noise), axis=0)
        return Paths(groups, mean, np.zeros_like(mean))

    def system(self, observation_variance: float) -> LinearGaussian | None:
        """None: nobody knows the law of measured values."""
        return None

    def to_frame(self) -> pa.Table:
        """Columns `time, group, dim, value, se, n`, without what was not measured."""
        at = np.argwhere(~np.isnan(self.values))
        t, g, d = at.T
        columns = {
            name: getattr(self, column)[t, g, d] for name, column in (("value", "values"), ("se", "se"), ("n", "n"))
        }
        labels = {"group": np.array(self.groups, dtype=object)[g], "dim": np.array(self.dim_names, dtype=object)[d]}
        return pa.table(
            {"time": self.times[t], **{k: pa.array(v, pa.large_string()) for k, v in labels.items()}, **columns}
        )

    def __repr__(self) -> str:
        missing = int(np.isnan(self.values).sum())
        groups = f"{len(self.groups)} group{'s' * (len(self.groups) != 1)}"
        return (
            f"TrajectoryTable({self.n_periods} periods from {_short(self.times[0])} to {_short(self.times[-1])}, "
            f"{self.dims} dimensions, {groups}, {f'{missing:,}' if missing else 'nothing'} missing)"
        )


def _short(time: Any) -> str:
    return str(time.astype("datetime64[D]")) if isinstance(time, np.datetime64) else f"{time:g}"


def _from_source(
    source: Source, columns: Mapping[str, str] | None, shares: Mapping[str, float] | None, spread: float
) -> TrajectoryTable:
    source = source.renamed(columns)
    require_columns(source, ("time", "dim", "value"), _CONTRACT)
    warn_of_misspellings(source, ("time", "dim", "value", "se", "n", "group"))
    log = source.log()
    time = time_column(source, "time", log)
    if time is None:
        raise DataError("The column 'time' is empty.", where=source.name, fix="Say when each value was measured.")
    unknown = np.isnat(time) if time.dtype.kind == "M" else np.isnan(time)
    log.add(unknown, "times", "time", "Column 'time' has empty cells.", "Fill them, or leave the rows out.")
    value = number_column(source, "value", log)
    se, n = optional_numbers(source, "se", log, low=0.0), optional_numbers(source, "n", log, low=0.0)
    dim = clean_labels(source["dim"], log, "dim")
    grouped = clean_labels(source["group"], log, "group") if "group" in source else None
    log.settle()
    dim_codes, dims = encode_labels(dim)
    group_codes, groups = (np.zeros(len(value), dtype=np.int32), ["all"]) if grouped is None else encode_labels(grouped)
    times, period = np.unique(time, return_inverse=True)
    names = tuple(groups if isinstance(groups, list) else groups.to_pylist())
    shape = (len(times), len(names), len(dims))
    cell = np.ravel_multi_index((period, group_codes, dim_codes), shape)
    _refuse_repeated(cell, source)

    def grid(given: np.ndarray | None) -> Float[np.ndarray, "periods groups dim"]:
        filled = np.full(shape, np.nan)
        if given is not None:
            filled.reshape(-1)[cell] = given
        return filled

    people = grid(n)
    weights = _shares(names, people, shares)
    return TrajectoryTable(
        times, tuple(dims.to_pylist()), names, grid(value), grid(se), people, weights, spread=float(spread)
    )


def _refuse_repeated(cell: np.ndarray, source: Source) -> None:
    _, first, count = np.unique(cell, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(first[count > 1][0])
        again = int(np.flatnonzero(cell == cell[row])[1])
        raise DataError(
            "A time, group and dimension has two values.",
            where=f"{source.name}, rows {row + 1} and {again + 1}",
            fix="Average them, or keep one.",
        )


def _shares(
    names: tuple[str, ...], n: Float[np.ndarray, "periods groups dim"], shares: Mapping[str, float] | None
) -> tuple[float, ...]:
    if shares is not None:
        if set(shares) != set(names) or min(shares.values()) <= 0:
            raise UsageError(
                f"Shares are needed for {', '.join(names)}, all above 0.", fix="Give one positive number a group."
            )
        weights = np.array([shares[name] for name in names], dtype=float)
    elif np.isnan(n).all(axis=(0, 2)).any():
        weights = np.ones(len(names))
    else:
        weights = np.nansum(n, axis=(0, 2))
    return tuple((weights / weights.sum()).tolist())
