"""Trajectories and preferences from tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pluralism.data import Items
from pluralism.data.comparisons import Comparisons
from pluralism.errors import DataError, UsageError
from pluralism.progress.environment import TemporalEnv
from pluralism.progress.preference_log import PreferenceLog
from pluralism.progress.trajectory_table import TrajectoryTable

ROWS = {
    "time": [2000, 1990, 1990, 2000, 2010],
    "dim": ["a", "a", "b", "b", "a"],
    "value": [2.0, 1.0, 5.0, 6.0, 3.0],
    "n": [10, 20, 30, 40, 50],
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_is_read_sorted_and_comes_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    table = pa.table(ROWS)
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        path.write_text("\n".join(",".join(map(str, row)) for row in [ROWS, *zip(*ROWS.values(), strict=True)]))
    read = TrajectoryTable.read(path)
    assert read.times.tolist() == [1990, 2000, 2010] and read.dim_names == ("a", "b")
    np.testing.assert_array_equal(read.values[:, 0], [[1, 5], [2, 6], [3, np.nan]])
    again = TrajectoryTable.from_frame(read.to_frame().drop_columns(["se"]))
    np.testing.assert_array_equal(again.values, read.values)
    np.testing.assert_array_equal(again.n, read.n)
    assert "3 periods from 1990 to 2010" in repr(read) and "1 missing" in repr(read)


def test_missing_waves_are_refused_where_all_are_needed_and_dropped_on_request() -> None:
    table = TrajectoryTable.from_frame(ROWS)
    with pytest.raises(DataError, match="time 2010, group 'all', dimension 'b'") as caught:
        table.paths(np.zeros((2, 0)))
    assert "complete()" in str(caught.value)
    paths = table.complete().paths(np.zeros((2, 0)))
    assert paths.mean.shape == (2, 2, 2) and paths.mean[1, 1].tolist() == [2.0, 6.0]
    assert table.take_dims(["a"]).complete().n_periods == 3
    with pytest.raises(DataError, match="no period"):
        table.take([2]).complete()
    with pytest.raises(UsageError, match="'c'"):
        table.take_dims(["c"])


def test_groups_count_by_their_people_or_by_given_shares() -> None:
    rows = {"time": [1, 1, 2, 2], "dim": ["a"] * 4, "value": [0.0, 4.0, 1.0, 5.0], "group": ["x", "y", "x", "y"]}
    assert TrajectoryTable.from_frame(rows).mean[:, 0].tolist() == [2.0, 3.0]
    weighed = TrajectoryTable.from_frame(rows | {"n": [3, 1, 3, 1]})
    assert weighed.shares == (0.75, 0.25) and weighed.mean[:, 0].tolist() == [1.0, 2.0]
    given = TrajectoryTable.from_frame(rows, shares={"x": 1, "y": 3})
    assert given.mean[:, 0].tolist() == [3.0, 4.0]
    with pytest.raises(UsageError, match="Shares"):
        TrajectoryTable.from_frame(rows, shares={"x": 1})


def test_faults_are_named() -> None:
    with pytest.raises(DataError, match="two values"):
        TrajectoryTable.from_frame({"time": [1, 1], "dim": ["a", "a"], "value": [1.0, 2.0]})
    with pytest.raises(DataError, match="'dim' is missing"):
        TrajectoryTable.from_frame({"time": [1], "value": [1.0]})
    with pytest.raises(DataError, match="empty cells"):
        TrajectoryTable.from_frame({"time": [1, None], "dim": ["a", "b"], "value": [1.0, 2.0]})
    with pytest.raises(DataError, match="do not fit"):
        TrajectoryTable.of_waves([1, 2], ["a"], [[1.0]])


def test_dates_are_times() -> None:
    frame = {"time": ["2020-03-01", "2020-01-01"], "dim": ["a", "a"], "value": [1.0, 2.0]}
    table = TrajectoryTable.from_frame(frame)
    assert table.values[:, 0, 0].tolist() == [2.0, 1.0] and "2020-01-01" in repr(table)


def test_a_log_counts_votes_whichever_side_they_were_shown_on(tmp_path: Path) -> None:
    records = [
        {"time": 1, "prompt": "p", "responses": ["x", "y"], "choice": 0, "user": "u"},
        {"time": 1, "prompt": "p", "responses": ["y", "x"], "choice": 0, "user": "v"},
        {"time": 3, "prompt": "p", "responses": ["y", "x", "z"], "choice": 0, "user": "v"},
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    log = PreferenceLog.read(path)
    assert log.n_periods == 2 and len(log.at(0)) == 2 and len(log.at(1)) == 2
    votes = log.vote_shares()
    texts = log.comparisons.items.texts.to_pylist()
    shares = {
        frozenset((texts[a], texts[b])): (texts[a], share.tolist())
        for a, b, share in zip(votes.left, votes.right, votes.share, strict=True)
    }
    first, share = shares[frozenset("xy")]
    assert share == ([0.5, 0.0] if first == "x" else [0.5, 1.0])
    assert np.isnan(shares[frozenset("yz")][1][0])


def test_choices_become_a_trajectory_that_is_an_environment() -> None:
    """Planted weights that turn round are found within the errors that are told; an empty period is missing."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 2))
    truth = {0: [1.0, -0.5], 1: [0.0, 0.8], 3: [-1.0, 0.2]}
    rows: dict[str, list] = {name: [] for name in ("left", "right", "outcome", "time")}
    for t, weights in truth.items():
        for _ in range(1500):
            a, b = rng.choice(40, 2, replace=False)
            won = rng.random() < 1 / (1 + np.exp(-(features[a] - features[b]) @ np.array(weights)))
            for name, value in zip(rows, (a, b, float(won), float(t)), strict=True):
                rows[name].append(value)
    items = Items([str(k) for k in range(40)], features=features)
    left, right, outcome, time = map(np.array, rows.values())
    data = Comparisons.from_arrays(left, right, outcome=outcome, time=time, items=items)
    log = PreferenceLog.of_comparisons(data, [0, 1, 2, 3])
    table = log.trajectory(["care", "order"], prior_std=2.0)
    assert table.dim_names == ("care", "order") and np.isnan(table.values[2]).all()
    for t, weights in truth.items():
        assert (np.abs(table.values[t, 0] - weights) < 4 * table.se[t, 0]).all() and (table.se[t] < 0.1).all()
    whole = table.complete()
    assert TemporalEnv("follow", whole).task.dims == 2
    with pytest.raises(UsageError, match="1 names"):
        log.trajectory(["care"])
    bare = PreferenceLog.from_frame([{"time": 1, "prompt": "p", "responses": ["x", "y"], "choice": 0}])
    with pytest.raises(DataError, match="no features"):
        bare.trajectory()


def test_periods_may_be_given_and_bad_rows_are_named() -> None:
    data = Comparisons.from_frame(
        {"user": ["u"] * 3, "left": ["a"] * 3, "right": ["b"] * 3, "outcome": [1, 0, 1], "time": [1.0, 5.0, 9.0]}
    )
    log = PreferenceLog.of_comparisons(data, [0, 6])
    assert log.vote_shares().share.tolist() == [[0.5, 1.0]] and log.vote_shares().n.tolist() == [[2, 1]]
    with pytest.raises(DataError, match="before the first"):
        PreferenceLog.of_comparisons(data, [2, 6])
    with pytest.raises(UsageError, match="do not follow"):
        PreferenceLog.of_comparisons(data, [2, 1])
    with pytest.raises(DataError, match="'choice' must be a position"):
        PreferenceLog.from_frame([{"time": 1, "prompt": "p", "responses": ["x", "y"], "choice": 2}])
    with pytest.raises(DataError, match="at least two"):
        PreferenceLog.from_frame([{"time": 1, "prompt": "p", "responses": ["x", "x"], "choice": 0}])
