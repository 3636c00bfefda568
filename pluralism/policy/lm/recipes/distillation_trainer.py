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
        padded, there = inputs["input_ids"], inputs["attention_mask"]
        # Rows come padded on the left, where positions and virtual tokens of an adapter would stand before the padding.
        width = padded.shape[1]
        turned = (torch.arange(width, device=padded.device) + there.long().argmax(1, keepdim=True)) % width
        read = {"input_ids": padded.gather(1, turned), "attention_mask": there.gather(1, turned)}
        outputs = model(**read)
        teacher = self.teacher_model
        with torch.no_grad():
            logits, weight = (
                teacher.weighted(**read) if hasattr(teacher, "weighted") else (teacher(**read).logits, None)
            )
        own = inputs["labels"].gather(1, turned)[:, 1:] != -100
        # From the end: virtual tokens stand before the first.
        student = torch.log_softmax(outputs.logits[:, -width:-1][own].float(), dim=-1)
        wanted = torch.log_softmax(logits[:, -width:-1][own].float(), dim=-1)
        divergence = (student.exp() * (student - wanted)).sum(-1)
        if weight is not None:
            divergence = divergence * (beta / weight[:, -width:-1][own].float())
        loss = divergence.sum() / max(len(divergence), 1)
        return (loss, outputs) if return_outputs else loss

    def training_step(self: Any, *args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            # Of a tuned prompt, when the student writes.
            warnings.filterwarnings("ignore", "Position ids are not supported", UserWarning)
            return base.training_step(self, *args, **options)

    methods = {"__init__": start, "compute_loss": compute_loss, "training_step": training_step}
    return type(base.__name__, (base,), methods)
