"""Who decides when principles conflict, and is it arbitrary? An audit of people and models; fair judges; reasons.

Principles say which of two responses each favours; annotators decide. Where all principles agree, a decision against
them is arbitrary; where they conflict, decisions say which principles come first::

    from pluralism.discretion import audit_discretion, factor_preferences, human_verdicts, read_principles

    found = factor_preferences(comparisons, read_principles("factors"))
    audit_discretion(comparisons, found, [human_verdicts(comparisons)])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Arbitrariness": "measures.arbitrariness",
    "BalancedVerdicts": "judges.balanced",
    "BetweenGroups": "measures.between_groups",
    "Categories": "measures.categories",
    "Discrepancy": "measures.discrepancy",
    "DiscretionAudit": "measures.audit",
    "FactorInfluence": "factors.influence",
    "GraphDiscrepancy": "bridge",
    "JudgeReliability": "judges.reliability",
    "JudgeTrials": "judges.trials",
    "OrderSwap": "order_swap",
    "Principle": "principles",
    "PrinciplePreferences": "preferences",
    "PrincipleSet": "principles",
    "Priority": "measures.priority",
    "PropertyWeights": "factors.property_weights",
    "Reasons": "factors.reasons",
    "SequenceReward": "annotators.sequence_reward",
    "Supremacy": "measures.supremacy",
    "Tournament": "measures.tournament",
    "Verdicts": "annotators.verdicts",
    "audit_discretion": "measures.audit",
    "balanced_judgement": "judges.balanced",
    "balancing_gain": "judges.balanced",
    "between_groups": "measures.between_groups",
    "bpde": "judges.entropy",
    "discretion_arbitrariness": "measures.single",
    "discretion_discrepancy": "measures.discrepancy",
    "explain_verdicts": "factors.reasons",
    "factor_differences": "factors.differences",
    "factor_influence": "factors.influence",
    "factor_names": "factors.built_in",
    "factor_preferences": "oracles.factor",
    "factor_values": "factors.built_in",
    "filter_consistent": "judges.consistency",
    "graph_discrepancy": "bridge",
    "group_verdicts": "annotators.people",
    "human_verdicts": "annotators.people",
    "judge_preferences": "oracles.judge",
    "judge_reliability": "judges.reliability",
    "judge_verdicts": "annotators.judge",
    "likelihood_verdicts": "annotators.judge",
    "model_verdicts": "annotators.model",
    "people_preferences": "oracles.people",
    "position_bias": "judges.position_bias",
    "preferences_from_table": "oracles.table",
    "principle_priority": "measures.priority",
    "principle_sets": "principles",
    "principle_supremacy": "measures.single",
    "property_weights": "factors.property_weights",
    "read_preferences": "oracles.table",
    "read_principles": "principles",
    "reward_consistency": "judges.consistency",
    "reward_preferences": "oracles.reward",
    "reward_verdicts": "annotators.reward",
    "route_to_people": "judges.routing",
    "values_as_principles": "principles",
}

__all__ = [
    "Arbitrariness",
    "BalancedVerdicts",
    "BetweenGroups",
    "Categories",
    "Discrepancy",
    "DiscretionAudit",
    "FactorInfluence",
    "GraphDiscrepancy",
    "JudgeReliability",
    "JudgeTrials",
    "OrderSwap",
    "Principle",
    "PrinciplePreferences",
    "PrincipleSet",
    "Priority",
    "PropertyWeights",
    "Reasons",
    "SequenceReward",
    "Supremacy",
    "Tournament",
    "Verdicts",
    "audit_discretion",
    "balanced_judgement",
    "balancing_gain",
    "between_groups",
    "bpde",
    "discretion_arbitrariness",
    "discretion_discrepancy",
    "explain_verdicts",
    "factor_differences",
    "factor_influence",
    "factor_names",
    "factor_preferences",
    "factor_values",
    "filter_consistent",
    "graph_discrepancy",
    "group_verdicts",
    "human_verdicts",
    "judge_preferences",
    "judge_reliability",
    "judge_verdicts",
    "likelihood_verdicts",
    "model_verdicts",
    "people_preferences",
    "position_bias",
    "preferences_from_table",
    "principle_priority",
    "principle_sets",
    "principle_supremacy",
    "property_weights",
    "read_preferences",
    "read_principles",
    "reward_consistency",
    "reward_preferences",
    "reward_verdicts",
    "route_to_people",
    "values_as_principles",
]

if TYPE_CHECKING:
    from pluralism.discretion.annotators.judge import judge_verdicts, likelihood_verdicts
    from pluralism.discretion.annotators.model import model_verdicts
    from pluralism.discretion.annotators.people import group_verdicts, human_verdicts
    from pluralism.discretion.annotators.reward import reward_verdicts
    from pluralism.discretion.annotators.sequence_reward import SequenceReward
    from pluralism.discretion.annotators.verdicts import Verdicts
    from pluralism.discretion.bridge import GraphDiscrepancy, graph_discrepancy
    from pluralism.discretion.factors.built_in import factor_names, factor_values
    from pluralism.discretion.factors.differences import factor_differences
    from pluralism.discretion.factors.influence import FactorInfluence, factor_influence
    from pluralism.discretion.factors.property_weights import PropertyWeights, property_weights
    from pluralism.discretion.factors.reasons import Reasons, explain_verdicts
    from pluralism.discretion.judges.balanced import BalancedVerdicts, balanced_judgement, balancing_gain
    from pluralism.discretion.judges.consistency import filter_consistent, reward_consistency
    from pluralism.discretion.judges.entropy import bpde
    from pluralism.discretion.judges.position_bias import position_bias
    from pluralism.discretion.judges.reliability import JudgeReliability, judge_reliability
    from pluralism.discretion.judges.routing import route_to_people
    from pluralism.discretion.judges.trials import JudgeTrials
    from pluralism.discretion.measures.arbitrariness import Arbitrariness
    from pluralism.discretion.measures.audit import DiscretionAudit, audit_discretion
    from pluralism.discretion.measures.between_groups import BetweenGroups, between_groups
    from pluralism.discretion.measures.categories import Categories
    from pluralism.discretion.measures.discrepancy import Discrepancy, discretion_discrepancy
    from pluralism.discretion.measures.priority import Priority, principle_priority
    from pluralism.discretion.measures.single import discretion_arbitrariness, principle_supremacy
    from pluralism.discretion.measures.supremacy import Supremacy
    from pluralism.discretion.measures.tournament import Tournament
    from pluralism.discretion.oracles.factor import factor_preferences
    from pluralism.discretion.oracles.judge import judge_preferences
    from pluralism.discretion.oracles.people import people_preferences
    from pluralism.discretion.oracles.reward import reward_preferences
    from pluralism.discretion.oracles.table import preferences_from_table, read_preferences
    from pluralism.discretion.order_swap import OrderSwap
    from pluralism.discretion.preferences import PrinciplePreferences
    from pluralism.discretion.principles import (
        Principle,
        PrincipleSet,
        principle_sets,
        read_principles,
        values_as_principles,
    )


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.discretion.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.discretion' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
