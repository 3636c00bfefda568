"""A callback for trainers of transformers and TRL that watches the likeliest tokens, and warns or stops."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.diagnostics.next_tokens import read_answers
from pluralism.diagnostics.over_optimisation_band import OverOptimisation, over_optimisation
from pluralism.diagnostics.top_k import measure_top_k
from pluralism.errors import UsageError
from pluralism.extras import require
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.policy.lm import LanguageModel

__all__ = ["OverOptimisationMonitor"]

_log = logging.getLogger(__name__)

_Callback: Any = require("transformers", extra="lm", purpose="A callback of a trainer").TrainerCallback


class OverOptimisationMonitor(_Callback):
    """Measures the entropy and the mass of the k likeliest tokens along probe answers while a model is trained.

    Pass it to a trainer: ``DPOTrainer(..., callbacks=[monitor])``. Measurements stand in the trainer's log history (as
    `top_k_entropy` and `top_k_mass`), so they survive a resumed training, and with them the band of its start; another
    training has another band. The training itself goes as it would without the monitor. Where the model has diverged
    there is nothing to measure: that is logged like an alarm, and stops the training where alarms do.

    Parameters
    ----------
    start : LanguageModel
        The model that training starts from: it tokenises, and writes the probe answers where none are given.
    prompts : sequence of str
        Probes, such as 32 prompts that are not trained on.
    responses : sequence of str, optional
        One answer for each prompt, along which next tokens are measured.
    k : int
        How many likeliest tokens.
    every : int
        Steps of training between measurements; there is one before the first step and one after the last.
    redraw : bool
        Whether the model in training writes the probe answers anew at each measurement, always with the same `rng`.
    max_tokens : int
        Of probe answers that are written.
    baseline, slack, patience
        As in `over_optimisation`.
    stop : bool
        Whether an alarm ends the training.
    system, examples
        As in `LanguageModel.generate`.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If there are no prompts, not one response for each, responses that would be written anew, or a setting that
        cannot work.
    """

    def __init__(
        self,
        start: LanguageModel,
        prompts: Sequence[str],
        responses: Sequence[str] | None = None,
        *,
        k: int = 10,
        every: int = 10,
        redraw: bool = False,
        max_tokens: int = 64,
        baseline: int = 3,
        slack: float = 0.1,
        patience: int = 1,
        stop: bool = False,
        system: str | None = None,
        examples: Sequence[tuple[str, str]] = (),
        rng: RNG = 0,
    ) -> None:
        if not prompts or (responses is not None and (redraw or len(responses) != len(prompts))):
            raise UsageError(
                "Probes are prompts, with one response for each, or none where they are written anew.",
                fix="Pass responses for all prompts, or leave them out.",
            )
        if every < 1:
            raise UsageError(f"every={every!r} is not possible.", fix="Measure every 10 steps, or less often.")
        self.prompts, self.k, self.every, self.redraw, self.stop = tuple(prompts), k, every, redraw, stop
        self._limits: dict[str, Any] = {"baseline": baseline, "slack": slack, "patience": patience}
        # Settings that cannot work are refused now, and not in the middle of a training.
        over_optimisation([0], [1.0], [1.0], **self._limits)
        self._writing: dict[str, Any] = {"max_tokens": max_tokens, "system": system, "examples": tuple(examples)}
        self._tokenizer, self._name, self._seed = start.tokenizer, start.name, as_seed(rng)
        self._asked = [start.prompt_tokens(prompt, system=system, examples=examples) for prompt in self.prompts]
        self._answers: list[Sequence[int]] | None = None
        if responses is not None:
            self._answers = [start.response_tokens(response) for response in responses]
        elif not redraw:
            self._answers = self._written(start)
        self._measured: list[tuple[int, float, float]] = []

    def result(self) -> OverOptimisation:
        """What was measured so far.

        Raises
        ------
        UsageError
            Nothing was measured yet.
        """
        if not self._measured:
            raise UsageError("Nothing was measured yet.", fix="Pass the monitor to a trainer, and train.")
        steps, entropy, mass = zip(*self._measured, strict=True)
        return over_optimisation(np.array(steps), entropy, mass, **self._limits)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Takes up what an earlier run of this training measured, or measures for the first time."""
        self._measured = [
            (int(entry["step"]), float(entry["top_k_entropy"]), float(entry["top_k_mass"]))
            for entry in state.log_history
            if "top_k_entropy" in entry
        ]
        self._watch(state, control, kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measures every so many steps."""
        if state.global_step % self.every == 0:
            self._watch(state, control, kwargs["model"])

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measures where training ended."""
        self._watch(state, control, kwargs["model"])

    def _watch(self, state: Any, control: Any, network: Any) -> None:
        step = int(state.global_step)
        if self._measured and self._measured[-1][0] >= step:
            return
        entropy, mass = self._measure(network)
        if not np.isfinite([entropy, mass]).all():
            _log.warning("Step %d: the model's next tokens have no finite probabilities; it has diverged.", step)
            control.should_training_stop = control.should_training_stop or self.stop
            return
        self._measured.append((step, entropy, mass))
        state.log_history.append({"step": step, "top_k_entropy": entropy, "top_k_mass": mass})
        for alarm in self.result().alarms:
            if alarm.step == step:
                _log.warning(
                    "Step %d: %s of the %d likeliest tokens is %.3f, below %.3f at the start of training.",
                    *(step, alarm.measure, self.k, alarm.value, alarm.low),
                )
                control.should_training_stop = control.should_training_stop or self.stop

    def _measure(self, network: Any) -> tuple[float, float]:
        """Means over probes of the means over their tokens."""
        from pluralism.policy.lm import LanguageModel

        model = LanguageModel(network, self._tokenizer, self._name)
        answers = self._answers if self._answers is not None else self._written(model)
        read = read_answers(model, self._asked, answers, measure_top_k(self.k))
        entropy, mass = np.mean([rows.mean(axis=1) for rows in read], axis=0)
        return float(entropy), float(mass)

    def _written(self, model: LanguageModel) -> list[Sequence[int]]:
        return list(model.generate(self.prompts, rng=self._seed, **self._writing).tokens)
