"""Language models that learn people's values by DPO, period by period: lifelong, and extrapolative of order M."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Agent
from pluralism.progress.agents.extrapolation import extrapolate_votes
from pluralism.progress.episodes import Observation
from pluralism.progress.published_score import extrapolation_weights
from pluralism.progress.task import Task
from pluralism.solvers.threads import threads_for_torch

if TYPE_CHECKING:
    from pluralism.policy.lm import LanguageModel

__all__ = ["DirectPreferenceAgent", "ExtrapolativeDPO", "LifelongDPO"]

SCRATCH = "scratch"
TINY = 2_000_000


class DirectPreferenceAgent(Agent):
    r"""A causal language model in each history, trained by DPO on the votes of each period.

    What it stands for is read off its implicit reward, :math:`\beta\, [\log \pi(y \mid x) - \log \pi_0(y \mid x)]`
    against the model that it started from: the log-odds by which it prefers an option, whatever it thought of the words
    before. Options are scored one by one, never beside each other, so that there is no place to like.

    Parameters
    ----------
    model : str or LanguageModel
        A folder or a name on the hub; or "scratch" for a tiny one that has learnt to write the words of the questions
        and nothing else.
    beta : float
        Of DPO.
    steps, batch_size : int
        Of the optimiser in each period, and preferences in each step.
    learning_rate : float
    independent : bool
        Start from the first model in every period, as the published "independent" agents do, and not from the last.
    reference : {"first", "last"}
        What DPO compares with: the model that the agent started from, so that rewards do not pile up, or the one that
        the period starts from, as the published agents do.
    folder : str, optional
        Keeps every model; a run that was killed goes on from there. Left out, models are kept in memory alone.
    rng : int

    Raises
    ------
    UsageError
        If a setting is out of range.
    """

    def __init__(
        self,
        model: str | LanguageModel = SCRATCH,
        beta: float = 0.5,
        steps: int = 40,
        batch_size: int = 16,
        learning_rate: float = 1e-3,
        independent: bool | int = False,
        reference: Literal["first", "last"] = "first",
        folder: str | None = None,
        rng: int = 0,
    ) -> None:
        if not (beta > 0 and learning_rate > 0 and min(steps, batch_size) >= 1) or reference not in ("first", "last"):
            raise UsageError(
                "beta, steps, batch_size, learning_rate or reference is not possible.",
                fix='Use numbers above 0, and reference="first" or "last".',
            )
        self.model, self.beta, self.steps, self.batch_size = model, beta, steps, batch_size
        self.learning_rate, self.independent, self.reference = learning_rate, bool(independent), reference
        self.folder, self.rng = folder, rng

    def begin(self, task: Task, initial: Observation) -> None:
        """Load the model, and learn from the votes of period 0.

        Raises
        ------
        UsageError
            If the questions have no words, or nobody votes.
        """
        super().begin(task, initial)
        bank = task.bank
        if bank.texts is None:
            raise UsageError("The questions have no words.", fix="Give the task items such as worded_items(names).")
        if "query_phi" not in initial:
            raise UsageError("Nobody votes here.", fix="Set n_votes; a language model learns from votes.")
        self.asked = {pair.astype(np.float32).tobytes(): k for k, pair in enumerate(bank.query)}
        self.first = _start(self.model, bank.texts.query, self.rng)
        self.policies = [self.first] * len(initial["period"])
        self.votes: list[tuple[Float[np.ndarray, "batch query"], Float[np.ndarray, "batch query"]]] = []
        with self._threads():
            self.before = self._log_probs(self.first)
            self._learn(initial)

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Learn from the votes of the period, and say what the models would choose."""
        with self._threads():
            self._learn(seen)
            rewards = self.beta * (np.stack([self._log_probs(each) for each in self.policies]) - self.before)
        return self.task.bank.implied_values(softmax(rewards, axis=-1))

    @abstractmethod
    def preferences(
        self, share: Float[np.ndarray, "query periods"], n: Float[np.ndarray, "query periods"]
    ) -> Int[np.ndarray, "query 2"]:
        """How often each question is to be learnt from, with the first and with the second option preferred.

        Parameters
        ----------
        share : array of shape (query, periods)
            Of the votes that prefer the first option, of every question in every period so far; NaN where nobody was
            asked.
        n : array of shape (query, periods)
            Votes.
        """

    def _threads(self) -> AbstractContextManager[None]:
        """One thread for a tiny model: threads that wait for each other cost many times the work on a busy machine."""
        return threads_for_torch(0) if self.first.n_parameters < TINY else nullcontext()

    def _learn(self, seen: Observation) -> None:
        rows, bank = len(seen["period"]), self.task.bank
        won, n = np.zeros((rows, len(bank.query))), np.zeros((rows, len(bank.query)))
        for row, pairs in enumerate(seen["query_phi"]):
            at = [self.asked[pair.tobytes()] for pair in pairs]
            np.add.at(won[row], at, seen["answers"][row] * seen["n_votes"][row])
            np.add.at(n[row], at, seen["n_votes"][row])
        self.votes.append((np.divide(won, n, out=np.full_like(won, np.nan), where=n > 0), n))
        share, asked = (np.stack(part, axis=-1) for part in zip(*self.votes, strict=True))
        self.policies = [self._trained(row, self.preferences(share[row], asked[row])) for row in range(rows)]

    def _trained(self, row: int, times: Int[np.ndarray, "query 2"]) -> LanguageModel:
        from pluralism.policy.lm.recipes.dpo import DPO

        if not times.any():
            return self.policies[row]
        start = self.first if self.independent else self.policies[row]
        recipe = DPO(
            beta=self.beta,
            max_steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            schedule="constant",
            rng=self.rng,
        )
        reference = self.first if self.reference == "first" else start
        with tempfile.TemporaryDirectory() as scratch:
            period = len(self.votes) - 1
            out = Path(scratch) if self.folder is None else Path(self.folder) / f"history {row}" / f"period {period}"
            return recipe.train(start, self._rows(times), out, reference=reference)

    def _rows(self, times: Int[np.ndarray, "query 2"]) -> Mapping[str, list[str]]:
        made: dict[str, list[str]] = {"prompt": [], "chosen": [], "rejected": []}
        for (prompt, *options), counts in zip(self.task.bank.words.query, times, strict=True):
            for (better, worse), count in zip((options, options[::-1]), counts, strict=True):
                for name, text in (("prompt", prompt), ("chosen", better), ("rejected", worse)):
                    made[name] += [text] * int(count)
        return made

    def _log_probs(self, model: LanguageModel) -> Float[np.ndarray, "items candidates"]:
        rows = self.task.bank.words.evaluation
        prompts = [prompt for prompt, *options in rows for _ in options]
        options = [option for _, *options in rows for option in options]
        return model.log_probs(prompts, options).total.reshape(self.task.bank.shape)


