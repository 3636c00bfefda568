"""Policies that are language models: fitted rewards for trainers, recipes over TRL, and conditioning without training.

Needs the extra ``lm`` (transformers, TRL, PEFT, accelerate, datasets); importing this package loads none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "BASE_TEMPLATE",
    "Generations",
    "LanguageModel",
    "SequenceLogProbs",
    "train_from_scratch",
]

_WHERE = {
    "BASE_TEMPLATE": "language_model",
    "Generations": "generations",
    "LanguageModel": "language_model",
    "SequenceLogProbs": "sequence_log_probs",
    "train_from_scratch": "from_scratch",
}

if TYPE_CHECKING:
    from pluralism.policy.lm.from_scratch import train_from_scratch
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import BASE_TEMPLATE, LanguageModel
    from pluralism.policy.lm.sequence_log_probs import SequenceLogProbs


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"pluralism.policy.lm.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'pluralism.policy.lm' has no attribute {name!r}")
