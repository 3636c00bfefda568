"""Draw tokens inside the generation of transformers with a generator of one's own, and note how likely they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float

from pluralism.errors import LanguageModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Draws", "Raw"]


class Raw:
    """The first logits processor: keeps the log-probabilities of the model as it is."""

    def __init__(self) -> None:
        self.log_probs: Any = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Keep the log-probabilities of this step, and change nothing."""
        self.log_probs = torch.log_softmax(scores.float(), dim=-1)
        return scores


class Draws:
    """The last logits processor: chooses each row's token, so that taking the likeliest takes it.

    A row's token is where its own uniform number falls among the cumulative probabilities: what a row writes depends
    neither on the rows beside it nor on the device.

    Parameters
    ----------
    raw : Raw
    uniforms : tensor of shape (rows, steps), optional
        Numbers in [0, 1); without them the likeliest token is taken.
    told : sequence
        Their method `drawn` is called with the tokens of each step, of shape (rows, 1).
    """

    def __init__(self, raw: Raw, uniforms: Float[Tensor, "rows steps"] | None, told: Sequence[Any] = ()) -> None:
        self.raw, self.uniforms, self.told = raw, uniforms, told
        self.log_probs: list[Any] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores of 0 for the token that is drawn, and -inf for all others.

        Raises
        ------
        LanguageModelError
            Nothing can be drawn: scores are not finite.
        """
        if not bool(scores.amax(dim=-1).isfinite().all()):
            raise LanguageModelError(
                "The scores of the next token are not finite.",
                fix="Look whether the weights are finite; a temperature or a strength nearer to 1 may help.",
            )
        if self.uniforms is None:
            token = scores.argmax(dim=-1, keepdim=True)
        else:
            summed = torch.softmax(scores.to(self.uniforms.dtype), dim=-1).cumsum(dim=-1)
            # A little less than the whole, so that rounding never asks for a token after the last.
            below = 1 - 4 * torch.finfo(summed.dtype).eps
            reached = self.uniforms[:, len(self.log_probs), None] * summed[:, -1:] * below
            token = torch.searchsorted(summed, reached, right=True)
        self.log_probs.append(self.raw.log_probs.gather(1, token)[:, 0])
        for each in self.told:
            each.drawn(token)
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)
