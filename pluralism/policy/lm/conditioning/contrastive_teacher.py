"""Two language models as one teacher: a module with logits, for distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from pluralism.errors import UsageError
from pluralism.policy.lm.conditioning.contrastive_logits import (
    Contrast,
    adaptive_logits,
    check_contrast,
    extrapolated_logits,
)
from pluralism.policy.lm.teacher_forcing import evaluating

if TYPE_CHECKING:
    from torch import Tensor

    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["ContrastiveTeacher", "check_same_tokens", "teacher_model"]


class ContrastiveTeacher(torch.nn.Module):
    """A frozen module whose logits are the contrast of two models; see `contrastive_logits`.

    It has what distillation asks of a teacher: ``forward(input_ids, attention_mask)`` with ``logits``, a ``config`` and
    a ``device``. Neither network is changed, nor put into another mode.

    Parameters
    ----------
    policy, other : LanguageModel
        Over the same tokens; `other` is the reference, or the policy of reversed pairs.
    contrast : {"fixed", "adaptive"}
        Whether `extrapolated_logits` or `adaptive_logits`.
    scale : float
        a, or beta_2.

    Raises
    ------
    UsageError
        The models have different tokens, or a setting cannot work.
    """

    def __init__(
        self, policy: LanguageModel, other: LanguageModel, *, contrast: Contrast = "fixed", scale: float = 2.0
    ) -> None:
        super().__init__()
        check_contrast(contrast, scale)
        check_same_tokens(policy, other)
        self.policy, self.other = policy.network, other.network
        self.contrast: Contrast = contrast
        self.scale = float(scale)
        # In the state, so that a training that is resumed knows its teacher again.
        self.register_buffer("settings", torch.tensor([float(contrast == "adaptive"), scale], dtype=torch.float64))

    def train(self, mode: bool = True) -> ContrastiveTeacher:
        """Nothing: the networks are others' too, and are read without dropout whatever their mode."""
        return self

    @property
    def config(self) -> Any:
        """That of the policy's network: trainers read the vocabulary's size from it."""
        return self.policy.config

    @property
    def generation_config(self) -> Any:
        """That of the policy's network: which tokens end an answer is read from it."""
        return self.policy.generation_config

    @property
    def dtype(self) -> Any:
        """The number format of the policy's weights."""
        return self.policy.dtype

    @property
    def device(self) -> Any:
        """Where the policy's weights are."""
        return self.policy.device

    @torch.no_grad()
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **options: Any) -> Any:
        """The contrast of both models' logits, in the output class of transformers.

        Parameters
        ----------
        input_ids, attention_mask : tensors of shape (rows, tokens)
        **options
            Handed to both networks, but for `use_cache`, `labels` and `return_dict`.
        """
        from transformers.modeling_outputs import CausalLMOutput

        return CausalLMOutput(logits=self.weighted(input_ids, attention_mask, **options)[0])

    @torch.no_grad()
    def weighted(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        """The logits, and with the adaptive contrast its weight at each place; parameters as of `forward`."""
        given = {name: value for name, value in options.items() if name not in ("use_cache", "labels", "return_dict")}
        logits = []
        for network in (self.policy, self.other):
            with evaluating(network):
                output = network(
                    input_ids=input_ids, attention_mask=attention_mask, use_cache=False, return_dict=True, **given
                )
            # From the end: virtual tokens of a prompt adapter stand before the first.
            logits.append(output.logits[:, -input_ids.shape[1] :])
        if self.contrast == "fixed":
            return extrapolated_logits(logits[0], logits[1], self.scale), None
        return adaptive_logits(logits[0], logits[1], self.scale)


def teacher_model(
    policy: LanguageModel, other: LanguageModel, *, contrast: Contrast = "fixed", scale: float = 2.0
) -> LanguageModel:
    """A `ContrastiveTeacher` with its tokenizer, as `AlignDistil` takes it; it scores texts and writes none.

    Parameters
    ----------
    policy, other, contrast, scale
        As of `ContrastiveTeacher`; to write with it use `ContrastiveDecoding`.
    """
    network = ContrastiveTeacher(policy, other, contrast=contrast, scale=scale)
    return replace(policy, network=network, name=f"{contrast} contrast of {policy.name} and {other.name}")


def check_same_tokens(first: LanguageModel, second: LanguageModel) -> None:
    """Refuse models whose logits are not of the same tokens.

    Raises
    ------
    UsageError
    """
    sizes = [model.network.config.get_text_config().vocab_size for model in (first, second)]
    if sizes[0] != sizes[1] or first.tokenizer.get_vocab() != second.tokenizer.get_vocab():
        raise UsageError(
            f"{first.name!r} and {second.name!r} have different tokens.",
            fix="Use models of one family: a policy with the reference that it was trained from.",
        )
