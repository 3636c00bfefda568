"""The published protocol from the side of whoever is examined: a generator that learns from people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.item_bank import ItemBank
from pluralism.progress.option_orders import depermuted, rotations
from pluralism.progress.question_wording import chosen_option, question
from pluralism.progress.stand_in import StandIn

if TYPE_CHECKING:
    from pluralism.progress.questioned_people import QuestionedPeople

__all__ = ["Examinee", "committed_policy"]


class Examinee(ABC):
    """An alignment algorithm in the published form: write `run`, as a generator that yields once a period.

    A class written for the published framework runs with this base in the place of its own; so does any object that has
    these methods.

    Attributes
    ----------
    current_model : object
        What is judged; a `StandIn` of people of period 0 until the algorithm replaces it.
    current_timestep, query_times : int
    instance_id : str
    """

    current_model: Any
    checkpoint_id: str | None = None

    def __init__(self, **settings: Any) -> None:
        self.reset(**settings)

    def reset(self, **settings: Any) -> None:
        """Forget everything; a subclass takes its own settings here."""
        self.current_model = settings.get("model")
        self.current_timestep = self.query_times = 0
        self.instance_id = type(self).__name__

    def query_from_judge(self, prompt: Any, model: Any = None) -> Any:
        """Answer the judge: a text, or rows with `instruction` and `input`, as the model's `inference` does."""
        self.query_times += 1
        chosen = self.current_model if model is None else model
        if isinstance(prompt, str):
            return chosen.inference([{"instruction": prompt, "input": ""}])[0]["predict"]
        return chosen.inference(prompt)

    def get_current_model(self) -> Any:
        """What is to be judged."""
        return self.current_model

    @abstractmethod
    def run(self, judge: QuestionedPeople) -> Iterable[Any]:
        """Learn from `judge.query_from_examinee`, and yield when a period's work is done; call this first."""
        if self.current_model is None:
            self.current_model = judge.model_list[0].copy()
        return ()


def committed_policy(bank: ItemBank, examinee: Any) -> Float[np.ndarray, "items candidates"]:
    """What an examinee would choose on the questions that policies are judged by.

    Its model is asked in the first of these ways that it knows: `evaluate()`, which gives values (dim,) or choice
    probabilities (items, candidates); a call with contexts and options as they are shown, as `ValueItems.score` makes;
    else the examinee's `query_from_judge`, in words. Options are shown once at each place, and put back together.

    Raises
    ------
    UsageError
        If what comes back is not of that form, or no answer to a question can be read.
    """
    model = examinee.get_current_model()
    if isinstance(model, StandIn) or hasattr(model, "evaluate"):
        given = np.asarray(model.evaluate(), dtype=float)
        if given.shape not in ((bank.dims,), bank.shape) or not np.isfinite(given).all():
            raise UsageError(
                f"evaluate() gave an array of shape {given.shape}, or one that is not finite.",
                fix=f"Give {bank.dims} values, or probabilities of shape {bank.shape}.",
            )
        return bank.policy(given) if given.ndim == 1 else bank.normalised(given)
    prompts = [row[0] for row in bank.words.evaluation]
    orders = rotations(bank.shape[1])
    shown = [[tuple(row[1:][k] for k in order) for row in bank.words.evaluation] for order in orders]
    if callable(model):
        given = np.stack([np.asarray(model(prompts, options), dtype=float) for options in shown])
        if given.shape != (len(orders), *bank.shape):
            raise UsageError(
                f"The model gave probabilities of shape {given.shape[1:]}, not {bank.shape}.",
                fix="Return a row for each question, with the probability of each option by its place.",
            )
        return depermuted(bank.normalised(given), orders)
    return np.asarray(_answered(bank, examinee, prompts, shown))


def _answered(
    bank: ItemBank, examinee: Any, prompts: list[str], shown: list[list[tuple[str, ...]]]
) -> Float[np.ndarray, "items candidates"]:
    rows: list[dict[str, Any]] = [
        {**question(prompt, options), "id": k}
        for options_of in shown
        for k, (prompt, options) in enumerate(zip(prompts, options_of, strict=True))
    ]
    replies = list(examinee.query_from_judge(rows))
    if len(replies) != len(rows):
        raise UsageError(f"{len(replies)} answers came to {len(rows)} questions.", fix="Answer every row, in order.")
    counts = np.zeros(bank.shape)
    flat = [options for options_of in shown for options in options_of]
    for row, options, reply in zip(rows, flat, replies, strict=True):
        place = chosen_option(str(reply["predict"]), options)
        if place is not None:
            item = row["id"]
            counts[item, bank.words.evaluation[item][1:].index(options[place])] += 1
    mute = np.flatnonzero(counts.sum(axis=1) == 0)
    if len(mute):
        raise UsageError(
            f"No answer to {len(mute)} of {len(counts)} questions can be read.",
            where=f"{prompts[mute[0]]!r}, answered {str(replies[mute[0]]['predict'])!r}",
            fix="Answer with the number of a response, such as Response 2.",
        )
    return bank.normalised(counts)
