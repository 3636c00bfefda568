"""Distillation of a teacher that is made of two policies, on what the student writes itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import DataError, UsageError
from pluralism.extras import require
from pluralism.policy.lm.recipes.distillation_trainer import distillation_trainer
from pluralism.policy.lm.recipes.quiet_trainer import quiet_trainer, silence
from pluralism.policy.lm.recipes.recipe import Recipe
from pluralism.policy.lm.recipes.training_rows import answered, token_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from pluralism.data.sources import Source
    from pluralism.embeddings.progress import ProgressOption
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["AlignDistil"]


@dataclass(frozen=True, kw_only=True)
class AlignDistil(Recipe):
    r"""The student learns the teacher's distribution of each token, on its own answers.

    The loss is the mean over tokens of :math:`\frac{\beta}{w_t} \mathrm{KL}(\pi \| \pi_{teacher})`. The teacher comes
    as `reference`: `teacher_model(policy, reference)` of `pluralism.policy.lm.conditioning`, or any language model over
    the same tokens. :math:`w_t` is the weight of an adaptive contrast; with other teachers the factor is 1.

    With a teacher of fixed contrast a the student's optimum at each token is that of the KL-regularised problem with
    the policy's implicit reward and the regularisation :math:`\beta_{dpo} / a`.

    With a tuned prompt the answers to the shorter prompts of a batch are drawn as if the padding were there, since PEFT
    puts virtual tokens before it; the loss of what was drawn is right. A LoRA has no such trouble.

    Attributes
    ----------
    beta : float
        Above 0; it matters with an adaptive contrast.
    on_policy : float
        Share of the batches in which the student writes the answers; in the others they are those of a column
        `completion`.
    max_new_tokens : int
        Of what the student writes.
    temperature : float
        Of what the student writes.

    References
    ----------
    S. Zhang et al., "AlignDistil: token-level language model alignment as adaptive policy distillation",
    arXiv:2503.02832. The loop is TRL's (experimental) GKD; the loss is ours.
    """

    name: ClassVar[str] = "align_distil"
    columns: ClassVar[tuple[str, ...]] = ("prompt",)
    rates: ClassVar[tuple[float, float]] = (1e-6, 1e-5)

    beta: float = 1.0
    on_policy: float = 1.0
    max_new_tokens: int = 128
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta", "max_new_tokens", "temperature"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)!r} is not possible.", fix="It is above 0.")
        if not 0 <= self.on_policy <= 1:
            raise UsageError(f"on_policy={self.on_policy!r} is not possible.", fix="It is a share, from 0 to 1.")

    def loss(
        self,
        model: LanguageModel,
        data: Any,
        *,
        group: str | None = None,
        reference: LanguageModel | None = None,
    ) -> float:
        """The loss of a student on given answers; see `Recipe.loss`.

        Parameters
        ----------
        model, group
            As in `Recipe.loss`.
        data
            With the columns prompt and completion.
        reference : LanguageModel
            The teacher.
        """
        self._teacher(reference)
        return super().loss(model, data, group=group, reference=reference)

    def train(
        self,
        model: LanguageModel,
        data: Any,
        out: str | os.PathLike[str],
        *,
        group: str | None = None,
        reference: LanguageModel | None = None,
        callbacks: Sequence[Any] = (),
        progress: ProgressOption = False,
    ) -> LanguageModel:
        """Train the student; see `Recipe.train`. The reference is the teacher, and must be given."""
        self._teacher(reference)
        return super().train(model, data, out, group=group, reference=reference, callbacks=callbacks, progress=progress)

    def _teacher(self, reference: LanguageModel | None) -> None:
        if reference is None:
            raise UsageError(
                "A distillation has no teacher.", fix="Pass reference=teacher_model(policy, other), or another model."
            )

    def _trl_names(self) -> tuple[str, str]:
        return "GKDTrainer", "GKDConfig"

    def _options(self) -> dict[str, Any]:
        return {
            "lmbda": self.on_policy,
            "beta": 1.0,
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens,
        }

    def _rows(self, model: LanguageModel, source: Source) -> Any:
        datasets = require("datasets", extra="lm", purpose=f"The recipe {self.name!r}")
        given = "completion" in source
        if not given and self.on_policy < 1:
            raise UsageError(
                "There is no column 'completion', and not all batches are on policy.",
                fix="Give answers, or use on_policy=1.",
            )
        data = answered(source, ("completion",) if given else ())
        prompts, answers = token_rows(model, data, source.name, max_tokens=self.max_tokens)
        most = max(map(len, prompts)) + self.max_new_tokens
        if self.on_policy > 0 and most > model.limit:
            raise DataError(
                f"A prompt and {self.max_new_tokens:,} new tokens are {most:,}.",
                where=source.name,
                fix=f"{model.name} reads {model.limit:,} tokens: shorten the prompts or max_new_tokens.",
            )
        told = answers["completion"] if given else [[] for _ in prompts]
        pairs = list(zip(prompts, told, strict=True))
        return datasets.Dataset.from_dict(
            {
                # TRL's collator wants a text here, which it does not read where there are tokens.
                "prompt": [""] * len(pairs),
                "input_ids": [prompt + answer for prompt, answer in pairs],
                "completion_mask": [[0] * len(prompt) + [1] * len(answer) for prompt, answer in pairs],
            }
        )

    def _trainer_class(self) -> type:
        return quiet_trainer(distillation_trainer(self.beta))

    def _trainer(
        self, network: Any, reference: Any, model: LanguageModel, rows: Any, place: Path, *, adapter: Any = None
    ) -> Any:
        return silence(
            self._trainer_class()(
                model=network,
                teacher_model=reference,
                args=self.config(place, device=str(model.device)),
                train_dataset=rows,
                processing_class=copy.copy(model.tokenizer),
                peft_config=adapter,
            )
        )
