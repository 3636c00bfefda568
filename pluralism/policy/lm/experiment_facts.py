"""What a conditioner's responses depend on, as plain values: a folder of responses knows by them whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pluralism.policy.lm.adapter_bank import AdapterBank
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.conditioning.best_of_n import BestOfN
from pluralism.policy.lm.conditioning.contrastive_policy import ContrastiveDecoding
from pluralism.policy.lm.conditioning.in_context import InContext
from pluralism.policy.lm.conditioning.model_bank import ModelBank
from pluralism.policy.lm.conditioning.reward_guided import RewardGuided
from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
from pluralism.policy.lm.conditioning.steered_policy import Steered
from pluralism.policy.lm.conditioning.system_prompted import SystemPrompted
from pluralism.policy.lm.language_model import LanguageModel
from pluralism.policy.lm.run_folder import weights_digest
from pluralism.policy.lm.text_scorer import TextScorer

__all__ = ["facts_for", "facts_of"]

PLACES = ("base_model_name_or_path", "revision", "auto_mapping", "inference_mode", "peft_version")
"""What PEFT notes in an adapter's settings that no answer depends on: where its base was, and by whom it was made."""

APART = (
    AdapterBank,
    BestOfN,
    ContrastiveDecoding,
    InContext,
    ModelBank,
    RewardGuided,
    SinglePolicy,
    Steered,
    SystemPrompted,
)
"""Conditioners whose answers for a group depend on nothing that they hold for others."""


def facts_for(conditioner: Any, group: str, known: dict[int, str] | None = None) -> Any:
    """What a conditioner's responses for one group depend on: its facts without those of other groups.

    So a group can join later. Only the conditioners of this library are known to answer groups apart; of others all
    facts count.

    Parameters
    ----------
    conditioner : Conditioner
    group : str
    known : dict, optional
        As in `facts_of`.
    """
    if type(conditioner) not in APART:
        return facts_of(conditioner, known)
    made: dict[str, Any] = {"class": type(conditioner).__name__}
    for field in fields(conditioner):
        value = getattr(conditioner, field.name)
        if field.name == "groups" or field.name.startswith("_"):
            continue
        if type(value) in APART:
            made[field.name] = facts_for(value, group, known)
        else:
            own = value[group] if isinstance(value, Mapping) and group in value else value
            made[field.name] = facts_of(own, known)
    return made


def facts_of(value: Any, known: dict[int, str] | None = None) -> Any:
    """Settings as they are, models and arrays by digests, and the names of classes.

    Parameters
    ----------
    value : Any
        A conditioner, or what one is made of. An object with a `fingerprint`, a `fingerprint_` or, as encoders, a
        `space` is known by it, a dataclass by its fields, a mapping or a sequence by its members; any other object by
        its class alone.
    known : dict, optional
        Digests of networks by identity, which are looked up and put in: a network of several conditioners is read once.

    Returns
    -------
    JSON value
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, LanguageModel):
        digests = {} if known is None else known
        if id(value.network) not in digests:
            digests[id(value.network)] = weights_digest(value.network)
        return {"model": digests[id(value.network)]}
    if isinstance(value, TextScorer):
        return {"model": value.model.fingerprint_, "encoder": value.encoder.space}
    if isinstance(value, Adapter):
        settings = {key: member for key, member in value.config.to_dict().items() if key not in PLACES}
        return {"class": "Adapter", "config": facts_of(settings), "weights": facts_of(value.weights)}
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "detach"):
        # Weights come from files, bit for bit.
        return _digest(value.detach().float().cpu().numpy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        # What was computed differs in its last digits from one number of threads to another.
        return _digest(np.char.mod("%.6g", value) if value.dtype.kind == "f" else value)
    for name in ("fingerprint", "fingerprint_", "space"):
        own = getattr(value, name, None)
        if isinstance(own, str):
            return {"class": type(value).__name__, "fingerprint": own}
    if isinstance(value, Mapping):
        return {str(key): facts_of(member, known) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [facts_of(member, known) for member in value]
    if is_dataclass(value):
        return {"class": type(value).__name__} | {
            field.name: facts_of(getattr(value, field.name), known)
            for field in fields(value)
            if not field.name.startswith("_")
        }
    return {"class": type(value).__name__}


def _digest(array: np.ndarray) -> str:
    state = hashlib.blake2b(f"{array.dtype.kind} {array.shape}".encode(), digest_size=16)
    state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()
