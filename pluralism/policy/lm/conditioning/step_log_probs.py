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
        self._last: Any = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Keep what this step says, now that the token of the step before it is known."""
        if self._ids is not None and torch.equal(input_ids[:, :-1], self._ids):
            self._batches[-1].append(self._last.gather(1, input_ids[:, -1:])[:, 0])
        else:
            self._close()
            self._batches.append([])
        self._ids, self._last = input_ids, torch.log_softmax(scores.float(), dim=-1)
        return scores

    def into(self, generations: Generations) -> Generations:
        """The generations of this run with log-probabilities of the policy: before temperature and filters."""
        self._close()
        self._ids, self._last = None, None
        found = np.zeros(len(generations))
        row = 0
        for *steps, last in self._batches:
            known = torch.stack(steps, dim=1).cpu().double().numpy() if steps else np.zeros((len(last), 0))
            for k in range(len(last)):
                tokens = generations.tokens[row]
                found[row] = known[k, : len(tokens)].sum()
                if len(tokens) > known.shape[1]:
                    found[row] += float(last[k, tokens[-1]])
                row += 1
        self._batches = []
        return replace(generations, log_probs=found)

    def _close(self) -> None:
        if self._last is not None:
            self._batches[-1].append(self._last.cpu())
