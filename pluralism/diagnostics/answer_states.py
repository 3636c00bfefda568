"""What a language model makes of answers inside: hidden states of each layer, one vector for each answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float32

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.policy.lm import LanguageModel

__all__ = ["hidden_states"]

_STATES = 2**29
"""Numbers that the hidden states of one batch may have: 2 GiB in float32."""


def hidden_states(
    model: LanguageModel,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    pool: Literal["mean", "last"] = "mean",
    system: str | Sequence[str | None] | None = None,
    examples: Sequence[tuple[str, str]] = (),
) -> Float32[np.ndarray, "items layers dim"]:
    """Hidden states of answers to prompts, pooled over the tokens of the answer.

    Parameters
    ----------
    model : LanguageModel
    prompts, responses : sequence of str
        One response for each prompt.
    pool : {"mean", "last"}
        Mean over the tokens of the response, or the state at its last one.
    system, examples
        What the model is shown before each prompt.

    Returns
    -------
    array of shape (items, layers, dim)
        Layer 0 is that of the embeddings.

    Raises
    ------
    UsageError
        If there is not one response for each prompt.
    """
    import torch

    from pluralism.policy.lm.conditioning.layers import padded
    from pluralism.policy.lm.teacher_forcing import evaluating, logits_option, plan_rows, token_budget

    systems = [system] * len(prompts) if system is None or isinstance(system, str) else list(system)
    if not prompts or not len(prompts) == len(responses) == len(systems):
        raise UsageError("Prompts, responses and system messages do not fit.", fix="Give one of each for an answer.")
    if pool not in ("mean", "last"):
        raise UsageError(f"pool={pool!r} is not possible.", fix="It is 'mean' or 'last'.")
    asked = [
        model.prompt_tokens(prompt, system=each, examples=examples)
        for prompt, each in zip(prompts, systems, strict=True)
    ]
    said = [model.response_tokens(response) for response in responses]
    lengths = [len(first) + len(second) for first, second in zip(asked, said, strict=True)]
    budget, shape = token_budget(model.device), model.network.config.get_text_config()
    width = (shape.num_hidden_layers + 1) * shape.hidden_size

    def fits(rows: int, length: int) -> bool:
        return rows * length <= budget and rows * length * width <= _STATES

    # Logits are not asked for; those of one place are the fewest that can be had.
    options = {"use_cache": False, "output_hidden_states": True, "return_dict": True, **logits_option(model.network, 1)}
    found: list[Any] = [None] * len(lengths)
    with torch.inference_mode(), evaluating(model.network):
        for batch in plan_rows(lengths, fits):
            ids, mask = padded([[*asked[k], *said[k]] for k in batch], model)
            output = model.network(input_ids=ids, attention_mask=mask, **options)
            for row, k in enumerate(batch):
                own = []
                for layer in output.hidden_states:
                    # From the end: virtual tokens of a prompt adapter stand before the first.
                    start = layer.shape[1] - ids.shape[1] + len(asked[k])
                    states = layer[row, start : start + len(said[k])].float()
                    own.append(states.mean(dim=0) if pool == "mean" else states[-1])
                found[k] = torch.stack(own).cpu().numpy()
    return np.stack(found)
