"""Whoever answers questions in words without being a language model: people of a period, and models of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from pluralism.errors import DataError, UsageError
from pluralism.progress.item_bank import ItemBank
from pluralism.progress.question_wording import offered
from pluralism.progress.vote_estimate import vote_estimate

__all__ = ["NO_ANSWER", "Passages", "StandIn", "passages_of"]

NO_ANSWER = "I do not know."
PRIOR_STD = 0.5


@dataclass(frozen=True)
class Passages:
    """Rows in the published layout, with the one method by which they are read."""

    rows: tuple[dict[str, Any], ...]

    def all_passages(self) -> Iterator[dict[str, Any]]:
        """The rows."""
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def passages_of(data: Any) -> list[dict[str, Any]]:
    """Rows of a list of mappings, or of an object with `all_passages()`.

    Raises
    ------
    DataError
        If it is neither.
    """
    rows = list(data.all_passages()) if hasattr(data, "all_passages") else data
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(
            f"{type(data).__name__} holds no questions.",
            fix="Give a text, a list of mappings, or an object with all_passages().",
        )
    return [dict(row) for row in rows]


@dataclass(frozen=True, eq=False, repr=False)
class StandIn:
    """Answers questions about the options of a bank by values, and can be trained on such answers.

    Its methods have the names of the published `Model`, so that code written for language models runs with it in
    milliseconds.

    Attributes
    ----------
    bank : ItemBank
    values : array of shape (groups, dim)
    shares : tuple of float
        Of the groups.
    spread : float
        Of people around the values of their group.
    drawn : numpy.random.Generator
        Who is asked, and what is answered.
    model_name : str
    """

    bank: ItemBank
    values: Float[np.ndarray, "groups dim"]
    shares: tuple[float, ...]
    spread: float
    drawn: np.random.Generator
    model_name: str

    @property
    def model_path(self) -> str:
        """The name: nothing is stored."""
        return self.model_name

    @property
    def mean(self) -> Float[np.ndarray, " dim"]:
        """Values of everybody."""
        return np.array(self.shares) @ self.values

    def copy(self) -> StandIn:
        """Another of the same values."""
        return replace(self, values=self.values.copy())

    def evaluate(self) -> Float[np.ndarray, " dim"]:
        """The values."""
        return self.mean

    def answers(self, questions: Sequence[tuple[str, ...]]) -> list[int | None]:
        """Which option is chosen, each time by a person drawn anew; None where an option is not known.

        Raises
        ------
        UsageError
            If an option is one that models are judged by.
        """
        known, judged = self.bank.asked_features, self.bank.judged_options
        group = self.drawn.choice(len(self.shares), size=len(questions), p=np.array(self.shares))
        people = self.values[group] + self.spread * self.drawn.standard_normal((len(questions), self.bank.dims))
        luck = self.drawn.random(len(questions))
        made: list[int | None] = []
        for options, person, chance in zip(questions, people, luck, strict=True):
            if judged & set(options):
                raise UsageError(
                    "People are asked a question by which models are judged.", fix="Ask about `judge.questions()`."
                )
            if not options or not all(option in known for option in options):
                made.append(None)
                continue
            features = np.stack([known[option] for option in options])
            likely = softmax(self.bank.sharpness * features @ person)
            made.append(min(int(np.searchsorted(np.cumsum(likely), chance, side="right")), len(options) - 1))
        return made

    def inference(self, data: Any, **unused: Any) -> list[dict[str, Any]] | Passages:
        """Answer rows with `instruction` and `input`; each comes back with `predict`.

        To anything that is no question about known options the answer is that it does not know. Settings of language
        models are taken and mean nothing here.
        """
        rows = passages_of(data)
        questions = [offered(f"{row.get('instruction', '')}\n{row.get('input', '')}") for row in rows]
        chosen = self.answers(questions)
        made = [
            {**row, "predict": NO_ANSWER if place is None else f"Response {place + 1}"}
            for row, place in zip(rows, chosen, strict=True)
        ]
        return made if isinstance(data, list) else Passages(tuple(made))

    def finetune(self, data: Any, *, stage: str = "dpo", result_model_name: str = "trained", **unused: Any) -> StandIn:
        """Learn from preferences: the most likely values given them, with a normal prior around its own.

        That is where DPO with a linear reward and this model as its reference ends, so that steps and rates, which are
        taken, mean nothing.

        Parameters
        ----------
        data : rows, or an object with `all_passages()`
            Each with `output`, the preferred text before the other; rows without two texts are left out.
        stage : {"dpo", "rlhf"}
        result_model_name : str

        Raises
        ------
        UsageError
            If the stage is another.
        DataError
            If a text is no option that people are asked about, or no row is left.
        """
        if stage not in ("dpo", "rlhf"):
            raise UsageError(f"There is no stage {stage!r} here.", fix='Use stage="dpo" with preferences.')
        pairs = _preferences(data)
        known = self.bank.asked_features
        lost = next((text for pair in pairs for text in pair if text not in known), None)
        if lost is not None or not pairs:
            what = "There is no preference to learn from." if lost is None else f"{lost!r} is no option of the bank."
            raise DataError(what, fix="Give rows whose output is the preferred option and the other.")
        difference = np.stack([known[better] - known[worse] for better, worse in pairs])
        moved = vote_estimate(
            difference[None],
            np.ones((1, len(pairs))),
            np.ones((1, len(pairs))),
            sharpness=self.bank.sharpness,
            prior_std=PRIOR_STD,
            prior_mean=self.mean[None],
        )
        return replace(self, values=moved, shares=(1.0,), spread=0.0, model_name=result_model_name)

    def __repr__(self) -> str:
        return f"StandIn({self.model_name}: {len(self.values)} groups, {self.bank.dims} dimensions)"


def _preferences(data: Any) -> list[tuple[str, str]]:
    """Preferred and other text of each row that has two."""
    rows = data.all_passages() if hasattr(data, "all_passages") else data
    outputs = [row["output"] for row in rows if row and "output" in row]
    return [(str(output[0]), str(output[1])) for output in outputs if len(output) == 2]
