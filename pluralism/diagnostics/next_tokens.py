"""What a language model expects at each place of given answers: one teacher-forced pass, reduced as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float64

from pluralism.errors import DataError, UsageError

if TYPE_CHECKING:
    from pluralism.policy.lm import Generations, LanguageModel
    from pluralism.policy.lm.teacher_forcing import Measure

__all__ = ["entropy", "nucleus", "read_answers", "read_generations"]


def nucleus(
    logits: Float[torch.Tensor, "*tokens vocabulary"], top_p: float
) -> Float[torch.Tensor, "*tokens vocabulary"]:
    """Log-probabilities of the likeliest tokens that have mass `top_p` together, renormalised; -inf for the others.

    The likeliest token is always one of them. At 1 nothing is cut off.

    Raises
    ------
    UsageError
        If top_p is not in (0, 1].

    Examples
    --------
    >>> nucleus(torch.log(torch.tensor([[0.5, 0.3, 0.2]])), 0.7).exp().numpy().round(3)
    array([[0.625, 0.375, 0.   ]], dtype=float32)
    """
    if not 0 < top_p <= 1:
        raise UsageError(f"top_p={top_p!r} is no mass to keep.", fix="It lies above 0, and at 1 keeps everything.")
    log_probs = torch.log_softmax(logits, dim=-1)
    if top_p == 1:
        return log_probs
    ordered, order = log_probs.sort(dim=-1, descending=True)
    mass = ordered.exp().cumsum(dim=-1)
    # As many as have less than top_p before them.
    beyond = mass - ordered.exp() >= top_p
    beyond[..., 0] = False
    kept = log_probs.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)
    return kept - kept.logsumexp(dim=-1, keepdim=True)


def entropy(log_probs: Float[torch.Tensor, "*tokens vocabulary"]) -> Float[torch.Tensor, "*tokens"]:
    """Entropy in nats of log-probabilities, of which some may be -inf."""
    return torch.special.entr(log_probs.exp()).sum(dim=-1)


def read_answers(
    model: LanguageModel, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], measure: Measure
) -> list[Float64[np.ndarray, "measures tokens"]]:
    """Measure the model's expectations at every token of every answer.

    Parameters
    ----------
    model : LanguageModel
    prompts, answers : sequence of token sequences
        As many of one as of the other, none empty.
    measure : callable
        Takes logits (rows, tokens, vocabulary) and tokens (rows, tokens), gives (measures, rows, tokens).

    Raises
    ------
    DataError
        If there are no answers, or one has no token.
    """
    from pluralism.policy.lm.teacher_forcing import read_tokens

    if not answers or not all(map(len, answers)):
        row = next((k for k, tokens in enumerate(answers) if not len(tokens)), 0)
        raise DataError("An answer has no token.", where=f"answer {row + 1}", fix="Leave empty answers out.")
    return list(read_tokens(model.network, prompts, answers, measure, pad=model.pad))


def read_generations(
    model: LanguageModel,
    generations: Generations,
    measure: Measure,
    *,
    system: str | Sequence[str | None] | None = None,
    examples: Sequence[tuple[str, str]] = (),
) -> list[Float64[np.ndarray, "measures tokens"]]:
    """As `read_answers`, of what a model wrote; `system` is one for all prompts, or one for each."""
    systems = [system] * len(generations.prompts) if system is None or isinstance(system, str) else list(system)
    if len(systems) != len(generations.prompts):
        raise UsageError(
            f"There are {len(generations.prompts)} prompts and {len(systems)} system messages.",
            fix="Give one for all, or one for each prompt.",
        )
    starts = [
        model.prompt_tokens(prompt, system=each, examples=examples)
        for prompt, each in zip(generations.prompts, systems, strict=True)
    ]
    return read_answers(model, [starts[k] for k in generations.prompt], generations.tokens, measure)
