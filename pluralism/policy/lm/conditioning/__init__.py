"""Answers for a group without training: words before the prompt, choices among samples, and changes to the decoding."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Attribution": "path_attribution",
    "BestOfN": "best_of_n",
    "BestOfNChoice": "best_of_n",
    "Conditioner": "conditioner",
    "ContrastiveDecoding": "contrastive_policy",
    "ContrastiveGuidance": "contrastive_guidance",
    "ContrastiveTeacher": "contrastive_teacher",
    "ExamplePool": "example_pool",
    "InContext": "in_context",
    "ModelBank": "model_bank",
    "RewardGuidance": "reward_guidance",
    "RewardGuided": "reward_guided",
    "SinglePolicy": "single_policy",
    "Steered": "steered_policy",
    "SteeringVector": "steering_vector",
    "SystemMessage": "system_message",
    "SystemPrompted": "system_prompted",
    "ValueRecord": "value_record",
    "WelfareBestOfN": "best_of_n",
    "adaptive_logits": "contrastive_logits",
    "attribute_margin": "attribution",
    "attributed_steering": "attribution",
    "example_pools": "example_pool",
    "extrapolated_logits": "contrastive_logits",
    "integrated_gradients": "path_attribution",
    "taste_messages": "tastes",
    "teacher_model": "contrastive_teacher",
}

__all__ = [
    "Attribution",
    "BestOfN",
    "BestOfNChoice",
    "Conditioner",
    "ContrastiveDecoding",
    "ContrastiveGuidance",
    "ContrastiveTeacher",
    "ExamplePool",
    "InContext",
    "ModelBank",
    "RewardGuidance",
    "RewardGuided",
    "SinglePolicy",
    "Steered",
    "SteeringVector",
    "SystemMessage",
    "SystemPrompted",
    "ValueRecord",
    "WelfareBestOfN",
    "adaptive_logits",
    "attribute_margin",
    "attributed_steering",
    "example_pools",
    "extrapolated_logits",
    "integrated_gradients",
    "taste_messages",
    "teacher_model",
]

if TYPE_CHECKING:
    from pluralism.policy.lm.conditioning.attribution import attribute_margin, attributed_steering
    from pluralism.policy.lm.conditioning.best_of_n import BestOfN, BestOfNChoice, WelfareBestOfN
    from pluralism.policy.lm.conditioning.conditioner import Conditioner
    from pluralism.policy.lm.conditioning.contrastive_guidance import ContrastiveGuidance
    from pluralism.policy.lm.conditioning.contrastive_logits import adaptive_logits, extrapolated_logits
    from pluralism.policy.lm.conditioning.contrastive_policy import ContrastiveDecoding
    from pluralism.policy.lm.conditioning.contrastive_teacher import ContrastiveTeacher, teacher_model
    from pluralism.policy.lm.conditioning.example_pool import ExamplePool, example_pools
    from pluralism.policy.lm.conditioning.in_context import InContext
    from pluralism.policy.lm.conditioning.model_bank import ModelBank
    from pluralism.policy.lm.conditioning.path_attribution import Attribution, integrated_gradients
    from pluralism.policy.lm.conditioning.reward_guidance import RewardGuidance
    from pluralism.policy.lm.conditioning.reward_guided import RewardGuided
    from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
    from pluralism.policy.lm.conditioning.steered_policy import Steered
    from pluralism.policy.lm.conditioning.steering_vector import SteeringVector
    from pluralism.policy.lm.conditioning.system_message import SystemMessage
    from pluralism.policy.lm.conditioning.system_prompted import SystemPrompted
    from pluralism.policy.lm.conditioning.tastes import taste_messages
    from pluralism.policy.lm.conditioning.value_record import ValueRecord


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.policy.lm.conditioning.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.policy.lm.conditioning' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
