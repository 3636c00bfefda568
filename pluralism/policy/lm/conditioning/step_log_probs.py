"""How likely a policy that is made of processors found the tokens it wrote: the last processor before temperature."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pluralism.policy.lm.generations import Generations

__all__ = ["StepLogProbs"]


class StepLogProbs:
    """Keeps the log-probabilities that the processors before it leave, and changes nothing.

    `Generations.log_probs` are the plain model's; `into` puts those of the policy in their place, so that the KL
    between them can be estimated.
    """

    def __init__(self) -> None:
        self._batches: list[list[Any]] = []
        self._ids: Any = None
        self._log_probs: Any = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Look at what this step says; of it only what `drawn` asks for is kept."""
        if self._ids is None or not torch.equal(input_ids[:, :-1], self._ids):
            self._batches.append([])
        self._ids, self._log_probs = input_ids, torch.log_softmax(scores.float(), dim=-1)
        return scores

    def drawn(self, tokens: Tensor) -> None:
        """Keep the log-probability of each row's token, of shape (rows, 1)."""
        self._batches[-1].append(self._log_probs.gather(1, tokens)[:, 0])
        self._log_probs = None

    def into(self, generations: Generations) -> Generations:
        """The generations of this run with log-probabilities of the policy: before temperature and filters."""
        found: list[float] = []
        for steps in self._batches:
            for row in torch.stack(steps, dim=1).cpu().double().numpy():
                found.append(row[: len(generations.tokens[len(found)])].sum())
        self._batches, self._ids = [], None
        return replace(generations, log_probs=np.array(found))
