"""TRL's trainers without what a library must not do: report home, write cards, print, or move global random states."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from pluralism.extras import require
from pluralism.llm.pretrained import quiet
from pluralism.policy.lm.library_warnings import without_rename_warnings

__all__ = ["kept_random_states", "progress_callback", "quiet_trainer", "silence", "undisturbed"]


@functools.cache
def quiet_trainer(base: type, *, prepared: bool = True) -> type:
    """A subclass of a trainer of TRL that sends no telemetry and writes no model card.

    Parameters
    ----------
    base : type
        A trainer of TRL.
    prepared : bool
        Whether the data sets given to it hold tokens already, so that it trains on the very tokens that
        `LanguageModel.log_probs` scores, and not on a second rendering of the template.
    """

    def nothing(self: Any, *args: Any, **options: Any) -> None:
        return None

    def as_given(self: Any, dataset: Any, *args: Any, **options: Any) -> Any:
        return dataset

    methods: dict[str, Any] = {"_send_telemetry": nothing, "create_model_card": nothing}
    if prepared:
        methods["_prepare_dataset"] = as_given
    return type(base.__name__, (base,), methods)


def silence(trainer: Any) -> Any:
    """Take the printing of logs from a trainer; give it back."""
    callbacks = require("transformers.trainer_callback", extra="lm", purpose="Training a language model")
    trainer.remove_callback(callbacks.PrinterCallback)
    trainer.remove_callback(callbacks.ProgressCallback)
    return trainer


def progress_callback(report: Callable[[int, int], object]) -> Any:
    """A callback of trainers that reports (steps done, steps in all)."""
    callbacks = require("transformers.trainer_callback", extra="lm", purpose="Training a language model")

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        report(state.global_step, state.max_steps)

    return type("Progress", (callbacks.TrainerCallback,), {"on_step_end": on_step_end})()


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Put back the global random states that trainers seed: python's, numpy's and torch's."""
    held, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(held)
        np.random.set_state(arrays)  # noqa: NPY002


@contextmanager
def undisturbed() -> Iterator[None]:
    """Train with nothing on the screen, and leave the random numbers of others alone."""
    library = require("transformers", extra="lm", purpose="Training a language model")
    with kept_random_states(), quiet(library), without_rename_warnings():
        yield
