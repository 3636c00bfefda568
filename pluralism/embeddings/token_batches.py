"""Batches of about equal work: texts sorted by length, cut where the padded batch would exceed a token budget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int

from pluralism.embeddings.vectors import bad_rows

__all__ = ["TokenBatches", "plan_batches", "run_batches"]

_log = logging.getLogger(__name__)

Forward = Callable[[torch.Tensor, torch.Tensor], np.ndarray]


@dataclass(frozen=True)
class TokenBatches:
    """Token ids of texts.

    Attributes
    ----------
    ids : list of list of int
        What the encoder reads, cut at its limit.
    lengths : int array
        Tokens of each whole text.
    pad : int
        Token id for padding; any will do, since padding is masked.
    """

    ids: Sequence[Sequence[int]]
    lengths: Int[np.ndarray, " texts"]
    pad: int


def plan_batches(lengths: Int[np.ndarray, " texts"], budget: int) -> list[Int[np.ndarray, " batch"]]:
    """Group texts, longest first, so that texts times the longest among them stays within the budget.

    Parameters
    ----------
    lengths : int array
        Tokens of each text.
    budget : int
        Tokens in a batch, padding included; a single text may exceed it.

    Returns
    -------
    list of int arrays
        Positions; together all of them, once.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        count = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + count])
        start += count
    return batches


def run_batches(
    forward: Forward, tokens: TokenBatches, budget: int
) -> Iterator[tuple[Int[np.ndarray, " batch"], Float32[np.ndarray, "batch dim"]]]:
    """Run `forward` on padded batches; where the device runs out of memory, go on with halves of the batch.

    Parameters
    ----------
    forward : callable
        Takes ids (texts, tokens) and lengths (texts,), returns vectors (texts, dim).
    tokens : TokenBatches
        The texts.
    budget : int
        Tokens in a batch.

    Yields
    ------
    (int array, float array)
        Positions and vectors.

    Raises
    ------
    EncoderError
        One text alone does not fit into the memory of the device.
    """
    read = np.array([len(row) for row in tokens.ids], np.int64)
    pending = plan_batches(read, budget)[::-1]
    while pending:
        batch = pending.pop()
        width = int(read[batch].max())
        ids = np.full((len(batch), width), tokens.pad, np.int64)
        for row, index in enumerate(batch):
            ids[row, : read[index]] = tokens.ids[index]
        try:
            yield batch, forward(torch.from_numpy(ids), torch.from_numpy(read[batch]))
        except torch.OutOfMemoryError as cause:
            if len(batch) == 1:
                raise bad_rows(
                    f"A text of {width} tokens does not fit into the memory of the device.",
                    batch,
                    "Use device='cpu', or a smaller max_length.",
                ) from cause
            _log.info("Out of device memory with %d tokens in a batch: going on with halves.", ids.size)
            torch.cuda.empty_cache()
            half = len(batch) // 2
            pending += [batch[half:], batch[:half]]
