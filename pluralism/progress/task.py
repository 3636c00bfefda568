"""What an environment asks of an agent: the settings shared by scalar and vector environments."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.coevolution import Influence, coevolving, joined
from pluralism.progress.item_bank import ItemBank
from pluralism.progress.linear_gaussian import LinearGaussian
from pluralism.progress.numeric_settings import is_number, require_numbers
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.value_process import ValueProcess

__all__ = ["Kind", "Task"]

Kind = Literal["follow", "predict", "coevolve"]
Metric = Literal["v2", "progressgym"]
ActionMode = Literal["values", "policy"]
Queries = Literal["random", "repeated", "chosen"]
Voters = Literal["fresh", "panel"]


@dataclass(frozen=True, kw_only=True)
class Task:
    r"""Follow people's values, predict them, or co-evolve with people whom the policy influences.

    Period t of T is one step. In "follow" the action is judged against the people of period t, in "predict" against
    those of t + K. In "coevolve" people are a proxy h with

    .. math:: h'_t = h_t + \eta_1 (\mu_t - h_t), \qquad h_{t+1} = h'_t + \eta_2 (a_t - h'_t)

    (history teaches one epoch, the policy two; :math:`\eta_e = 1 - (1 - \eta)^e`), and their twin c learns from history
    alone. With ``influence="direct"`` people are history itself, :math:`h_{t+1} = h_t + \Delta\mu_t + \eta_2 (a_t -
    h_t)`, and the twin is :math:`\mu`.

    Parameters
    ----------
    kind : {"follow", "predict", "coevolve"}
    process : ValueProcess
        How values move by themselves.
    items : ItemBank, optional
        Left out, synthetic options, the same for every task of these dimensions.
    horizon : int
        K of "predict".
    metric : {"v2", "progressgym"}
        "v2": the reward is minus the squared error of values per dimension, for "coevolve" minus
        :math:`\|a_t - h_t\|^2 + \omega \|h_{t+1} - \mu_{t+1}\|^2 + \lambda \|h_{t+1} - c_{t+1}\|^2`, per dimension.
        "progressgym": the published cosines of behaviour; see `pluralism.progress.published_score`.
    action : {"values", "policy"}
        Whether an action is a vector of values (divided by `value_range`) or choice probabilities on the evaluation
        questions, which stand for the values they imply.
    queries : {"random", "repeated", "chosen"}
        Whether people are asked about other pairs each period, about the same in all, or about those that the agent
        chooses in the period before.
    voters : {"fresh", "panel"}
        Whether each answer is that of a person drawn anew, or all are those of the same `n_votes` people, whose single
        answers are then shown.
    n_queries, n_votes : int
        Pairs asked about in a period, and answers to each. With 0 votes there are no questions, only surveys.
    survey_noise : float, optional
        Standard deviation of the survey of mean values in each dimension; None: there are no surveys, only votes.
    history_weight, influence_weight : float
        :math:`\omega, \lambda`.
    learning_rate : float
        :math:`\eta`, in [0, 1].
    epochs : tuple of float
        Of history and of the policy.
    influence : {"proxy", "direct"}
    value_range : float
        The value that an action of 1 stands for.

    Raises
    ------
    UsageError
        If the settings do not fit each other.
    """

    kind: Kind
    process: ValueProcess = field(default_factory=lambda: SimulatedDrift.preset("damped_trend"))
    items: ItemBank | None = None
    horizon: int = 1
    metric: Metric = "v2"
    action: ActionMode = "values"
    queries: Queries = "random"
    voters: Voters = "fresh"
    n_queries: int = 8
    n_votes: int = 0
    survey_noise: float | None = 0.15
    history_weight: float = 1.0
    influence_weight: float = 0.5
    learning_rate: float = 0.2
    epochs: tuple[float, float] = (1.0, 2.0)
    influence: Influence = "proxy"
    value_range: float = 3.0

    def __post_init__(self) -> None:
        for name, kinds in (("kind", Kind), ("metric", Metric), ("action", ActionMode), ("queries", Queries)):
            _one_of(name, getattr(self, name), get_args(kinds))
        for name, kinds in (("influence", Influence), ("voters", Voters)):
            _one_of(name, getattr(self, name), get_args(kinds))
        require_numbers(
            self,
            whole=("horizon", "n_queries", "n_votes"),
            real=("history_weight", "influence_weight", "learning_rate", "value_range"),
        )
        if self.survey_noise is not None:
            require_numbers(self, real=("survey_noise",))
        if not isinstance(self.epochs, tuple) or len(self.epochs) != 2 or not all(map(is_number, self.epochs)):
            raise UsageError(f"epochs must be two numbers, not {self.epochs!r}.", fix="Use epochs=(1, 2).")
        if self.items is not None and not isinstance(self.items, ItemBank):
            raise UsageError(f"items must be an ItemBank, not {self.items!r}.", fix="Make one with ItemBank.")
        if self.process.n_periods < 3:
            raise UsageError(
                f"A history of {self.process.n_periods} periods is too short.", fix="Use at least 3 periods."
            )
        if self.kind == "predict" and not 1 <= self.horizon <= self.process.n_periods - 3:
            raise UsageError(
                f"horizon={self.horizon} leaves fewer than two of {self.process.n_periods} periods to be judged.",
                fix=f"Use 1 to {self.process.n_periods - 3}, or more periods.",
            )
        if self.kind == "coevolve" and self.influence == "direct" and self.metric == "progressgym":
            raise UsageError(
                "The published loop moves a proxy, not history itself.", fix='Use influence="proxy", or metric="v2".'
            )
        if self.n_steps < 2:
            raise UsageError(f"{self.n_periods} periods leave fewer than two actions.", fix="Use more periods.")
        if self.bank.dims != self.process.dims:
            raise UsageError(
                f"Items of {self.bank.dims} dimensions do not fit values of {self.process.dims}.",
                fix="Use features of the same dimension as the values.",
            )
        if self.n_queries < 1 or self.n_votes < 0 or (self.survey_noise is not None and self.survey_noise < 0):
            raise UsageError("n_queries, n_votes or survey_noise is out of range.", fix="Use at least 1, 0 and 0.")
        if self.survey_noise is None and self.n_votes == 0:
            raise UsageError("Nobody is asked anything.", fix="Set n_votes, or survey_noise.")
        if (self.queries, self.voters) != ("random", "fresh") and self.n_votes == 0:
            raise UsageError(
                f"queries={self.queries!r}, voters={self.voters!r}, but nobody votes.", fix="Set n_votes to at least 1."
            )
        if not 0 <= self.learning_rate <= 1 or min(self.epochs) < 0 or self.value_range <= 0:
            raise UsageError("learning_rate, epochs or value_range is out of range.", fix="Use [0, 1], >= 0 and > 0.")
        if min(self.history_weight, self.influence_weight) < 0:
            raise UsageError("A weight is negative.", fix="Use weights of at least 0.")

    @property
    def n_periods(self) -> int:
        """T."""
        return self.process.n_periods

    @property
    def dims(self) -> int:
        """Dimensions of values."""
        return self.process.dims

    @property
    def n_steps(self) -> int:
        """How many actions are judged.

        T - 1, less K in "predict"; in "coevolve" with metric "v2" T - 2, since people are then compared with the
        history of the next period.
        """
        compared_next = self.kind == "coevolve" and self.metric == "v2"
        return self.n_periods - 1 - self.ahead - int(compared_next)

    @property
    def ahead(self) -> int:
        """How many periods ahead an action is judged."""
        return self.horizon if self.kind == "predict" else 0

    @cached_property
    def bank(self) -> ItemBank:
        """The items."""
        return ItemBank.synthetic(self.process.dims) if self.items is None else self.items

    @property
    def rates(self) -> tuple[float, float]:
        r""":math:`\eta_1, \eta_2`: how far a period moves people towards history and towards the policy."""
        first, second = (1.0 - (1.0 - self.learning_rate) ** e for e in self.epochs)
        return (0.0 if self.influence == "direct" else first), second

    def moved(
        self,
        people: Float[np.ndarray, "*batch dim"],
        history: Float[np.ndarray, "*batch dim"],
        change: Float[np.ndarray, "*batch dim"],
        action: Float[np.ndarray, "*batch dim"] | None,
    ) -> Float[np.ndarray, "*batch dim"]:
        """People one period later, after history and a policy (None: without one).

        Parameters
        ----------
        people, history, change : arrays
            Where people and history are, and by how much history is about to move.
        action : array, optional
        """
        towards_history, towards_policy = self.rates
        between = people + towards_history * (history - people)
        if action is not None:
            between = between + towards_policy * (action - between)
        return between + change if self.influence == "direct" else between

    @cached_property
    def system(self) -> LinearGaussian | None:
        """The law of what surveys measure; None where it is not known, or there are no surveys.

        In "coevolve" the state is (h, c, mean, trend), without what the policy adds (`control`), and begins at period
        1; else it is (mean, trend) and begins at period 0.
        """
        own = self._own
        return own if own is None or self.kind != "coevolve" else coevolving(own, self.rates, self.influence)

    @cached_property
    def informed_system(self) -> LinearGaussian | None:
        """As `system` of "coevolve", after the survey of period 0 has been heard; its start mean is `started`."""
        if self._own is None or self.kind != "coevolve":
            return None
        return coevolving(self._own, self.rates, self.influence, heard=True)

    def started(self, survey: Float[np.ndarray, "*batch dim"]) -> Float[np.ndarray, "*batch dim state"]:
        """Expected state of "coevolve" at period 1, given the survey of period 0."""
        own = self._own
        if own is None:
            raise UsageError("The law of the values is not known.", fix="Use a process that has a system.")
        _, gains = own.covariances()
        start = np.broadcast_to(own.start_mean, (*survey.shape, len(own.start_mean)))
        return own.update(start, survey, gains[0]) @ joined(own, self.influence).T

    @cached_property
    def _own(self) -> LinearGaussian | None:
        return None if self.survey_noise is None else self.process.system(self.survey_noise**2)

    @property
    def control(self) -> Float[np.ndarray, " state"]:
        """What the policy adds to the state of "coevolve", times its values."""
        return np.array([self.rates[1], 0.0, 0.0, 0.0])


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name}={value!r} is not possible.", fix=f"Use {' or '.join(allowed)}.")
