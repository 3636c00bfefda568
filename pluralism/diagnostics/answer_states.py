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


def hidden_states(
    model: LanguageModel,
    prompts: Sequence[str],
    responses: Sequence[str],
    *,
    pool: Literal["mean", "last"] = "mean",
    system: str | Sequence[str | None] | None = None,
    examples: Sequence[tuple[str, str]] = (),
    batch_size: int = 16,
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
    batch_size : int

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

    from pluralism.policy.lm.teacher_forcing import evaluating, plan_rows

    systems = [system] * len(prompts) if system is None or isinstance(system, str) else list(system)
    if not prompts or not len(prompts) == len(responses) == len(systems):
        raise UsageError("Prompts, responses and system messages do not fit.", fix="Give one of each for an answer.")
    if pool not in ("mean", "last") or batch_size < 1:
        raise UsageError(f"pool={pool!r} is not possible.", fix="It is 'mean' or 'last'; batch_size is at least 1.")
    asked = [
        model.prompt_tokens(prompt, system=each, examples=examples)
        for prompt, each in zip(prompts, systems, strict=True)
    ]
    said = [model.response_tokens(response) for response in responses]
    rows = [[*first, *second] for first, second in zip(asked, said, strict=True)]
    found: list[Any] = [None] * len(rows)
    with torch.inference_mode(), evaluating(model.network):
        for batch in plan_rows([len(row) for row in rows], lambda n, length: n <= batch_size):
            longest = len(rows[batch[0]])
            ids = torch.tensor([rows[k] + [model.pad] * (longest - len(rows[k])) for k in batch], device=model.device)
            mask = torch.tensor(
                [[1] * len(rows[k]) + [0] * (longest - len(rows[k])) for k in batch], device=model.device
            )
            output = model.network(
                input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True, return_dict=True
            )
            for place, k in enumerate(batch):
                # From the end: virtual tokens of a prompt adapter stand before the first.
                end = len(rows[k]) - longest or None
                own = [layer[place, len(asked[k]) - longest : end] for layer in output.hidden_states]
                pooled = [layer.float().mean(dim=0) if pool == "mean" else layer[-1].float() for layer in own]
                found[k] = torch.stack(pooled).cpu().numpy()
    return np.stack(found)
