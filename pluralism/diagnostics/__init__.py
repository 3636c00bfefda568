"""What went wrong, and for whom: checks of fitted models, of policies, and of language models in training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Not lazy: a function has the name of its file, which a later import of the file would put in its place.
from pluralism.diagnostics.single_reward_gap import SingleRewardGap, single_reward_gap, single_reward_gap_of_model

_WHERE = {
    "Alarm": "over_optimisation_band",
    "AlignmentQuality": "quality_index",
    "BranchingFactor": "branching",
    "BudgetCurve": "budget_curve",
    "BudgetCurves": "budget_curve",
    "ClusterIndices": "cluster_separation",
    "DPOHardness": "hardness",
    "DeceptionScore": "deception",
    "EnsembleDisagreement": "disagreement",
    "Entanglement": "gradient_entanglement",
    "IdealisedRanking": "idealised_ranking",
    "InstrumentResult": "instrument_result",
    "LayerPool": "layer_pooling",
    "LengthAndKL": "length_report",
    "MARGIN_LOSSES": "margin_losses",
    "OnlineAgainstOffline": "online_offline",
    "OverOptimisation": "over_optimisation_band",
    "OverOptimisationMonitor": "over_optimisation_monitor",
    "PairLogProbs": "pair_log_probs",
    "PairTerms": "margin_losses",
    "RankingAccuracy": "ranking",
    "TokenShift": "token_ranks",
    "TopK": "top_k",
    "UtilityFront": "group_front",
    "alignment_quality": "quality_index",
    "branching_factor": "branching",
    "branching_factor_of_tokens": "branching",
    "cluster_indices": "cluster_separation",
    "deception_score": "deception",
    "dpo_hardness": "hardness",
    "ensemble_disagreement": "disagreement",
    "ensemble_disagreement_of_model": "disagreement",
    "entanglement": "gradient_entanglement",
    "entanglement_of_model": "entangled_gradients",
    "fit_layer_pool": "layer_pooling",
    "hidden_states": "answer_states",
    "idealised_ranking_accuracy": "idealised_ranking",
    "kl_budget_curve": "budget_curve",
    "length_and_kl": "length_report",
    "length_and_kl_of_models": "length_report",
    "online_against_offline": "online_offline",
    "over_optimisation": "over_optimisation_band",
    "ranking_accuracy": "ranking",
    "token_shift": "token_ranks",
    "token_shift_of_ranks": "token_ranks",
    "top_k_entropy": "top_k",
    "top_k_mass": "top_k",
    "top_k_of_model": "top_k",
    "utility_front": "group_front",
    "utility_front_of_values": "group_front",
}

__all__ = [
    "MARGIN_LOSSES",
    "Alarm",
    "AlignmentQuality",
    "BranchingFactor",
    "BudgetCurve",
    "BudgetCurves",
    "ClusterIndices",
    "DPOHardness",
    "DeceptionScore",
    "EnsembleDisagreement",
    "Entanglement",
    "IdealisedRanking",
    "InstrumentResult",
    "LayerPool",
    "LengthAndKL",
    "OnlineAgainstOffline",
    "OverOptimisation",
    "OverOptimisationMonitor",
    "PairLogProbs",
    "PairTerms",
    "RankingAccuracy",
    "SingleRewardGap",
    "TokenShift",
    "TopK",
    "UtilityFront",
    "alignment_quality",
    "branching_factor",
    "branching_factor_of_tokens",
    "cluster_indices",
    "deception_score",
    "dpo_hardness",
    "ensemble_disagreement",
    "ensemble_disagreement_of_model",
    "entanglement",
    "entanglement_of_model",
    "fit_layer_pool",
    "hidden_states",
    "idealised_ranking_accuracy",
    "kl_budget_curve",
    "length_and_kl",
    "length_and_kl_of_models",
    "online_against_offline",
    "over_optimisation",
    "ranking_accuracy",
    "single_reward_gap",
    "single_reward_gap_of_model",
    "token_shift",
    "token_shift_of_ranks",
    "top_k_entropy",
    "top_k_mass",
    "top_k_of_model",
    "utility_front",
    "utility_front_of_values",
]

if TYPE_CHECKING:
    from pluralism.diagnostics.answer_states import hidden_states
    from pluralism.diagnostics.branching import BranchingFactor, branching_factor, branching_factor_of_tokens
    from pluralism.diagnostics.budget_curve import BudgetCurve, BudgetCurves, kl_budget_curve
    from pluralism.diagnostics.cluster_separation import ClusterIndices, cluster_indices
    from pluralism.diagnostics.deception import DeceptionScore, deception_score
    from pluralism.diagnostics.disagreement import (
        EnsembleDisagreement,
        ensemble_disagreement,
        ensemble_disagreement_of_model,
    )
    from pluralism.diagnostics.entangled_gradients import entanglement_of_model
    from pluralism.diagnostics.gradient_entanglement import Entanglement, entanglement
    from pluralism.diagnostics.group_front import UtilityFront, utility_front, utility_front_of_values
    from pluralism.diagnostics.hardness import DPOHardness, dpo_hardness
    from pluralism.diagnostics.idealised_ranking import IdealisedRanking, idealised_ranking_accuracy
    from pluralism.diagnostics.instrument_result import InstrumentResult
    from pluralism.diagnostics.layer_pooling import LayerPool, fit_layer_pool
    from pluralism.diagnostics.length_report import LengthAndKL, length_and_kl, length_and_kl_of_models
    from pluralism.diagnostics.margin_losses import MARGIN_LOSSES, PairTerms
    from pluralism.diagnostics.online_offline import OnlineAgainstOffline, online_against_offline
    from pluralism.diagnostics.over_optimisation_band import Alarm, OverOptimisation, over_optimisation
    from pluralism.diagnostics.over_optimisation_monitor import OverOptimisationMonitor
    from pluralism.diagnostics.pair_log_probs import PairLogProbs
    from pluralism.diagnostics.quality_index import AlignmentQuality, alignment_quality
    from pluralism.diagnostics.ranking import RankingAccuracy, ranking_accuracy
    from pluralism.diagnostics.token_ranks import TokenShift, token_shift, token_shift_of_ranks
    from pluralism.diagnostics.top_k import TopK, top_k_entropy, top_k_mass, top_k_of_model


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"pluralism.diagnostics.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'pluralism.diagnostics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
