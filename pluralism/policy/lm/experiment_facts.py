"""What a conditioner's responses depend on, as plain values: a folder of responses knows by them whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pluralism.policy.lm.language_model import LanguageModel
from pluralism.policy.lm.run_folder import weights_digest
from pluralism.policy.lm.text_scorer import TextScorer

__all__ = ["facts_of"]


def facts_of(value: Any) -> Any:
    """Settings as they are, models and arrays by digests, and the names of classes.

    Parameters
    ----------
    value : Any
        A conditioner, or what one is made of. An object with a `fingerprint`, a `fingerprint_` or, as encoders, a
        `space` is known by it, a dataclass by its fields, a mapping or a sequence by its members; any other object by
        its class alone.

    Returns
    -------
    JSON value
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, LanguageModel):
        return {"model": weights_digest(value.network)}
    if isinstance(value, TextScorer):
        return {"model": value.model.fingerprint_, "encoder": value.encoder.space}
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
        known = getattr(value, name, None)
        if isinstance(known, str):
            return {"class": type(value).__name__, "fingerprint": known}
    if isinstance(value, Mapping):
        return {str(key): facts_of(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [facts_of(member) for member in value]
    if is_dataclass(value):
        return {"class": type(value).__name__} | {
            field.name: facts_of(getattr(value, field.name))
            for field in fields(value)
            if not field.name.startswith("_")
        }
    return {"class": type(value).__name__}


def _digest(array: np.ndarray) -> str:
    state = hashlib.blake2b(f"{array.dtype.kind} {array.shape}".encode(), digest_size=16)
    state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.hexdigest()
