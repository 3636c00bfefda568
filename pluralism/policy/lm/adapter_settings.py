"""What an adapter is: low-rank changes of weights, or a few virtual tokens before the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.errors import UsageError
from pluralism.extras import require
from pluralism.models.settings import is_whole

__all__ = ["AdapterSettings", "Lora", "PromptTuning"]


@dataclass(frozen=True, kw_only=True)
class Lora:
    r"""Low-rank adaptation: layer by layer :math:`W + \frac{\alpha}{r} B A`, of which only A and B are trained.

    Attributes
    ----------
    rank : int
        r, from 1.
    alpha : float
        Above 0.
    dropout : float
        Chance that an input of A is left out in training, from 0 and below 1. The trainers of preferences turn it off.
    layers : str or tuple of str
        ``"all-linear"`` (all but the output head), or names of layers, as ``("q_proj", "v_proj")``.

    References
    ----------
    E. Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, arXiv:2106.09685.
    """

    kind: ClassVar[str] = "lora"

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    layers: str | tuple[str, ...] = "all-linear"

    def __post_init__(self) -> None:
        if not (is_whole(self.rank) and self.alpha > 0 and 0 <= self.dropout < 1 and self.layers):
            raise UsageError(
                f"{self} is not possible.", fix="rank is whole and from 1, alpha above 0, dropout from 0 and below 1."
            )

    def config(self) -> Any:
        """The settings as a `peft.LoraConfig`.

        Raises
        ------
        MissingExtraError
            peft is not installed.
        """
        peft = require("peft", extra="lm", purpose="An adapter")
        return peft.LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self.layers if isinstance(self.layers, str) else list(self.layers),
        )

    def check(self, network: Any) -> None:
        """Refuse layers that a network does not have, and its output head, which trainers of TRL read past.

        Raises
        ------
        UsageError
        """
        if isinstance(self.layers, str):
            return
        head = network.get_output_embeddings()
        for layer in self.layers:
            found = [part for name, part in network.named_modules() if f".{name}".endswith(f".{layer}")]
            if not found or any(part is head for part in found):
                raise UsageError(
                    f"A LoRA cannot change {layer!r} here: it is {'the output head' if found else 'no layer'}.",
                    fix='Name other layers, or use layers="all-linear".',
                )


@dataclass(frozen=True, kw_only=True)
class PromptTuning:
    """Prompt tuning: embeddings of virtual tokens before the prompt are trained, and nothing else.

    Attributes
    ----------
    tokens : int
        How many virtual tokens, from 1.

    References
    ----------
    B. Lester et al., "The power of scale for parameter-efficient prompt tuning", EMNLP 2021, arXiv:2104.08691.
    """

    kind: ClassVar[str] = "prompt_tuning"

    tokens: int = 8

    def __post_init__(self) -> None:
        if not is_whole(self.tokens):
            raise UsageError(f"tokens={self.tokens!r} is not possible.", fix="Give one virtual token at least.")

    def config(self) -> Any:
        """The settings as a `peft.PromptTuningConfig`.

        Raises
        ------
        MissingExtraError
            peft is not installed.
        """
        peft = require("peft", extra="lm", purpose="An adapter")
        return peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.tokens)

    def check(self, network: Any) -> None:
        """Any network takes a prompt."""


AdapterSettings = Lora | PromptTuning
