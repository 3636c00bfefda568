"""Continue many prompts at once with the generation of transformers: padded on the left, one stream of chance a row."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from pluralism.errors import UsageError
from pluralism.models.settings import is_whole
from pluralism.policy.lm.teacher_forcing import evaluating, plan_rows, token_budget
from pluralism.policy.lm.token_draws import Draws, Raw

__all__ = ["Sampling", "continue_tokens", "has_virtual_tokens"]


_SCORES = 2**27
"""Scores that one step of a batch may have: 1 GiB in float64, in which tokens are drawn."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes
    ----------
    max_tokens : int
        The most tokens of an answer, its end included.
    temperature : float
        Divides the logits; 0 takes the likeliest token.
    top_p : float
        Draw from the likeliest tokens that have this probability together.
    top_k : int
        Draw from the k likeliest; 0 is all.

    Raises
    ------
    UsageError
        A value that cannot work.
    """

    max_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0

    def __post_init__(self) -> None:
        for name, value, good, fix in (
            ("max_tokens", self.max_tokens, is_whole(self.max_tokens), "It is a whole number from 1."),
            ("temperature", self.temperature, 0 <= self.temperature < np.inf, "It is 0 (greedy) or more."),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "It is above 0 and at most 1."),
            ("top_k", self.top_k, is_whole(self.top_k, least=0), "It is 0 (all tokens) or more."),
        ):
            if not good:
                raise UsageError(f"{name}={value!r} is not possible.", fix=fix)

    def warpers(self) -> list[Any]:
        """The logits processors of transformers that do this."""
        from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        if self.temperature == 0:
            return []
        found: list[Any] = [] if self.temperature == 1 else [TemperatureLogitsWarper(float(self.temperature))]
        found += [TopKLogitsWarper(self.top_k)] if self.top_k else []
        return found + ([TopPLogitsWarper(float(self.top_p))] if self.top_p < 1 else [])


def continue_tokens(
    network: Any,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    ends: frozenset[int],
    pad: int,
    processors: Sequence[Any],
    generator: np.random.Generator,
    batch_size: int | None,
    progress: Callable[[int, int], None],
) -> tuple[list[tuple[int, ...]], Float64[np.ndarray, " rows"]]:
    """Tokens after each prompt, up to and with the one that ends them, and their log-probabilities in sum.

    Parameters
    ----------
    network : transformers model
    prompts : sequence of sequence of int
        One for each row; a prompt that is continued several times stands here several times.
    sampling : Sampling
    ends : frozenset of int
        Tokens that end an answer.
    pad : int
    processors : sequence of LogitsProcessor
        Called before temperature and filters. Rows of a batch are then in the order of `prompts`. One that has a method
        `drawn` is told the tokens of each step.
    generator : numpy.random.Generator
        Advanced by one number for each row and token.
    batch_size : int, optional
        Rows that run together; by default as many as a budget of tokens holds.
    progress : callable
        Of (rows done, rows in all).
    """
    uniforms = generator.random((len(prompts), sampling.max_tokens)) if sampling.temperature else None
    budget = token_budget(network.device)
    vocabulary = int(network.config.get_text_config().vocab_size)

    def fits(rows: int, length: int) -> bool:
        if batch_size:
            return rows <= batch_size
        return rows * (length + sampling.max_tokens) <= budget and rows * vocabulary <= _SCORES

    longest = max(map(len, prompts))
    # Processors may hold something for each row, so their batches keep the order that they know.
    lengths = [longest] * len(prompts) if processors else [len(prompt) for prompt in prompts]
    tokens: list[tuple[int, ...]] = [()] * len(prompts)
    log_probs = np.zeros(len(prompts))
    done = 0
    # PEFT puts virtual tokens before the padding and drops positions: only prompts of one length can share a batch.
    alike = has_virtual_tokens(network)
    if alike and processors and len({len(prompt) for prompt in prompts}) > 1:
        raise UsageError(
            "Prompts of different lengths cannot run together under a prompt adapter.",
            fix="Generate for one prompt at a time, or without processors.",
        )
    with torch.inference_mode(), evaluating(network), _plain_generation(network, sampling, ends, pad):
        for batch in plan_rows(lengths, fits, alike=alike):
            drawn = None if uniforms is None else uniforms[batch]
            made = _continue([prompts[k] for k in batch], network, sampling, ends, pad, processors, drawn)
            for k, (row, value) in zip(batch, made, strict=True):
                tokens[k], log_probs[k] = row, value
            done += len(batch)
            progress(done, len(prompts))
    return tokens, log_probs


def _continue(
    prompts: Sequence[Sequence[int]],
    network: Any,
    sampling: Sampling,
    ends: frozenset[int],
    pad: int,
    processors: Sequence[Any],
    uniforms: np.ndarray | None,
) -> Iterator[tuple[tuple[int, ...], float]]:
    longest, device = max(map(len, prompts)), network.device
    ids = torch.tensor([[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    raw = Raw()
    exact = torch.float32 if device.type == "mps" else torch.float64
    told = [each for each in processors if hasattr(each, "drawn")]
    draws = Draws(raw, None if uniforms is None else torch.tensor(uniforms, dtype=exact, device=device), told)
    chain = [raw, *processors, *sampling.warpers(), draws]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Position ids are not supported", UserWarning)
        written = network.generate(input_ids=ids, attention_mask=mask, logits_processor=chain)[:, longest:].tolist()
    log_probs = torch.stack(draws.log_probs, dim=1).double().cpu().numpy()
    for row, values in zip(written, log_probs, strict=True):
        end = next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
        yield tuple(row[:end]), float(values[:end].sum())


def has_virtual_tokens(network: Any) -> bool:
    """Whether an adapter puts virtual tokens before whatever is read."""
    config = getattr(network, "active_peft_config", None)
    return config is not None and bool(config.is_prompt_learning)


@contextmanager
def _plain_generation(network: Any, sampling: Sampling, ends: frozenset[int], pad: int) -> Iterator[None]:
    """Without the settings of generation that a model brings (penalties, filters, lengths): ours are the only ones."""
    from transformers import GenerationConfig

    base = network.get_base_model() if hasattr(network, "get_base_model") else network
    kept = [(part, part.generation_config) for part in (base, network)]
    plain = GenerationConfig(
        max_new_tokens=sampling.max_tokens, do_sample=False, eos_token_id=sorted(ends) or None, pad_token_id=pad
    )
    for part, _ in kept:
        part.generation_config = plain
    try:
        yield
    finally:
        for part, own in kept:
            part.generation_config = own
