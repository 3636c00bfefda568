"""Forecasts of later waves of a measured series from earlier ones, by the baselines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Estimator
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.published_score import cosine
from pluralism.progress.trajectory_table import TrajectoryTable

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DEFAULT_AGENTS", "ForecastTable", "forecast_table"]

DEFAULT_AGENTS = (
    "persistence",
    "extrapolative:order=1",
    "extrapolative:order=2",
    "extrapolative:order=3",
    "straight_line:window=8",
    "damped_trend",
    "pooled",
    "frozen",
)


@dataclass(frozen=True, eq=False, repr=False)
class ForecastTable:
    """Errors of forecasts.

    Attributes
    ----------
    agents : tuple of str
    horizons : tuple of int
        In waves.
    mae, cosine, skill : arrays of shape (agents, horizons)
        Mean absolute error in the units of the series, mean cosine between forecast and truth over all groups and
        dimensions of a wave, and 1 less the mean squared error over that of persistence.
    n_forecasts : tuple of int
        Waves that were forecast, for each horizon.
    """

    agents: tuple[str, ...]
    horizons: tuple[int, ...]
    mae: Float[np.ndarray, "agents horizons"]
    cosine: Float[np.ndarray, "agents horizons"]
    skill: Float[np.ndarray, "agents horizons"]
    n_forecasts: tuple[int, ...]

    def to_frame(self) -> pa.Table:
        """Columns `agent, horizon, mae, cosine, skill, n`."""
        import pyarrow as pa

        rows = [
            {
                "agent": agent,
                "horizon": horizon,
                **{name: float(getattr(self, name)[a, h]) for name in ("mae", "cosine", "skill")},
                "n": self.n_forecasts[h],
            }
            for a, agent in enumerate(self.agents)
            for h, horizon in enumerate(self.horizons)
        ]
        return pa.Table.from_pylist(rows)

    def to_json(self, *, indent: int | None = None) -> str:
        """The rows of `to_frame`, as JSON."""
        return json.dumps(json_ready(self.to_frame().to_pylist()), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        columns: dict[str, Any] = {"agent": self.agents}
        for h, horizon in enumerate(self.horizons):
            columns[f"MAE +{horizon}"] = self.mae[:, h].tolist()
            columns[f"cosine +{horizon}"] = self.cosine[:, h].tolist()
            columns[f"skill +{horizon}"] = self.skill[:, h].tolist()
        return format_table(columns, 3)


def forecast_table(
    table: TrajectoryTable,
    agents: Sequence[str] = DEFAULT_AGENTS,
    *,
    horizons: Sequence[int] = (1, 2, 4),
    first: int = 4,
) -> ForecastTable:
    """Forecast every wave from the waves before it.

    Parameters
    ----------
    table : TrajectoryTable
        With every wave complete; waves count as equally far apart.
    agents : sequence of str
        Baselines that forecast from estimates, as for `make_agent`.
    horizons : sequence of int
        How many waves ahead, each at least 1.
    first : int
        Waves that must be known before the first forecast; 4 are what differences of order 3 need. Methods that need
        more begin with a lower order, or a shorter window.

    Raises
    ------
    UsageError
        If a horizon leaves nothing to forecast, or an agent does not forecast from estimates.

    Examples
    --------
    >>> line = TrajectoryTable.of_waves(range(6), ["a", "b"], [[t, 1 - t] for t in range(6)])
    >>> forecast_table(line, ["persistence", "straight_line"], horizons=[1], first=2).mae.round(6).ravel().tolist()
    [1.0, 0.0]
    """
    made = [make_agent(name) for name in agents]
    for name, agent in zip(agents, made, strict=True):
        if not isinstance(agent, Estimator):
            raise UsageError(f"{name!r} does not forecast from a series.", fix="Use persistence, damped_trend, ...")
    waves = table.paths(np.zeros((1, 0))).groups[0].reshape(table.n_periods, -1)
    if first < 1 or min(horizons, default=0) < 1 or first + max(horizons) > len(waves):
        raise UsageError(
            f"{len(waves)} waves leave nothing to forecast {max(horizons, default=0)} ahead after {first}.",
            fix="Use shorter horizons, or first=1.",
        )
    persistence = make_agent("persistence")
    shape = (len(made), len(horizons))
    mae, angle, skill = (np.empty(shape) for _ in range(3))
    for h, horizon in enumerate(horizons):
        truth = waves[first + horizon - 1 :]
        base = np.square(_forecasts(persistence, waves, first, horizon) - truth).mean()
        for a, agent in enumerate(made):
            said = _forecasts(agent, waves, first, horizon)
            mae[a, h] = np.abs(said - truth).mean()
            angle[a, h] = cosine(said, truth).mean()
            skill[a, h] = 1.0 - np.square(said - truth).mean() / base if base > 0 else math.nan
    counts = tuple(len(waves) - first - horizon + 1 for horizon in horizons)
    return ForecastTable(tuple(agents), tuple(horizons), mae, angle, skill, counts)


def _forecasts(agent: Any, waves: Float[np.ndarray, "periods dim"], first: int, horizon: int) -> np.ndarray:
    return np.stack([agent.forecast(waves[None, :t], horizon)[0] for t in range(first, len(waves) - horizon + 1)])
