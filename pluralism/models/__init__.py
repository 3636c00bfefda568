"""Fitted preference models: who the groups are, what each wants, how sure we are, and what a new person wants."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "VPL",
    "BayesianMixture",
    "BradleyTerry",
    "CollaborativeReward",
    "DirectionalReward",
    "GeneralPreference",
    "HierarchicalBradleyTerry",
    "IdealPoint",
    "LowRankReward",
    "Membership",
    "MixtureBradleyTerry",
    "MultiSource",
    "OrdinalBradleyTerry",
    "PerUserRidge",
    "PlackettLuce",
    "PreferenceModel",
    "PromptIdealPoint",
    "RewardEnsemble",
    "load",
    "model_from_recipe",
    "recipes",
]

_WHERE = {
    "BayesianMixture": "bayesian_mixture",
    "BradleyTerry": "bradley_terry",
    "CollaborativeReward": "collaborative",
    "DirectionalReward": "directional",
    "GeneralPreference": "general_preference",
    "HierarchicalBradleyTerry": "hierarchical_bradley_terry",
    "IdealPoint": "ideal_point",
    "LowRankReward": "low_rank",
    "Membership": "membership",
    "MixtureBradleyTerry": "mixture_bradley_terry",
    "MultiSource": "multi_source",
    "OrdinalBradleyTerry": "ordinal",
    "PerUserRidge": "per_user",
    "PlackettLuce": "plackett_luce",
    "PreferenceModel": "base",
    "PromptIdealPoint": "prompt_ideal_point",
    "RewardEnsemble": "ensemble",
    "VPL": "vpl",
    "load": "base",
    "model_from_recipe": "recipes",
    "recipes": "recipes",
}

if TYPE_CHECKING:
    from pluralism.models import recipes
    from pluralism.models.base import PreferenceModel, load
    from pluralism.models.bayesian_mixture import BayesianMixture
    from pluralism.models.bradley_terry import BradleyTerry
    from pluralism.models.collaborative import CollaborativeReward
    from pluralism.models.directional import DirectionalReward
    from pluralism.models.ensemble import RewardEnsemble
    from pluralism.models.general_preference import GeneralPreference
    from pluralism.models.hierarchical_bradley_terry import HierarchicalBradleyTerry
    from pluralism.models.ideal_point import IdealPoint
    from pluralism.models.low_rank import LowRankReward
    from pluralism.models.membership import Membership
    from pluralism.models.mixture_bradley_terry import MixtureBradleyTerry
    from pluralism.models.multi_source import MultiSource
    from pluralism.models.ordinal import OrdinalBradleyTerry
    from pluralism.models.per_user import PerUserRidge
    from pluralism.models.plackett_luce import PlackettLuce
    from pluralism.models.prompt_ideal_point import PromptIdealPoint
    from pluralism.models.recipes import model_from_recipe
    from pluralism.models.vpl import VPL


def __getattr__(name: str) -> Any:
    if name == "recipes":
        return importlib.import_module("pluralism.models.recipes")
    if name in _WHERE:
        return getattr(importlib.import_module(f"pluralism.models.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'pluralism.models' has no attribute {name!r}")
