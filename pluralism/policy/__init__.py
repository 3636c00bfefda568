"""From rewards to policies on finite candidates: distributions beside a reference, each with a proof of optimality."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Not lazy: a solver has the name of its file, which a later import of the file would put in its place.
from pluralism.policy.best_of_n import best_of_n, estimate_best_of_n, worst_of_n
from pluralism.policy.binary_target import binary_target
from pluralism.policy.by_rule import policy_by_rule, policy_rules
from pluralism.policy.certificate import Certificate
from pluralism.policy.comparison import PolicyComparison, compare_policies
from pluralism.policy.directional_policy import DirectionalPolicy, attribute_utilities
from pluralism.policy.egalitarian_cost import EgalitarianCost, egalitarian_cost
from pluralism.policy.f_dpg import SampledDescent, f_divergence, f_dpg, f_dpg_sampled
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.frontier import Frontier, FrontierPath, frontier
from pluralism.policy.infalign import calibrated_tilt, infalign, inference_aware_win_rate
from pluralism.policy.inference_comparison import InferenceComparison, compare_inference
from pluralism.policy.kl_budget import kl_budget
from pluralism.policy.kl_optimal import kl_optimal
from pluralism.policy.leximin import leximin
from pluralism.policy.maxmin import maxmin
from pluralism.policy.minimax_regret import minimax_regret
from pluralism.policy.moment_target import moment_target, opinion_target
from pluralism.policy.p_mean import nash, p_mean
from pluralism.policy.parl import hypergradient, soft_policy, upper_gradient
from pluralism.policy.pessimistic import pessimistic
from pluralism.policy.preference_game import PreferenceGame
from pluralism.policy.pro_loss import plackett_luce_nll, pro_loss
from pluralism.policy.regularised_nash import regularised_nash
from pluralism.policy.rejection_sampling import ConditionalRanker, RejectionSampling, rejection_sampling
from pluralism.policy.robust import cvar, robust_mean
from pluralism.policy.sami_loss import sami_loss
from pluralism.policy.sample_minimum import sample_minimum
from pluralism.policy.self_play import SelfPlay, self_play
from pluralism.policy.sppo_loss import soft_win_rates, sppo_log_partition, sppo_loss
from pluralism.policy.trpa_loss import trpa_loss
from pluralism.policy.voting import by_voting
from pluralism.policy.win_rate import win_rate

if TYPE_CHECKING:
    from pluralism.policy import lm

__all__ = [
    "Certificate",
    "ConditionalRanker",
    "DirectionalPolicy",
    "EgalitarianCost",
    "FinitePolicy",
    "Frontier",
    "FrontierPath",
    "InferenceComparison",
    "PolicyComparison",
    "PreferenceGame",
    "RejectionSampling",
    "SampledDescent",
    "SelfPlay",
    "attribute_utilities",
    "best_of_n",
    "binary_target",
    "by_voting",
    "calibrated_tilt",
    "compare_inference",
    "compare_policies",
    "cvar",
    "egalitarian_cost",
    "estimate_best_of_n",
    "f_divergence",
    "f_dpg",
    "f_dpg_sampled",
    "frontier",
    "hypergradient",
    "infalign",
    "inference_aware_win_rate",
    "kl_budget",
    "kl_optimal",
    "leximin",
    "lm",
    "maxmin",
    "minimax_regret",
    "moment_target",
    "nash",
    "opinion_target",
    "p_mean",
    "pessimistic",
    "plackett_luce_nll",
    "policy_by_rule",
    "policy_rules",
    "pro_loss",
    "regularised_nash",
    "rejection_sampling",
    "robust_mean",
    "sami_loss",
    "sample_minimum",
    "self_play",
    "soft_policy",
    "soft_win_rates",
    "sppo_log_partition",
    "sppo_loss",
    "trpa_loss",
    "upper_gradient",
    "win_rate",
    "worst_of_n",
]


def __getattr__(name: str) -> Any:
    if name == "lm":
        return importlib.import_module("pluralism.policy.lm")
    raise AttributeError(f"module 'pluralism.policy' has no attribute {name!r}")
