"""The layers of a causal language model, read and changed through hooks that are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64

from pluralism.errors import LanguageModelError, UsageError
from pluralism.policy.lm.teacher_forcing import evaluating, logits_option, plan_rows, token_budget

if TYPE_CHECKING:
    from torch import Tensor

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["changed_layer", "decoder_layers", "layer_at", "mean_activations", "padded"]


def decoder_layers(network: Any) -> Any:
    """The stack of layers of a transformers model, in order, whatever the architecture calls it.

    Raises
    ------
    LanguageModelError
        There is no list of as many modules as the configuration has layers.
    """
    count = network.config.get_text_config().num_hidden_layers
    for module in network.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise LanguageModelError(
        f"A {type(network).__name__} does not show its {count} layers.",
        fix="Use a decoder such as Llama, Qwen or GPT-2.",
    )


def layer_at(network: Any, layer: int) -> tuple[Any, int]:
    """A layer and its number from 0; negative numbers count from the last.

    Raises
    ------
    UsageError
        There is no such layer.
    """
    layers = decoder_layers(network)
    if isinstance(layer, bool) or not isinstance(layer, (int, np.integer)) or not -len(layers) <= layer < len(layers):
        raise UsageError(f"There is no layer {layer!r}.", fix=f"There are {len(layers)}, from 0.")
    place = int(layer) % len(layers)
    return layers[place], place


@contextmanager
def changed_layer(network: Any, layer: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the context, what the layer puts out goes through `change`; afterwards the network is as it was.

    Parameters
    ----------
    network : transformers model
    layer : int
    change : callable
        Of hidden states of shape (rows, tokens, dim).
    """

    def hook(module: Any, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    handle = layer_at(network, layer)[0].register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def mean_activations(
    model: LanguageModel, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], layer: int
) -> Float64[np.ndarray, "rows dim"]:
    """What a layer puts out, in the mean over the tokens of each response.

    Parameters
    ----------
    model : LanguageModel
    prompts, responses : sequences of sequences of int
        Tokens, as many of one as of the other.
    layer : int
    """
    network, budget = model.network, token_budget(model.device)
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    found: list[Any] = [None] * len(lengths)
    kept: list[Any] = []

    def keep(hidden: Tensor) -> Tensor:
        kept.append(hidden)
        return hidden

    with torch.inference_mode(), evaluating(network), changed_layer(network, layer, keep):
        for batch in plan_rows(lengths, lambda rows, length: rows * length <= budget):
            ids, mask = padded([[*prompts[k], *responses[k]] for k in batch], model)
            network(input_ids=ids, attention_mask=mask, use_cache=False, **logits_option(network, 1))
            hidden = kept.pop().float().cpu().double()
            for row, k in enumerate(batch):
                # From the end: virtual tokens of a prompt adapter stand before the first.
                start = hidden.shape[1] - ids.shape[1] + len(prompts[k])
                found[k] = hidden[row, start : start + len(responses[k])].mean(0).numpy()
    return np.stack(found)


def padded(rows: Sequence[Sequence[int]], model: LanguageModel) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, filled up on the right, where a causal model does not see it."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[model.pad] * (longest - len(row))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=model.device)
    return ids, mask
