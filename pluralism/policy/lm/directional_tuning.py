"""Directional preference alignment: rejection-sampling fine-tuning of one language model for all directions."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import json_ready
from pluralism.errors import DataError, UsageError
from pluralism.models.direction_prompt import direction_prompt
from pluralism.models.settings import is_whole
from pluralism.policy.directional_policy import spaced_directions, unit_directions
from pluralism.policy.lm.adapter_settings import PromptTuning
from pluralism.policy.lm.directional_rounds import DirectionalRounds, Score
from pluralism.policy.lm.recipes.supervised import SupervisedTuning
from pluralism.policy.lm.run_folder import RunFolder, weights_digest

if TYPE_CHECKING:
    from pluralism.policy.lm.directional_run import DirectionalRun
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["DirectionalTuning"]


@dataclass(frozen=True, kw_only=True)
class DirectionalTuning:
    r"""A policy conditioned on a direction v over attributes, which imitates its own best samples by :math:`v \cdot r`.

    In each round every prompt meets directions drawn from a cone; the model of the last round, told v in its system
    message, answers n times; of these the one with the most :math:`v \cdot r` is kept; and the model is fine-tuned on
    what was kept, given prompt and direction. The weights are signed: a direction can ask for less of an attribute.

    Parameters
    ----------
    attributes : tuple of str
        Names, in the order of the scores; system messages show them.
    n : int
        Responses of which the best is kept; 16 in the paper.
    n_rounds : int
    centre : tuple of float, optional
        Axis of the cone; the first attribute by default.
    angle : float
        Half the opening of the cone in radians, at most pi; the paper has 45 degrees.
    directions_per_prompt : int
        Drawn anew each round.
    tuning : SupervisedTuning
        How a round imitates.
    unit : {"start", "raw"}
        Whether attributes are divided by their standard deviation among the start's responses, so that directions weigh
        them alike, or taken as they come.
    persona : str
        What comes before the weights in the system message.
    max_tokens, temperature, top_p
        How responses that are chosen among are drawn. One cut at the most tokens is never kept.
    shown : tuple of tuples of float, optional
        Directions by which rounds are judged; by default nine, evenly spaced over the cone for two attributes.
    samples : int
        Responses to each evaluation prompt and shown direction, drawn at temperature 1.
    reference : tuple of float, optional
        Point from which hypervolumes are measured, in units of `unit`. By default the start's mean, less 1 for
        attributes that all shown directions weigh with one sign.
    n_bootstrap : int
        Draws of evaluation prompts for intervals.
    rng : int

    References
    ----------
    H. Wang et al., "Arithmetic control of LLMs for diverse user preferences: directional preference alignment with
    multi-objective rewards", arXiv:2402.18571, algorithm 1. The law of directions in training is not published; here
    it is uniform on the cone.
    """

    attributes: tuple[str, ...]
    n: int = 16
    n_rounds: int = 4
    centre: tuple[float, ...] | None = None
    angle: float = float(np.pi / 4)
    directions_per_prompt: int = 1
    tuning: SupervisedTuning = field(default_factory=SupervisedTuning)
    unit: Literal["start", "raw"] = "start"
    persona: str = "You are a helpful assistant."
    max_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    shown: tuple[tuple[float, ...], ...] | None = None
    samples: int = 4
    reference: tuple[float, ...] | None = None
    n_bootstrap: int = 500
    rng: int = 0

    def __post_init__(self) -> None:
        for name in ("n", "n_rounds", "directions_per_prompt", "max_tokens", "samples", "n_bootstrap"):
            least = 2 if name == "n" else 1
            if not is_whole(getattr(self, name)) or getattr(self, name) < least:
                raise UsageError(
                    f"{name}={getattr(self, name)!r} is not possible.", fix=f"It is a whole number, {least} at least."
                )
        if not is_whole(self.rng + 1 if isinstance(self.rng, int) else self.rng):
            raise UsageError(f"rng={self.rng!r} is not possible.", fix="Give a whole number: a run must know it again.")
        if isinstance(self.tuning.adapter, PromptTuning):
            raise UsageError(
                "A tuned prompt cannot be merged into the model that the next round begins from.",
                fix="Tune a LoRA, or all weights.",
            )
        if not 0 < self.angle <= np.pi:
            raise UsageError(f"angle={self.angle!r} is not possible.", fix="In radians, above 0 and at most pi.")
        if self.unit not in ("start", "raw"):
            raise UsageError(f"unit={self.unit!r} is not possible.", fix='It is "start" or "raw".')
        if isinstance(self.attributes, str) or not self.attributes or len(set(self.attributes)) < len(self.attributes):
            raise UsageError(f"attributes={self.attributes!r} are no names.", fix="Give distinct names, one at least.")
        point = self.reference
        if point is not None and (len(point) != len(self.attributes) or not np.isfinite(point).all()):
            raise UsageError(f"reference={point!r} is not possible.", fix="Give one number for each attribute.")
        self.directions  # noqa: B018  a wrong centre or direction is told here, not in the middle of a run

    def run(
        self,
        model: LanguageModel,
        prompts: Sequence[str],
        score: Score,
        out: str | os.PathLike[str],
        *,
        evaluation: Sequence[str] | None = None,
        judge: Score | None = None,
        warm_up: tuple[Sequence[str], Sequence[str]] | None = None,
        progress: Callable[[str], object] | None = None,
    ) -> DirectionalRun:
        """Run all rounds; a run that was killed goes on after the last part that was finished, to the same result.

        Parameters
        ----------
        model : LanguageModel
            The start; it stays as it is.
        prompts : sequence of str
            To train on.
        score : callable
            Takes prompts and responses, as many of one as of the other; gives an array (rows, attributes).
        out : path-like
            Folder of the run: the model of each round, and what is needed to go on.
        evaluation : sequence of str, optional
            Prompts by which rounds are judged; the training prompts by default.
        judge : callable, optional
            Attributes by which rounds are judged; `score` by default, which flatters what was chosen by it.
        warm_up : (prompts, responses), optional
            A first round that chooses among given responses in the place of the model's: for a start that has never
            seen a direction.
        progress : callable, optional
            Told what begins.

        Raises
        ------
        UsageError
            The folder holds another run, or the score is not the one that the run began with.
        DataError
            No prompts, scores that do not fit or are not finite, or no response that could be kept.
        """
        asked = _texts(prompts, "prompts")
        judged = asked if evaluation is None else _texts(evaluation, "evaluation prompts")
        pool = None if warm_up is None else (_texts(warm_up[0], "warm-up prompts"), tuple(warm_up[1]))
        settings = {
            "recipe": json_ready(dataclasses.asdict(self)),
            "start": {"name": model.name, "weights": weights_digest(model.network)},
            "prompts": asked,
            "evaluation": judged,
            "warm_up": pool,
        }
        rounds = DirectionalRounds(
            self,
            model,
            asked,
            judged,
            score,
            score if judge is None else judge,
            pool,
            RunFolder(out, settings),
            progress,
        )
        return rounds.run()

    @property
    def axis(self) -> Float[np.ndarray, " attributes"]:
        """Of the cone, at length 1."""
        first = np.eye(len(self.attributes))[0]
        return unit_directions(first if self.centre is None else self.centre, self.attributes)[0]

    @property
    def directions(self) -> Float[np.ndarray, "directions attributes"]:
        """Unit directions by which rounds are judged."""
        if self.shown is not None:
            return unit_directions(self.shown, self.attributes)
        return spaced_directions(self.axis, self.angle, rng=np.random.default_rng([self.rng, 0]))

    def system_message(self, direction: ArrayLike) -> str:
        """How a model is told a direction (any length but 0; it is normalised): with weights times 100, rounded."""
        v = unit_directions(direction, self.attributes)[0]
        return direction_prompt(v, self.attributes, shown=self.attributes, persona=self.persona)


def _texts(given: Sequence[str], what: str) -> tuple[str, ...]:
    texts = () if isinstance(given, str) else tuple(given)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(f"The {what} are no texts, or none.", fix="Give a list of strings.")
    return texts
