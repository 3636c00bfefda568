"""Values over time: how they move, environments in which agents follow, predict or co-evolve with them, and scores.

The environments are Gymnasium's::

    import gymnasium
    from pluralism.progress import register_environments

    register_environments()
    env = gymnasium.make("pluralism/Predict-v0", process="damped_trend", horizon=2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "ItemBank": "item_bank",
    "LinearGaussian": "linear_gaussian",
    "OracleInfo": "wrappers",
    "Population": "population",
    "PopulationRun": "population_run",
    "PreferenceLog": "preference_log",
    "QueryBudget": "wrappers",
    "SimulatedDrift": "simulated_drift",
    "Task": "task",
    "TemporalEnv": "environment",
    "TemporalVectorEnv": "vector_environment",
    "TrajectoryTable": "trajectory_table",
    "TrustDial": "trust",
    "ValueProcess": "value_process",
    "depermuted": "option_orders",
    "register_environments": "registration",
}

__all__ = [
    "ItemBank",
    "LinearGaussian",
    "OracleInfo",
    "Population",
    "PopulationRun",
    "PreferenceLog",
    "QueryBudget",
    "SimulatedDrift",
    "Task",
    "TemporalEnv",
    "TemporalVectorEnv",
    "TrajectoryTable",
    "TrustDial",
    "ValueProcess",
    "depermuted",
    "register_environments",
]

if TYPE_CHECKING:
    from pluralism.progress.environment import TemporalEnv
    from pluralism.progress.item_bank import ItemBank
    from pluralism.progress.linear_gaussian import LinearGaussian
    from pluralism.progress.option_orders import depermuted
    from pluralism.progress.population import Population
    from pluralism.progress.population_run import PopulationRun
    from pluralism.progress.preference_log import PreferenceLog
    from pluralism.progress.registration import register_environments
    from pluralism.progress.simulated_drift import SimulatedDrift
    from pluralism.progress.task import Task
    from pluralism.progress.trajectory_table import TrajectoryTable
    from pluralism.progress.trust import TrustDial
    from pluralism.progress.value_process import ValueProcess
    from pluralism.progress.vector_environment import TemporalVectorEnv
    from pluralism.progress.wrappers import OracleInfo, QueryBudget


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.progress.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.progress' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
