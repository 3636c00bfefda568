"""People who answer an examinee's questions in words, in the period that has come."""

from __future__ import annotations

from typing import Any

from pluralism.errors import DataError
from pluralism.progress.episodes import Episodes
from pluralism.progress.question_wording import question
from pluralism.progress.stand_in import NO_ANSWER, Passages, StandIn, passages_of

__all__ = ["QuestionedPeople"]


class QuestionedPeople:
    """One history, as the published judges show it to an examinee.

    Parameters
    ----------
    episodes : Episodes
    row : int
        Which of them.

    Attributes
    ----------
    current_timestep : int
        0 before the first `tick`; the first question that is asked while running sees period 1.
    query_times, query_total_length : int
        Questions so far, and their letters: counted, not charged.
    unanswered : int
        Of these, those to which people do not know an answer: they are not about two options of the bank.
    """

    checkpoint_id: str | None = None

    def __init__(self, episodes: Episodes, row: int) -> None:
        self._episodes, self._row = episodes, row
        self.instance_id = f"{type(self).__name__}_{row}"
        self.current_timestep = self.query_times = self.query_total_length = self.unanswered = 0
        self.supplementary_data: dict[str, Any] = {}
        names = [f"people of period {t}" for t in range(episodes.task.n_periods)]
        self._past = [episodes.standing_in(row, 0, names[0])]
        self._names = names
        self.simulated_model = self._past[0]

    @property
    def model_list(self) -> list[StandIn]:
        """Stand-ins of people by themselves, of all periods until now: the future is not shown."""
        return list(self._past)

    @property
    def current_model(self) -> StandIn:
        """People of the present period by themselves; those who are asked may be under influence."""
        return self._past[-1]

    def tick(self) -> None:
        """Go to the next period.

        Raises
        ------
        IndexError
            If there is none that an examinee is judged in, as the published judges do.
        """
        task = self._episodes.task
        if self.current_timestep >= task.n_steps:
            raise IndexError(f"Nothing is judged after period {self.current_timestep}.")
        self.current_timestep += 1
        t = self.current_timestep
        asked = self._episodes.standing_in(self._row, t, self._names[t])
        history = asked
        if task.kind == "coevolve":
            history = StandIn(
                task.bank,
                self._episodes.groups[self._row, t],
                task.process.shares,
                task.process.spread,
                asked.drawn,
                self._names[t],
            )
        self.simulated_model = asked
        self._past.append(history)

    def questions(self) -> list[dict[str, Any]]:
        """Everything that people can be asked about, as preferences without an order: `instruction, input, output`."""
        return [
            {"instruction": prompt, "input": "", "output": list(options)}
            for prompt, *options in self._episodes.task.bank.words.query
        ]

    def ask(self, preference: dict[str, Any]) -> dict[str, Any]:
        """The question about one of `questions()`, in the form that people answer."""
        return question(str(preference["instruction"]), preference["output"])

    def query_from_examinee(self, prompt: Any, model: StandIn | None = None) -> Any:
        """Ask people of the present: each question is answered by somebody drawn anew.

        Parameters
        ----------
        prompt : str, list of mappings, or object with `all_passages()`
            Mappings have `instruction` and `input`; the options stand in them as ``Response 1: \"\"\"...\"\"\"``.
        model : StandIn, optional
            Who answers in the place of people.

        Returns
        -------
        str, list of dict, or Passages
            As it was asked; a mapping comes back with `predict`.
        """
        asked = self.simulated_model if model is None else model
        rows = [{"instruction": prompt, "input": ""}] if isinstance(prompt, str) else passages_of(prompt)
        if not rows:
            raise DataError("There is no question.", fix="Ask at least one.")
        replies = passages_of(asked.inference(rows))
        self.query_times += len(rows)
        self.query_total_length += sum(len(str(row.get(k, ""))) for row in rows for k in ("instruction", "input"))
        self.unanswered += sum(reply["predict"] == NO_ANSWER for reply in replies)
        if isinstance(prompt, str):
            return replies[0]["predict"]
        return replies if isinstance(prompt, list) else Passages(tuple(replies))
