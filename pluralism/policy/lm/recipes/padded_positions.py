"""Positions of tokens in rows that are padded on the left, for networks that count the padding if nobody tells them."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["count_positions"]


def count_positions(network: Any) -> None:
    """From now on a network counts positions from the first token after the padding.

    It matters where positions are absolute, as in GPT-2: trainers that pad prompts on the left tell it none.

    Parameters
    ----------
    network : transformers model
        One of the caller's own, perhaps with a LoRA. It gets a hook, unless it takes no positions.
    """
    base = network.get_base_model() if hasattr(network, "get_base_model") else network
    if "position_ids" in inspect.signature(type(base).forward).parameters:
        network.register_forward_pre_hook(_with_positions, with_kwargs=True)


def _with_positions(network: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mask = given.get("attention_mask")
    told = given.get("position_ids") is not None or given.get("past_key_values") is not None
    if told or mask is None or mask.ndim != 2:
        return args, given
    return args, {**given, "position_ids": (mask.long().cumsum(1) - 1).clamp_min(0)}
