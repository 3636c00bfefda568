"""From answers of single people to mean values over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pluralism.data.columns import number_column, require_columns, time_column
from pluralism.data.frames import frame_source
from pluralism.data.labels import clean_labels, encode_labels
from pluralism.errors import DataError
from pluralism.progress.trajectory_table import TrajectoryTable

__all__ = ["mean_answers"]

_CONTRACT = "Answers have the columns time, dim, value, and optionally weight, group."


def mean_answers(frame: Any, *, columns: Mapping[str, str] | None = None) -> TrajectoryTable:
    r"""Weighted means of answers by time, group and dimension, with their standard errors.

    Parameters
    ----------
    frame : frame
        One answer a row: time, dim, value (a number), and optionally weight and group.
    columns : mapping of str to str, optional
        Names of the contract to names in the frame.

    Returns
    -------
    TrajectoryTable
        `n` is the effective number of answers, :math:`(\sum w)^2 / \sum w^2`; `se` the standard error of a weighted
        mean, NaN for a single answer. Rows of weight 0 do not count.

    Raises
    ------
    DataError
        If a column is missing or holds something else.
    """
    source = frame_source(frame).renamed(columns)
    require_columns(source, ("time", "dim", "value"), _CONTRACT)
    log = source.log()
    time = time_column(source, "time", log)
    value = number_column(source, "value", log)
    weight = number_column(source, "weight", log, low=0) if "weight" in source else np.ones(source.n_rows)
    dim = clean_labels(source["dim"], log, "dim")
    group = clean_labels(source["group"], log, "group") if "group" in source else None
    log.settle()
    if time is None or not (weight > 0).any():
        raise DataError("There is no answer with a time and a weight.", where=source.name, fix="Fill the columns.")
    dims, dim_names = encode_labels(dim)
    groups, group_names = (np.zeros(len(value), np.int32), None) if group is None else encode_labels(group)
    times, period = np.unique(time, return_inverse=True)
    shape = (len(times), 1 if group_names is None else len(group_names), len(dim_names))
    cell, size = np.ravel_multi_index((period, groups, dims), shape), int(np.prod(shape))
    total = np.bincount(cell, weight, size)
    some = total > 0
    mean = np.divide(np.bincount(cell, weight * value, size), total, out=np.full(size, np.nan), where=some)
    n = np.divide(total**2, np.bincount(cell, weight**2, size), out=np.zeros(size), where=some)
    squares = np.bincount(cell, weight * np.square(value - mean[cell]), size)
    variance = np.divide(squares, total, out=np.zeros(size), where=some)
    se = np.sqrt(np.divide(variance, n - 1, out=np.full(size, np.nan), where=n > 1 + 1e-9))
    t, g, d = np.unravel_index(np.flatnonzero(some), shape)
    labels = ["all"] if group_names is None else group_names.to_pylist()
    return TrajectoryTable.from_frame(
        {
            "time": times[t],
            "dim": [dim_names.to_pylist()[k] for k in d],
            "group": [labels[k] for k in g],
            "value": mean[some],
            "se": se[some],
            "n": n[some],
        }
    )
