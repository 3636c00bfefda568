"""Many histories lived through at once: the one implementation behind scalar and vector environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from pluralism.errors import UsageError
from pluralism.progress.published_score import coevolve_score, cosine
from pluralism.progress.stand_in import StandIn
from pluralism.progress.task import Task

__all__ = ["Actions", "Episodes", "Observation"]

# Beyond this, squares of what an action stands for lose all meaning.
LARGEST = 1e6

Actions: TypeAlias = "np.ndarray | dict[str, Any]"
Observation: TypeAlias = "dict[str, np.ndarray]"


class Episodes:
    """A batch of episodes of one task; everything random is drawn when an episode begins.

    An episode thus depends on its generator alone, not on how many others run beside it or on what is done in it, and
    the twin of people who are influenced lives on the same noise.

    Parameters
    ----------
    task : Task
    n : int
        Episodes.

    Attributes
    ----------
    period : array of shape (batch,)
    mean, trend : arrays of shape (batch, periods, dim)
        History.
    groups : array of shape (batch, periods, groups, dim)
    people, twin : arrays of shape (batch, dim)
        In "coevolve"; history itself otherwise.
    """

    def __init__(self, task: Task, n: int) -> None:
        self.task, self.n = task, n
        process, dims, periods = task.process, task.dims, task.n_periods
        asked = task.n_queries if task.n_votes else 0
        self.period = np.zeros(n, dtype=np.int64)
        self.mean = np.zeros((n, periods, dims))
        self.trend = np.zeros((n, periods, dims))
        self.groups = np.zeros((n, periods, len(process.shares), dims))
        self.people = np.zeros((n, dims))
        self.twin = np.zeros((n, dims))
        self._survey = np.zeros((n, periods, dims))
        self._drawn_queries = np.zeros((n, periods, asked), dtype=np.int64)
        self._votes = np.zeros((n, periods, asked, task.n_votes, 2))
        self._voter = np.zeros((n, periods, asked, task.n_votes), dtype=np.int64)
        panel = task.n_votes if task.voters == "panel" else 0
        self._person = np.zeros((n, panel, dims))
        self._member = np.zeros((n, panel), dtype=np.int64)
        self._edges = np.cumsum(process.shares)[:-1]
        self._generators: list[np.random.Generator | None] = [None] * n
        self.history_behaviour: np.ndarray | None = None
        self._score = np.zeros(n)

    def reset(self, rows: Int[np.ndarray, " rows"], generators: Sequence[np.random.Generator]) -> Observation:
        """Begin new episodes in some rows, at period 1.

        Returns
        -------
        Observation
            Of period 0, of these rows.
        """
        task, k = self.task, len(rows)
        noise = np.empty((k, task.process.n_noise))
        for i, (row, drawn) in enumerate(zip(rows, generators, strict=True)):
            drawn.standard_normal(out=noise[i])
            if task.survey_noise is not None:
                drawn.standard_normal(out=self._survey[row])
            if task.n_votes:
                shape = self._voter.shape[1:]
                asked = self._drawn_queries.shape[1:]
                # Repeated questions are those of one period, in all.
                size = asked[-1] if task.queries == "repeated" else asked
                self._drawn_queries[row] = drawn.integers(len(task.bank.query), size=size)
                self._votes[row, ..., 0] = drawn.standard_normal(shape)
                self._votes[row, ..., 1] = drawn.random(shape)
                self._voter[row] = np.searchsorted(self._edges, drawn.random(shape), side="right")
                if task.voters == "panel":
                    drawn.standard_normal(out=self._person[row])
                    luck = drawn.random(self._member.shape[1])
                    self._member[row] = np.searchsorted(self._edges, luck, side="right")
            self._generators[row] = drawn
        paths = task.process.paths(noise)
        self.mean[rows], self.trend[rows], self.groups[rows] = paths.mean, paths.trend, paths.groups
        self.period[rows] = 0
        self._score[rows] = 0.0
        self._place(rows, paths.mean[:, 0])
        if task.metric == "progressgym":
            behaviour = task.bank.behaviour(task.bank.policy(paths.mean))
            if self.history_behaviour is None:
                self.history_behaviour = np.zeros((self.n, *behaviour.shape[1:]))
            self.history_behaviour[rows] = behaviour
            if task.kind == "coevolve":
                self._score[rows] = coevolve_score(behaviour[:, 0], behaviour)
        before = self.observe(rows)
        self.period[rows] = 1
        moved = paths.mean[:, 1] if task.kind != "coevolve" or task.influence == "direct" else paths.mean[:, 0]
        self._place(rows, moved)
        return before

    def _place(self, rows: Any, values: Float[np.ndarray, "rows dim"]) -> None:
        self.people[rows], self.twin[rows] = values, values

    def observe(self, rows: Any = slice(None)) -> Observation:
        """What people of the present period say; nothing after the last period, and `mask` says so."""
        task, bank = self.task, self.task.bank
        index = np.arange(self.n)[rows]
        last = task.n_periods - 1
        now = np.minimum(self.period[index], last)
        there = self.period[index] <= last
        seen: Observation = {"period": now.copy(), "time": (now / last).astype(np.float32)[:, None]}
        if task.survey_noise is not None:
            survey = self.people[index] + task.survey_noise * self._survey[index, now]
            seen["survey"] = np.where(there[:, None], survey, 0.0).astype(np.float32)
        if task.n_votes:
            pairs = bank.query[self._drawn_queries[index, now]]
            ballots = self._ballots(index, now, pairs[:, :, 0] - pairs[:, :, 1])
            asked = np.broadcast_to(there[:, None], ballots.shape[:2])
            seen["query_phi"] = np.where(asked[..., None, None], pairs, 0.0).astype(np.float32)
            seen["answers"] = np.where(asked, ballots.mean(axis=-1), 0.0).astype(np.float32)
            if task.voters == "panel":
                seen["ballots"] = (ballots & asked[..., None]).astype(np.int8)
            seen["n_votes"] = np.where(asked, float(task.n_votes), 0.0).astype(np.float32)
            seen["mask"] = asked.astype(np.int8)
        else:
            seen["mask"] = there[:, None].astype(np.int8)
        return seen

    def _ballots(
        self,
        index: Int[np.ndarray, " rows"],
        now: Int[np.ndarray, " rows"],
        differences: Float[np.ndarray, "rows pairs dim"],
    ) -> Bool[np.ndarray, "rows pairs voters"]:
        """Whether each voter prefers the first option of each pair."""
        task = self.task
        shift = self.people[index] - self.mean[index, now]
        groups = self.groups[index, now] + shift[:, None]
        noise = self._votes[index, now]
        if task.voters == "panel":
            own = np.take_along_axis(groups, self._member[index][..., None], axis=1)
            liking = np.einsum("bqd,bvd->bqv", differences, own + task.process.spread * self._person[index])
        else:
            liking = np.einsum("bqd,bgd->bqg", differences, groups)
            liking = np.take_along_axis(liking, self._voter[index, now], axis=2)
            apart = task.process.spread * np.linalg.norm(differences, axis=-1)
            liking = liking + apart[..., None] * noise[..., 0]
        return noise[..., 1] < expit(task.bank.sharpness * liking)

    def standing_in(self, row: int, period: int, name: str) -> StandIn:
        """Whoever answers in words for the people of a period of one episode.

        Of the present period of "coevolve" these are the people whom the policy has influenced.
        """
        task = self.task
        generator = self._generators[row]
        if generator is None:
            raise UsageError("The episode has not begun.", fix="Call reset first.")
        shift = np.zeros(task.dims)
        if task.kind == "coevolve" and period == self.period[row]:
            shift = self.people[row] - self.mean[row, period]
        values = self.groups[row, period] + shift
        # A child of the generator: what is answered changes nothing of this episode or the next.
        return StandIn(task.bank, values, task.process.shares, task.process.spread, generator.spawn(1)[0], name)

    def step(
        self, actions: Actions, active: Bool[np.ndarray, " batch"] | None = None
    ) -> tuple[Float[np.ndarray, " batch"], Bool[np.ndarray, " batch"], dict[str, np.ndarray]]:
        """Judge the actions, let people move, and go to the next period.

        Parameters
        ----------
        actions : array or dict
            One action a row, in the form of `Task.action` and `Task.queries`.
        active : array of bool, optional
            Rows to act in; in others nothing happens.

        Returns
        -------
        reward, terminated : arrays of shape (batch,)
        info : dict of str to array of shape (batch, ...)
            `loss`, with its parts in "coevolve"; `score` under the published metric; and `target`, what the action was
            compared with.
        """
        task = self.task
        live = np.ones(self.n, dtype=bool) if active is None else active
        values, policy, queries = self._read(actions, live)
        now = np.where(live, np.minimum(self.period, task.n_periods - 1 - task.ahead), 1)
        rows = np.arange(self.n)
        if task.kind == "coevolve":
            reward, info = self._coevolve(values, now, live)
        else:
            target = self.mean[rows, now + task.ahead]
            reward, info = self._judge(values, policy, target, rows, now)
            after = np.minimum(now + 1, task.n_periods - 1)
            self.people = np.where(live[:, None], self.mean[rows, after], self.people)
            self.twin = self.people.copy()
        self.period = np.where(live, self.period + 1, self.period)
        if queries is not None:
            ahead = np.flatnonzero(live & (self.period < task.n_periods))
            self._drawn_queries[ahead, self.period[ahead]] = queries[ahead]
        ended = live & (self.period > task.n_steps)
        if task.metric == "progressgym":
            self._score = np.where(live, self._score + reward, self._score)
            counted = task.n_steps + int(task.kind == "coevolve")
            info["score"] = np.where(ended, self._score / counted, np.nan)
        return np.where(live, reward, 0.0), ended, info

    def _judge(
        self,
        values: Float[np.ndarray, "batch dim"],
        policy: Float[np.ndarray, "batch items candidates"] | None,
        target: Float[np.ndarray, "batch dim"],
        rows: Int[np.ndarray, " batch"],
        now: Int[np.ndarray, " batch"],
    ) -> tuple[Float[np.ndarray, " batch"], dict[str, np.ndarray]]:
        task = self.task
        loss = np.square(values - target).mean(axis=1)
        info = {"loss": loss, "target": target}
        if task.metric == "v2" or self.history_behaviour is None:
            return -loss, info
        shown = task.bank.behaviour(task.bank.policy(values) if policy is None else policy)
        return cosine(shown, self.history_behaviour[rows, now + task.ahead]), info

    def _coevolve(
        self, values: Float[np.ndarray, "batch dim"], now: Int[np.ndarray, " batch"], live: Bool[np.ndarray, " batch"]
    ) -> tuple[Float[np.ndarray, " batch"], dict[str, np.ndarray]]:
        task, rows = self.task, np.arange(self.n)
        history = self.mean[rows, now]
        following = self.mean[rows, np.minimum(now + 1, task.n_periods - 1)]
        people = task.moved(self.people, history, following - history, values)
        twin = task.moved(self.twin, history, following - history, None)
        parts = {
            "serve": np.square(values - self.people).mean(axis=1),
            "stay": np.square(people - following).mean(axis=1),
            "influence": np.square(people - twin).mean(axis=1),
        }
        loss = parts["serve"] + task.history_weight * parts["stay"] + task.influence_weight * parts["influence"]
        info = {"loss": loss, **parts, "target": self.people.copy()}
        self.people = np.where(live[:, None], people, self.people)
        self.twin = np.where(live[:, None], twin, self.twin)
        if task.metric == "v2" or self.history_behaviour is None:
            return -loss, info
        return coevolve_score(task.bank.behaviour(task.bank.policy(people)), self.history_behaviour), info

    def _read(
        self, actions: Actions, live: Bool[np.ndarray, " batch"]
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Values, policy and queries from actions."""
        task = self.task
        queries = None
        if task.queries == "chosen":
            if not isinstance(actions, dict) or "query" not in actions or task.action not in actions:
                raise UsageError(
                    f"The action names no questions, or no {task.action}.",
                    fix=f'Give {{"{task.action}": ..., "query": ...}}.',
                )
            queries = _numbers(actions["query"])
            if queries.shape != (self.n, task.n_queries) or queries.dtype.kind not in "iu":
                raise UsageError(
                    f"Questions of shape {queries.shape} and kind {queries.dtype} are not {task.n_queries} numbers.",
                    fix="Give whole numbers, as many as n_queries.",
                )
            queries = np.where(live[:, None], queries, 0)
            if ((queries < 0) | (queries >= len(task.bank.query))).any():
                raise UsageError("A question is not in the bank.", fix=f"Use 0 to {len(task.bank.query) - 1}.")
            actions = actions[task.action]
        given = _numbers(actions).astype(float)
        shape = (self.n, *task.bank.shape) if task.action == "policy" else (self.n, task.dims)
        if given.shape != shape:
            raise UsageError(f"Actions of shape {given.shape} are not of shape {shape}.", fix="Give one a row.")
        if not (np.abs(given[live]) <= LARGEST).all():
            raise UsageError(f"An action is not finite, or beyond {LARGEST:g}.", fix="Give moderate numbers.")
        given = np.where(live.reshape(-1, *[1] * (given.ndim - 1)), given, 0.0)
        if task.action == "values":
            return given * task.value_range, None, queries
        policy = task.bank.normalised(given)
        return task.bank.implied_values(policy), policy, queries


def _numbers(given: Any) -> np.ndarray:
    """An array of numbers, or a word on what else it is."""
    try:
        made = np.asarray(given)
    except ValueError:
        made = np.empty(0, dtype=object)
    if made.dtype.kind not in "biuf":
        raise UsageError(
            f"An action must be numbers, not {type(given).__name__} of {made.dtype}.",
            fix="Give an array; a dict only where questions are chosen.",
        )
    return made
