"""Contrastive decoding: a second model reads along, and each token is drawn from the contrast of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from pluralism.policy.lm.batched_generation import has_virtual_tokens
from pluralism.policy.lm.conditioning.contrastive_logits import Contrast, check_contrast, contrast
from pluralism.policy.lm.conditioning.prompt_rows import PromptRows
from pluralism.policy.lm.teacher_forcing import evaluating, logits_option

if TYPE_CHECKING:
    from torch import Tensor

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["ContrastiveGuidance"]


class ContrastiveGuidance:
    """A logits processor that turns the logits of the generating model into the contrast with another.

    The other model keeps its own cache: each step it reads one token more. With a tuned prompt it reads all anew.

    Parameters
    ----------
    model : LanguageModel
        The one that generates.
    other : LanguageModel
        Over the same tokens.
    prompts : sequence of str
        What the generation is given.
    contrast : {"fixed", "adaptive"}
    scale : float
        As in `ContrastiveTeacher`.
    system : str, optional
        As the generation is given it.
    """

    def __init__(
        self,
        model: LanguageModel,
        other: LanguageModel,
        prompts: Sequence[str],
        *,
        contrast: Contrast = "fixed",
        scale: float = 2.0,
        system: str | None = None,
    ) -> None:
        check_contrast(contrast, scale)
        self.network = other.network
        self.contrast: Contrast = contrast
        self.scale = float(scale)
        self._rows = PromptRows(model, prompts, system=system)
        self._ids: Any = None
        self._starts: Any = None
        self._cache: Any = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits of the contrast."""
        with evaluating(self.network):
            other = self._logits(input_ids)
        return contrast(scores.float(), other.to(scores.device).float(), self.contrast, self.scale)

    def _logits(self, input_ids: Tensor) -> Tensor:
        ids = input_ids.to(self.network.device)
        goes_on = self._ids is not None and torch.equal(ids[:, :-1], self._ids)
        if not goes_on:
            starts = [place.start for place in self._rows.places(input_ids)]
            self._starts = torch.tensor(starts, device=ids.device)
            self._cache = None
        self._ids = ids
        if has_virtual_tokens(self.network):
            return self._without_padding(ids)
        mask = (torch.arange(ids.shape[1], device=ids.device) >= self._starts[:, None]).long()
        places = (mask.cumsum(1) - 1).clamp_min(0)
        read = 1 if self._cache is not None else ids.shape[1]
        output = self.network(
            input_ids=ids[:, -read:],
            attention_mask=mask,
            position_ids=places[:, -read:],
            past_key_values=self._cache,
            use_cache=True,
            return_dict=True,
            **logits_option(self.network, 1),
        )
        self._cache = output.past_key_values
        return output.logits[:, -1]

    def _without_padding(self, ids: Tensor) -> Tensor:
        """Logits where virtual tokens would stand before the padding: rows of one length are read together, anew."""
        logits: Any = None
        for start in self._starts.unique().tolist():
            rows = self._starts == start
            last = logits_option(self.network, 1)
            found = self.network(input_ids=ids[rows, start:], use_cache=False, return_dict=True, **last).logits[:, -1]
            logits = found.new_empty(len(ids), found.shape[1]) if logits is None else logits
            logits[rows] = found
        return logits
