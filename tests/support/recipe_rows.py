"""Trainings that tests kill in the middle: settings and rows by name."""

from __future__ import annotations

import tiny_lm as models

from pluralism.policy.lm.adapter_settings import Lora
from pluralism.policy.lm.recipes import BCO, DPO, SupervisedTuning

_QUICK = {"learning_rate": 1e-3, "max_steps": 8, "batch_size": 2, "save_every": 3}
RECIPES = {
    "all weights": DPO(**_QUICK),
    "adapter": DPO(**_QUICK, adapter=Lora(rank=2, dropout=0.1)),
    "thumbs": BCO(**_QUICK),
    "answers": SupervisedTuning(**_QUICK),
}


def rows_of(name):
    """Warm answers liked, plain ones not."""
    warm, plain = models.RESPONSES["warm"], models.RESPONSES["plain"]
    if name == "answers":
        return {"prompt": models.PROMPTS, "completion": warm}
    if name == "thumbs":
        labels = [True] * len(warm) + [False] * len(plain)
        return {"prompt": models.PROMPTS * 2, "completion": warm + plain, "label": labels}
    return {"prompt": models.PROMPTS, "chosen": warm, "rejected": plain}
