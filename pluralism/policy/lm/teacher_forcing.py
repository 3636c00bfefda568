"""Log-probabilities of given tokens after given prompts, many at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

__all__ = ["evaluating", "logits_option", "plan_rows", "read_tokens", "score_tokens", "token_budget"]

_LOGITS = 2**28
"""Logits that one batch may have: 1 GiB in float32."""


@contextmanager
def evaluating(network: Any) -> Iterator[None]:
    """Without dropout; afterwards those parts are back in training that were."""
    trained = [part for part in network.modules() if part.training]
    network.eval()
    try:
        yield
    finally:
        for part in trained:
            part.training = True


def token_budget(device: Any) -> int:
    """Tokens that a batch may have, padding included."""
    return 8192 if torch.device(device).type == "cpu" else 65536


def plan_rows(lengths: Sequence[int], fits: Callable[[int, int], bool], *, alike: bool = False) -> Iterator[list[int]]:
    """Rows by length, the longest first, cut into batches.

    Parameters
    ----------
    lengths : sequence of int
    fits : callable
        Whether a batch of (rows, length of the longest) is small enough; one row always is.
    alike : bool
        Whether all rows of a batch must have one length.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda k: (-lengths[k], k)):
        if batch and (not fits(len(batch) + 1, lengths[batch[0]]) or (alike and lengths[row] != lengths[batch[0]])):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


Measure = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From logits of shape (rows, places, vocabulary) and the tokens there to numbers of shape (measures, rows, places)."""


def score_tokens(
    network: Any, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, pad: int
) -> tuple[Float64[np.ndarray, " tokens"], ...]:
    """Log-probability of each token of each response, after its prompt and the tokens before it.

    Parameters
    ----------
    network : transformers model
        With a language-model head.
    prompts, responses : sequences of sequences of int
        As many of one as of the other; each prompt has a token or more.
    pad : int
        Fills up rows; where a row is filled does not matter to it.
    """

    def measure(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return (logits.gather(2, tokens[..., None])[..., 0] - logits.logsumexp(2))[None]

    return tuple(values[0] for values in read_tokens(network, prompts, responses, measure, pad=pad))


def read_tokens(
    network: Any,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    measure: Measure,
    *,
    pad: int,
) -> tuple[Float64[np.ndarray, "measures tokens"], ...]:
    """Measures of what the network expects at each token of each response; logits are dropped as soon as they are read.

    Parameters
    ----------
    network, prompts, responses, pad
        As in `score_tokens`.
    measure : callable
        Of float32 logits and the tokens in their places; it also sees filled places, which are cut off afterwards.
    """
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    # A processor is fastest while what a batch needs stays in its cache.
    budget = 1024 if network.device.type == "cpu" else token_budget(network.device)
    vocabulary = int(network.config.get_text_config().vocab_size)

    def fits(rows: int, length: int) -> bool:
        return rows * length <= budget and rows * length * vocabulary <= _LOGITS

    found: list[Any] = [None] * len(lengths)
    with torch.inference_mode(), evaluating(network):
        for batch in plan_rows(lengths, fits):
            read = _read([prompts[k] for k in batch], [responses[k] for k in batch], network, measure, pad)
            for k, values in zip(batch, read, strict=True):
                found[k] = values
    return tuple(found)


def _read(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], network: Any, measure: Measure, pad: int
) -> Iterator[np.ndarray]:
    rows = [[*p, *r] for p, r in zip(prompts, responses, strict=True)]
    longest = max(map(len, rows))
    # Padding stands on the right, where a causal model does not see it; without a mask attention takes its fast path.
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=network.device)
    kept = longest - min(map(len, prompts)) + 1
    output = network(input_ids=ids, use_cache=False, return_dict=True, **logits_option(network, kept))
    # From the end: virtual tokens of a prompt adapter stand before the first.
    logits = output.logits[:, -kept:-1].float()
    values = measure(logits, ids[:, longest - kept + 1 :]).cpu().double().numpy()
    for k, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        first = len(prompt) - (longest - kept + 1)
        yield values[:, k, first : first + len(row) - len(prompt)].copy()


def logits_option(network: Any, kept: int) -> dict[str, int]:
    """The option with which a network computes the logits of the last places alone, where it has one.

    Of long rows over a large vocabulary the others would take gigabytes.

    Parameters
    ----------
    network : transformers model
    kept : int
        How many places.
    """
    base = network.get_base_model() if hasattr(network, "get_base_model") else network
    return {"logits_to_keep": kept} if "logits_to_keep" in inspect.signature(base.forward).parameters else {}
