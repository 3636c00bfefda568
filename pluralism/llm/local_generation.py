"""Draw tokens from a causal language model, and score given ones, with a generator of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Draw", "generate", "score"]

_BATCH_TOKENS = 8192


class Draw:
    """How the next token is drawn from logits.

    Parameters
    ----------
    temperature : float
        0 takes the likeliest.
    generator : torch.Generator
    top_k : int
        Draw from the k likeliest; 0 is all.
    top_p : float
        Draw from the likeliest that have this probability together.
    """

    def __init__(self, temperature: float, generator: torch.Generator, top_k: int = 0, top_p: float = 1.0) -> None:
        from transformers.generation import TopKLogitsWarper, TopPLogitsWarper

        self.temperature, self.generator = temperature, generator
        self._filters: list[Any] = [TopKLogitsWarper(top_k)] if top_k else []
        self._filters += [TopPLogitsWarper(top_p)] if top_p < 1 else []

    def __call__(self, logits: Tensor) -> int:
        """The next token, from logits of shape (vocabulary,)."""
        if self.temperature == 0:
            return int(logits.argmax())
        scaled = (logits.double() / self.temperature)[None]
        for one in self._filters:
            scaled = one(None, scaled)
        # Drawn on the processor, so that a seed means the same on every device.
        probabilities = torch.softmax(scaled[0], dim=0).cpu()
        return int(torch.multinomial(probabilities, 1, generator=self.generator))


def generate(
    network: Any, prompt: Sequence[int], draw: Draw, *, most: int, stops: frozenset[int], check: Callable[[], object]
) -> Iterator[int]:
    """Tokens of a continuation, without the one that ends it.

    Parameters
    ----------
    network : transformers model
        With a language-model head.
    prompt : sequence of int
    draw : Draw
    most : int
        The most tokens to give.
    stops : frozenset of int
        Tokens that end it.
    check : callable
        Called before each token; it may raise.
    """
    tokens, cache = list(prompt), None
    for _ in range(most):
        check()
        # Not around the `yield`: the mode would leak to the caller.
        with torch.inference_mode():
            ids = torch.tensor([tokens], device=network.device)
            output = network(input_ids=ids, past_key_values=cache, use_cache=True, return_dict=True)
            cache = output.past_key_values
            token = draw(output.logits[0, -1])
        if token in stops:
            return
        yield token
        tokens = [token]


def score(
    network: Any, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
) -> Float64[np.ndarray, " continuations"]:
    """Log-probability of each continuation of a prompt: the sum over its tokens.

    Parameters
    ----------
    network : transformers model
        With a language-model head.
    prompt : sequence of int
        One token or more.
    continuations : sequence of sequence of int
    """
    length = len(prompt) + max(len(tokens) for tokens in continuations)
    rows = max(1, _BATCH_TOKENS // length)
    parts = [_score(network, prompt, continuations[k : k + rows]) for k in range(0, len(continuations), rows)]
    return np.concatenate(parts)


def _score(network: Any, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> np.ndarray:
    longest = max(len(tokens) for tokens in continuations)
    # Padding stands on the right, where a causal model does not see it, so any token will do.
    padded = [[*prompt, *tokens, *[prompt[-1]] * (longest - len(tokens))] for tokens in continuations]
    own = torch.tensor([[k < len(tokens) for k in range(longest)] for tokens in continuations])
    with torch.inference_mode():
        ids = torch.tensor(padded, device=network.device)
        logits = network(input_ids=ids, use_cache=False, return_dict=True).logits[:, len(prompt) - 1 : -1]
        log_probabilities = torch.log_softmax(logits.float(), dim=-1).double()
        chosen = log_probabilities.gather(2, ids[:, len(prompt) :, None])[:, :, 0].cpu()
    return torch.where(own, chosen, 0.0).sum(1).numpy()
