"""Baselines on measured series: the published table, and the same lessons on other data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.progress.answers import mean_answers
from pluralism.progress.environment import TemporalEnv
from pluralism.progress.series_forecasts import forecast_table
from pluralism.progress.trajectory_table import TrajectoryTable


def test_the_published_table_is_reproduced() -> None:
    pytest.importorskip("gssdata", reason="the published table needs: pip install 'pluralism[progress]'")
    table = TrajectoryTable.from_gssdata().complete()
    assert (table.n_periods, table.dims, table.times[0], table.times[-1]) == (20, 17, 1988, 2024)
    found = forecast_table(table)
    expected = {
        "persistence": [2.53, 3.63, 5.34],
        "extrapolative:order=1": [3.71, 5.75, 9.95],
        "extrapolative:order=2": [6.45, 15.2, 43.8],
        "extrapolative:order=3": [11.8, 38.1, 165.0],
        "straight_line:window=8": [2.97, 4.08, 5.65],
        "frozen": [8.76, 9.02, 9.60],
    }
    for name, errors in expected.items():
        np.testing.assert_allclose(found.mae[found.agents.index(name)], errors, rtol=4e-3)
    angles = {"persistence": [0.998, 0.997, 0.993], "extrapolative:order=3": [0.961, 0.739, 0.244]}
    for name, cosines in angles.items():
        np.testing.assert_allclose(found.cosine[found.agents.index(name)], cosines, atol=6e-4)
    assert found.n_forecasts == (16, 15, 13)
    assert found.to_frame().num_rows == 24 and "MAE +4" in repr(found)
    # A damped trend is worth something over longer horizons, where differences are worse than nothing.
    assert found.skill[found.agents.index("damped_trend"), 2] > 0 > found.skill[1, 0]


def test_trends_of_the_general_social_survey(shared_data: Path) -> None:
    rows = pl.read_parquet(shared_data / "gss_trend" / "gss_sub_1972_on.parquet")
    long = rows.unpivot(["polviews", "fefam"], index=["year", "wtssps"]).drop_nulls().filter(pl.col("wtssps") > 0)
    table = mean_answers(long, columns={"time": "year", "dim": "variable", "weight": "wtssps"}).complete()
    assert table.n_periods >= 20 and 2 < table.mean[-1, table.dim_names.index("fefam")] < 4
    assert table.se[np.isfinite(table.se)].max() < 0.06
    found = forecast_table(table, horizons=(1, 4))
    names = found.agents
    assert found.mae[names.index("persistence"), 0] < found.mae[names.index("frozen"), 0]
    # A damped trend is about as good as persistence; every difference is worse, the more so the higher its order.
    assert abs(found.skill[names.index("damped_trend")]).max() < 0.2
    differences = [names.index(f"extrapolative:order={order}") for order in (1, 2, 3)]
    assert (found.skill[differences] < -1).all() and (np.diff(found.skill[differences], axis=0) < 0).all()


def test_means_of_the_panels_hardly_move(shared_data: Path) -> None:
    folder = shared_data / "gss_panels"
    levels = pl.read_parquet(folder / "levels.parquet").rename({"label": "response", "level": "value"})
    rows = pl.read_parquet(folder / "responses_2006.parquet").join(levels, on=["item", "response"])
    table = mean_answers(rows, columns={"time": "wave", "dim": "item"}).complete()
    assert table.n_periods == 3 and table.dims > 80
    found = forecast_table(table, ["persistence", "extrapolative:order=1", "frozen"], horizons=[1], first=2)
    assert found.mae[0, 0] < 0.06 and found.mae[0, 0] < found.mae[1, 0]
    env = TemporalEnv("follow", table)
    env.reset(seed=0)
    *_, info = env.step(table.mean[1] / 3.0)
    assert info["loss"] == pytest.approx(0.0, abs=1e-9)


def test_polls_by_party_group(shared_data: Path) -> None:
    polls = pl.read_parquet(shared_data / "polls_over_time" / "impeachment_polls.parquet")
    polls = polls.filter(pl.col("group").is_in(["dem", "rep", "ind"])).drop_nulls(["yes", "end"])
    polls = polls.with_columns(pl.col("end").dt.truncate("1w").alias("week"))
    long = polls.select("week", "group", pl.col("yes").alias("value")).with_columns(dim=pl.lit("support"))
    table = mean_answers(long, columns={"time": "week"}).complete()
    assert set(table.groups) == {"dem", "rep", "ind"} and table.n_periods > 10
    found = forecast_table(table, horizons=(1, 2))
    errors = dict(zip(found.agents, found.mae[:, 0], strict=True))
    # Weekly means are noisy: what averages beats what follows the last value, and differences are worst.
    assert errors["pooled"] < errors["extrapolative:order=1"] and errors["damped_trend"] < errors["persistence"]
    assert errors["extrapolative:order=3"] == max(errors.values())


def test_the_generic_ballot_by_month(shared_data: Path) -> None:
    polls = pl.read_parquet(shared_data / "polls_over_time" / "generic_ballot_daily.parquet")
    polls = polls.filter(pl.col("subgroup") == "All polls")
    polls = polls.with_columns(pl.col("date").dt.truncate("1mo").alias("month"))
    long = polls.unpivot(["dem_estimate", "rep_estimate"], index="month")
    table = mean_answers(long, columns={"time": "month", "dim": "variable"}).complete()
    assert table.n_periods > 200
    found = forecast_table(table, horizons=(1, 6))
    order = np.argsort(found.mae[:, 1])
    assert found.agents[order[-1]] == "extrapolative:order=3"
    assert found.mae[found.agents.index("persistence"), 1] < found.mae[found.agents.index("extrapolative:order=1"), 1]


def test_means_of_answers_by_hand() -> None:
    frame = {"time": [1, 1, 1, 2], "dim": ["a"] * 4, "value": [1.0, 2.0, 4.0, 5.0], "weight": [1.0, 1.0, 2.0, 0.5]}
    table = mean_answers(frame)
    assert table.values[:, 0, 0].tolist() == [2.75, 5.0] and table.n[0, 0, 0] == pytest.approx(16 / 6)
    variance = (1.75**2 + 0.75**2 + 2 * 1.25**2) / 4
    assert table.se[0, 0, 0] == pytest.approx(np.sqrt(variance / (16 / 6 - 1))) and np.isnan(table.se[1, 0, 0])
    plain = mean_answers({"time": [1] * 3, "dim": ["a"] * 3, "value": [1.0, 2.0, 4.0]})
    assert plain.se[0, 0, 0] == pytest.approx(np.std([1, 2, 4], ddof=1) / np.sqrt(3))
    with pytest.raises(DataError, match="a time and a weight"):
        mean_answers(frame | {"weight": [0.0] * 4})
    with pytest.raises(UsageError, match="nothing to forecast"):
        forecast_table(table)
    with pytest.raises(UsageError, match="does not forecast"):
        forecast_table(table, ["kalman"], horizons=[1], first=1)
