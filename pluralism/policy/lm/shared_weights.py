"""Bodies of one network: over the same weights, or over others of the same shapes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["OWN_PARTS", "same_body", "shared_copy", "weights_of"]

OWN_PARTS = ("lora_", "prompt_encoder", "modules_to_save")
"""What the names of an adapter's parameters hold, as PEFT gives them."""


def shared_copy(network: Any) -> Any:
    """A second body of a network over the same weights, which takes no memory for them.

    What is done to the body (layers that an adapter wraps, a forward pass that a trainer replaces, dropout that it
    turns off, which parameters are trained) leaves the network alone. Weights of the base are shared and must not be
    trained; those of an adapter are copied.

    Parameters
    ----------
    network : torch.nn.Module

    Returns
    -------
    torch.nn.Module
        No parameter asks for a gradient but those of an adapter that did.
    """

    def share(name: str, weight: torch.Tensor) -> torch.Tensor | None:
        if any(part in name for part in OWN_PARTS):
            return None
        if type(weight) is not torch.nn.Parameter:
            return weight
        return torch.nn.Parameter(weight.detach(), requires_grad=False)

    return _rebuilt(network, share)


def same_body(network: Any, weights: Mapping[str, torch.Tensor]) -> Any:
    """A network of the same kind with weights of its own, in the number formats and on the devices of the first.

    Parameters
    ----------
    network : torch.nn.Module
    weights : mapping of str to Tensor
        By the names of `weights_of`; all of them.
    """

    def own(name: str, weight: torch.Tensor) -> torch.Tensor:
        given = weights[name].detach().to(device=weight.device, dtype=weight.dtype, copy=True)
        return torch.nn.Parameter(given, requires_grad=weight.requires_grad)

    return _rebuilt(network, own)


def weights_of(network: Any) -> dict[str, torch.Tensor]:
    """The parameters of a network by name; a parameter that two layers share is there once."""
    return {name: weight.detach() for name, weight in network.named_parameters()}


def _rebuilt(network: Any, weight: Callable[[str, torch.Tensor], torch.Tensor | None]) -> Any:
    memo: dict[int, Any] = {}
    for name, old in network.named_parameters():
        new = weight(name, old)
        if new is not None:
            memo[id(old)] = new
    return copy.deepcopy(network, memo)
