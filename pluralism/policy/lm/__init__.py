"""Policies that are language models: fitted rewards for trainers, recipes over TRL, and conditioning without training.

Needs the extra ``lm`` (transformers, TRL, PEFT, accelerate, datasets); importing this package loads none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "BASE_TEMPLATE",
    "Adapter",
    "AdapterBank",
    "ConditionedPairs",
    "ConditioningExperiment",
    "ConstitutionMI",
    "CrossScores",
    "DirectionalRun",
    "DirectionalTuning",
    "DualWeights",
    "Generations",
    "HeldOutPair",
    "LabelPermutation",
    "LanguageModel",
    "LayerwiseAverage",
    "Lora",
    "MonteCarloKL",
    "PromptTuning",
    "SequenceClassifier",
    "SequenceLogProbs",
    "TextReward",
    "adapter_soup",
    "condition",
    "constitution_mi",
    "cross_scores",
    "distinct_n",
    "held_out_pair",
    "label_permutation",
    "layerwise_average",
    "model_soup",
    "monte_carlo_kl",
    "refuse_optimised",
    "reward_function",
    "reward_functions",
    "self_bleu",
    "single_policies",
    "train_from_scratch",
]

_WHERE = {
    "Adapter": "adapters",
    "AdapterBank": "adapter_bank",
    "BASE_TEMPLATE": "language_model",
    "ConditionedPairs": "conditioned_pairs",
    "ConditioningExperiment": "experiment",
    "ConstitutionMI": "principle_information",
    "CrossScores": "cross_scoring",
    "DirectionalRun": "directional_run",
    "DirectionalTuning": "directional_tuning",
    "DualWeights": "dual_weights",
    "Generations": "generations",
    "HeldOutPair": "held_out_judges",
    "LabelPermutation": "diagonal_test",
    "LanguageModel": "language_model",
    "LayerwiseAverage": "layerwise_averaging",
    "Lora": "adapter_settings",
    "MonteCarloKL": "sampled_kl",
    "PromptTuning": "adapter_settings",
    "SequenceClassifier": "sequence_classifier",
    "SequenceLogProbs": "sequence_log_probs",
    "TextReward": "text_rewards",
    "adapter_soup": "soups",
    "condition": "experiment_run",
    "constitution_mi": "principle_information",
    "cross_scores": "cross_scoring",
    "distinct_n": "text_diversity",
    "held_out_pair": "held_out_judges",
    "label_permutation": "diagonal_test",
    "layerwise_average": "layerwise_averaging",
    "model_soup": "soups",
    "monte_carlo_kl": "sampled_kl",
    "refuse_optimised": "held_out_judges",
    "reward_function": "trl_rewards",
    "reward_functions": "trl_rewards",
    "self_bleu": "text_diversity",
    "single_policies": "welfare_policies",
    "train_from_scratch": "from_scratch",
}

if TYPE_CHECKING:
    from pluralism.policy.lm.adapter_bank import AdapterBank
    from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
    from pluralism.policy.lm.adapters import Adapter
    from pluralism.policy.lm.conditioned_pairs import ConditionedPairs
    from pluralism.policy.lm.cross_scoring import CrossScores, cross_scores
    from pluralism.policy.lm.diagonal_test import LabelPermutation, label_permutation
    from pluralism.policy.lm.directional_run import DirectionalRun
    from pluralism.policy.lm.directional_tuning import DirectionalTuning
    from pluralism.policy.lm.dual_weights import DualWeights
    from pluralism.policy.lm.experiment import ConditioningExperiment
    from pluralism.policy.lm.experiment_run import condition
    from pluralism.policy.lm.from_scratch import train_from_scratch
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.held_out_judges import HeldOutPair, held_out_pair, refuse_optimised
    from pluralism.policy.lm.language_model import BASE_TEMPLATE, LanguageModel
    from pluralism.policy.lm.layerwise_averaging import LayerwiseAverage, layerwise_average
    from pluralism.policy.lm.principle_information import ConstitutionMI, constitution_mi
    from pluralism.policy.lm.sampled_kl import MonteCarloKL, monte_carlo_kl
    from pluralism.policy.lm.sequence_classifier import SequenceClassifier
    from pluralism.policy.lm.sequence_log_probs import SequenceLogProbs
    from pluralism.policy.lm.soups import adapter_soup, model_soup
    from pluralism.policy.lm.text_diversity import distinct_n, self_bleu
    from pluralism.policy.lm.text_rewards import TextReward
    from pluralism.policy.lm.trl_rewards import reward_function, reward_functions
    from pluralism.policy.lm.welfare_policies import single_policies


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"pluralism.policy.lm.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'pluralism.policy.lm' has no attribute {name!r}")
