"""A trainer for binary classifier optimisation: TRL's for thumbs, with another loss and a reward shift."""

from __future__ import annotations

import functools
from typing import Any

import torch

from pluralism.extras import require
from pluralism.policy.lm.trl_names import trl_name

__all__ = ["RewardShift", "bco_trainer"]


class RewardShift:
    """Moving averages of the rewards of thumbs up and down; half their sum is the shift.

    Parameters
    ----------
    momentum : float
        How much of an average stays when a batch comes in.

    Examples
    --------
    >>> shift = RewardShift(0.5)
    >>> shift.taken_in(torch.tensor([2.0, 4.0, 1.0]), torch.tensor([True, True, False]))
    2.0
    >>> shift.taken_in(torch.tensor([1.0]), torch.tensor([True]))
    1.5
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.means: dict[str, float] = {}

    def taken_in(self, rewards: torch.Tensor, labels: torch.Tensor, *, learn: bool = True) -> float:
        """The shift after a batch; without `learn` the averages stay as they were, unless there are none yet."""
        means = dict(self.means)
        for side, there in (("up", labels), ("down", ~labels)):
            if there.any() and (learn or not self.means):
                new = float(rewards[there].mean())
                old = means.get(side, new)
                means[side] = self.momentum * old + (1 - self.momentum) * new
        if learn:
            self.means = means
        return sum(means.values()) / len(means)


@functools.cache
def bco_trainer(momentum: float) -> type:
    """A subclass of TRL's trainer for thumbs; its batches have a weight by row.

    Parameters
    ----------
    momentum : float
        Of the moving averages.
    """
    base = trl_name("KTOTrainer")

    def initialise(self: Any, *args: Any, **options: Any) -> None:
        base.__init__(self, *args, **options)
        self.shift = RewardShift(momentum)
        self.add_callback(_kept_shift(self.shift))
        plain = self.data_collator

        def with_weights(rows: list[dict[str, Any]]) -> dict[str, Any]:
            return {**plain(rows), "weight": torch.tensor([row["weight"] for row in rows])}

        self.data_collator = with_weights

    def name_columns(self: Any) -> None:
        self._signature_columns = ["prompt_ids", "completion_ids", "label", "weight"]

    def compute(self: Any, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        mode = "train" if self.model.training else "eval"
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=labels,
            use_cache=False,
            fused_lm_head=True,
        )
        log_probs = outputs.log_probs[:, -(labels.size(1) - 1) :].sum(-1)
        reference, _ = self.compute_ref_log_probs(self.ref_model or self.model, inputs)
        rewards = self.beta * (log_probs - reference)
        up, held = inputs["label"].bool(), rewards.detach()
        delta = self.shift.taken_in(
            self.accelerator.gather_for_metrics(held), self.accelerator.gather_for_metrics(up), learn=mode == "train"
        )
        margins = torch.where(up, rewards - delta, delta - rewards)
        loss = -(torch.where(up, 1.0, inputs["weight"]) * torch.nn.functional.logsigmoid(margins)).mean()
        self._metrics[mode]["shift"].append(delta)
        self._metrics[mode]["rewards/accuracies"].append(float((margins > 0).float().mean()))
        return (loss, outputs) if return_outputs else loss

    methods = {
        "__init__": initialise,
        "_set_signature_columns_if_needed": name_columns,
        "_compute_loss": compute,
    }
    return type("BCOTrainer", (base,), methods)


def _kept_shift(shift: RewardShift) -> Any:
    """A callback that writes the averages into checkpoints and reads them from the one that training goes on from."""
    callbacks = require("transformers.trainer_callback", extra="lm", purpose="Training a language model")

    def state(self: Any) -> dict[str, Any]:
        return {"args": {}, "attributes": {"means": dict(shift.means)}}

    def on_train_begin(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        held = state.stateful_callbacks.get("KeptShift")
        if held is not None:
            shift.means = dict(held["attributes"]["means"])

    bases = (callbacks.TrainerCallback, callbacks.ExportableState)
    return type("KeptShift", bases, {"state": state, "on_train_begin": on_train_begin})()
