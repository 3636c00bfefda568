"""Values over time: how they move, environments in which agents follow, predict or co-evolve with them, and scores.

The environments are Gymnasium's; oracles say what can be reached at best::

    import gymnasium
    from pluralism.progress import register_environments, run_agents

    register_environments()
    env = gymnasium.make("pluralism/Predict-v0", process="damped_trend", horizon=2)

    run_agents("Predict-v0", ["persistence", "damped_trend", "kalman"], seeds=20, horizon=2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pluralism.extras import require

_NAMES = {
    "Agent": "agents.agent",
    "AgentComparison": "comparison",
    "AgentRun": "agent_run",
    "CoevolutionOptimum": "riccati",
    "Examinee": "examinee",
    "ExamineeAgent": "agents.examined",
    "ForecastTable": "series_forecasts",
    "ItemBank": "item_bank",
    "ItemTexts": "item_texts",
    "Judge": "judge",
    "LinearGaussian": "linear_gaussian",
    "OracleInfo": "wrappers",
    "Population": "population",
    "PopulationRun": "population_run",
    "PreferenceLog": "preference_log",
    "QueryBudget": "wrappers",
    "RecordTemporalStatistics": "wrappers",
    "SimulatedDrift": "simulated_drift",
    "StandIn": "stand_in",
    "Task": "task",
    "TemporalEnv": "environment",
    "TemporalVectorEnv": "vector_environment",
    "TextCorpus": "text_corpus",
    "ThreeWaves": "panel_change",
    "ToyChain": "toy_chain",
    "TrajectoryTable": "trajectory_table",
    "TrustDial": "trust",
    "ValueItems": "value_scorer",
    "ValueProcess": "value_process",
    "ValueProfile": "value_scorer",
    "agent_names": "agents.catalogue",
    "coevolution_frontier": "coevolution_frontiers",
    "coevolution_optimum": "riccati",
    "depermuted": "option_orders",
    "dictionary_scorer": "text_corpus",
    "forecast_table": "series_forecasts",
    "leaderboard_markdown": "leaderboard",
    "leaderboard_page": "leaderboard",
    "leaderboard_pictures": "leaderboard",
    "make_agent": "agents.catalogue",
    "mean_answers": "answers",
    "measures": "metrics",
    "model_respondent": "model_scorers",
    "model_text_scorer": "model_scorers",
    "normalised_score": "scoring",
    "read_comparisons": "leaderboard",
    "register_environments": "registration",
    "run_agent": "agent_run",
    "run_agents": "comparison",
    "three_waves": "panel_change",
    "worded_items": "items_in_words",
}

__all__ = [
    "Agent",
    "AgentComparison",
    "AgentRun",
    "CoevolutionOptimum",
    "Examinee",
    "ExamineeAgent",
    "ForecastTable",
    "ItemBank",
    "ItemTexts",
    "Judge",
    "LinearGaussian",
    "OracleInfo",
    "Population",
    "PopulationRun",
    "PreferenceLog",
    "QueryBudget",
    "RecordTemporalStatistics",
    "SimulatedDrift",
    "StandIn",
    "Task",
    "TemporalEnv",
    "TemporalVectorEnv",
    "TextCorpus",
    "ThreeWaves",
    "ToyChain",
    "TrajectoryTable",
    "TrustDial",
    "ValueItems",
    "ValueProcess",
    "ValueProfile",
    "agent_names",
    "coevolution_frontier",
    "coevolution_optimum",
    "depermuted",
    "dictionary_scorer",
    "forecast_table",
    "leaderboard_markdown",
    "leaderboard_page",
    "leaderboard_pictures",
    "make_agent",
    "mean_answers",
    "measures",
    "model_respondent",
    "model_text_scorer",
    "normalised_score",
    "read_comparisons",
    "register_environments",
    "run_agent",
    "run_agents",
    "three_waves",
    "worded_items",
]

if TYPE_CHECKING:
    from pluralism.progress.agent_run import AgentRun, run_agent
    from pluralism.progress.agents.agent import Agent
    from pluralism.progress.agents.catalogue import agent_names, make_agent
    from pluralism.progress.agents.examined import ExamineeAgent
    from pluralism.progress.answers import mean_answers
    from pluralism.progress.coevolution_frontiers import coevolution_frontier
    from pluralism.progress.comparison import AgentComparison, run_agents
    from pluralism.progress.environment import TemporalEnv
    from pluralism.progress.examinee import Examinee
    from pluralism.progress.item_bank import ItemBank
    from pluralism.progress.item_texts import ItemTexts
    from pluralism.progress.items_in_words import worded_items
    from pluralism.progress.judge import Judge
    from pluralism.progress.leaderboard import (
        leaderboard_markdown,
        leaderboard_page,
        leaderboard_pictures,
        read_comparisons,
    )
    from pluralism.progress.linear_gaussian import LinearGaussian
    from pluralism.progress.metrics import measures
    from pluralism.progress.model_scorers import model_respondent, model_text_scorer
    from pluralism.progress.option_orders import depermuted
    from pluralism.progress.panel_change import ThreeWaves, three_waves
    from pluralism.progress.population import Population
    from pluralism.progress.population_run import PopulationRun
    from pluralism.progress.preference_log import PreferenceLog
    from pluralism.progress.registration import register_environments
    from pluralism.progress.riccati import CoevolutionOptimum, coevolution_optimum
    from pluralism.progress.scoring import normalised_score
    from pluralism.progress.series_forecasts import ForecastTable, forecast_table
    from pluralism.progress.simulated_drift import SimulatedDrift
    from pluralism.progress.stand_in import StandIn
    from pluralism.progress.task import Task
    from pluralism.progress.text_corpus import TextCorpus, dictionary_scorer
    from pluralism.progress.toy_chain import ToyChain
    from pluralism.progress.trajectory_table import TrajectoryTable
    from pluralism.progress.trust import TrustDial
    from pluralism.progress.value_process import ValueProcess
    from pluralism.progress.value_scorer import ValueItems, ValueProfile
    from pluralism.progress.vector_environment import TemporalVectorEnv
    from pluralism.progress.wrappers import OracleInfo, QueryBudget, RecordTemporalStatistics

# What stands on Gymnasium; agents, runs and scores need no extra.
_ENVIRONMENTS = ("environment", "registration", "vector_environment", "wrappers")


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        if _NAMES[name] in _ENVIRONMENTS:
            require("gymnasium", extra="progress", purpose=f"pluralism.progress.{name}")
        return getattr(importlib.import_module(f"pluralism.progress.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.progress' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
