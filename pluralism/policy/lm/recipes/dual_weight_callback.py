"""The callback that moves the weights of groups' rewards while a policy is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pluralism.errors import ModelFileError
from pluralism.extras import require
from pluralism.files.atomic import atomic_write

if TYPE_CHECKING:
    from pluralism.policy.lm.recipes.group_rewards import GroupRewards

__all__ = ["dual_weight_callback"]

_FILE = "dual_weights.json"


def dual_weight_callback(rewards: GroupRewards, trainer: Any) -> Any:
    """A callback that sets `trainer.reward_weights` after each step from what groups gained in it.

    The trainer reads its weights when it turns the rewards of the next responses into advantages, so new weights count
    from the next step on. With each checkpoint it keeps the weights, and a resumed training goes on from them.

    Parameters
    ----------
    rewards : GroupRewards
        That the trainer calls.
    trainer : trl.GRPOTrainer
    """
    callbacks = require("transformers.trainer_callback", extra="lm", purpose="Training a language model")
    state = rewards.state

    def set_weights() -> None:
        old = trainer.reward_weights
        trainer.reward_weights = torch.tensor(state.weights, dtype=old.dtype, device=old.device)

    def on_train_begin(self: Any, args: Any, state_: Any, control: Any, **rest: Any) -> None:
        if state_.global_step:
            path = Path(args.output_dir) / f"checkpoint-{state_.global_step}" / _FILE
            try:
                state.restore(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError) as cause:
                raise ModelFileError(
                    "The checkpoint has no weights of groups.", where=str(path), fix="Train in an empty folder."
                ) from cause
        set_weights()

    def on_step_end(self: Any, args: Any, state_: Any, control: Any, **rest: Any) -> None:
        total, count = rewards.take()
        here = torch.tensor([*total, float(count)], dtype=torch.float64, device=trainer.accelerator.device)
        *sums, n = trainer.accelerator.reduce(here, reduction="sum").tolist()
        if n:
            state.update([each / n for each in sums])
            set_weights()

    def on_save(self: Any, args: Any, state_: Any, control: Any, **rest: Any) -> None:
        if state_.is_world_process_zero:
            place = Path(args.output_dir) / f"checkpoint-{state_.global_step}" / _FILE
            atomic_write(place, json.dumps(state.to_dict()))

    methods = {"on_train_begin": on_train_begin, "on_step_end": on_step_end, "on_save": on_save}
    return type("DualWeightCallback", (callbacks.TrainerCallback,), methods)()
