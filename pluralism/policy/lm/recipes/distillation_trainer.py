"""TRL's trainer of on-policy distillation, with the token-adaptive loss."""

from __future__ import annotations

import functools
import logging
import warnings
from typing import Any

import torch

from pluralism.policy.lm.trl_names import trl_name

__all__ = ["distillation_trainer"]


@functools.cache
def distillation_trainer(beta: float) -> type:
    """A subclass of GKD whose loss is beta / w KL(student || teacher), in the mean over tokens of the batch.

    Parameters
    ----------
    beta : float
        Over the weight w that the teacher gives a token; a teacher without weights has beta everywhere.
    """
    base = trl_name("GKDTrainer")

    def start(self: Any, *args: Any, **options: Any) -> None:
        # It recommends another trainer, whose teacher cannot be a module.
        notices = logging.getLogger(base.__module__)
        level = notices.level
        notices.setLevel(logging.ERROR)
        try:
            base.__init__(self, *args, **options)
        finally:
            notices.setLevel(level)
        # Tokens are counted in what the student writes, not in the batch that the trainer sees beforehand.
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self: Any, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        read = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
        outputs = model(**read)
        teacher = self.teacher_model
        with torch.no_grad():
            logits, weight = (
                teacher.weighted(**read) if hasattr(teacher, "weighted") else (teacher(**read).logits, None)
            )
        own = inputs["labels"][:, 1:] != -100
        student = torch.log_softmax(outputs.logits[:, :-1][own].float(), dim=-1)
        wanted = torch.log_softmax(logits[:, :-1][own].float(), dim=-1)
        divergence = (student.exp() * (student - wanted)).sum(-1)
        if weight is not None:
            divergence = divergence * (beta / weight[:, :-1][own].float())
        loss = divergence.sum() / max(len(divergence), 1)
        return (loss, outputs) if return_outputs else loss

    def training_step(self: Any, *args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            # TRL asks transformers under a name that is on its way out.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            return base.training_step(self, *args, **options)

    methods = {"__init__": start, "compute_loss": compute_loss, "training_step": training_step}
    return type(base.__name__, (base,), methods)