def _start(model: str | LanguageModel, questions: Sequence[Sequence[str]], rng: int) -> LanguageModel:
    from pluralism.policy.lm import LanguageModel, train_from_scratch

    if not isinstance(model, str):
        return model
    if model != SCRATCH:
        return LanguageModel.load(model)
    prompts = [prompt for prompt, *options in questions for _ in options]
    options = [option for _, *options in questions for option in options]
    with threads_for_torch(0):
        return train_from_scratch(prompts, options, vocabulary=512, hidden=64, steps=200, rng=rng)


class LifelongDPO(DirectPreferenceAgent):
    """Learns from the votes of the last period, each of them one preference (the published baseline).

    Parameters are those of `DirectPreferenceAgent`.
    """

    label: ClassVar[str] = "lifelong_dpo"

    def preferences(
        self, share: Float[np.ndarray, "query periods"], n: Float[np.ndarray, "query periods"]
    ) -> Int[np.ndarray, "query 2"]:
        """The votes of the last period."""
        first = np.rint(np.nan_to_num(share[:, -1]) * n[:, -1])
        return np.stack([first, n[:, -1] - first], axis=1).astype(np.int64)


class ExtrapolativeDPO(DirectPreferenceAgent):
    r"""Learns from preferences as they are heading: the published rule of order M, on the votes of each question.

    The difference of order M + 1 is taken to vanish (`extrapolate_votes`): the sign of the extrapolated vote is the
    ordering to learn, its size how often. Questions must be asked again to have a past: `queries="repeated"`.

    Parameters
    ----------
    order : int
        M.
    ahead : int, optional
        Periods to look ahead; left out, as far as the task is judged ahead.
    **settings
        Of `DirectPreferenceAgent`.
    """

    label: ClassVar[str] = "extrapolative_dpo"

    def __init__(self, order: int = 1, ahead: int | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        extrapolation_weights(order)
        if ahead is not None and ahead < 0:
            raise UsageError(f"ahead must be at least 0, not {ahead}.", fix="Use 0 for the present.")
        self.order, self.ahead = order, ahead

    def preferences(
        self, share: Float[np.ndarray, "query periods"], n: Float[np.ndarray, "query periods"]
    ) -> Int[np.ndarray, "query 2"]:
        """The extrapolated ordering of each question, as often as the rule says."""
        ahead = self.task.ahead if self.ahead is None else self.ahead
        ordering, weight = extrapolate_votes(share, self.order, ahead)
        return (ordering[:, None] * np.array([1, -1]) > 0) * np.rint(weight).astype(np.int64)[:, None]
