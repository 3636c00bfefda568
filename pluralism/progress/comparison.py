"""Agents on one task, on the same histories: costs, scores between a reference and an oracle, and every measure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import DataError, UsageError
from pluralism.progress.agent_run import AgentRun, require_seeds, run_agent
from pluralism.progress.agents.agent import Informed
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.fidelity import distributional_fidelity, worst_group
from pluralism.progress.kept_runs import KeptRuns
from pluralism.progress.metrics import measures, recovery
from pluralism.progress.scoring import NormalisedScore, mean_interval, normalised_score
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.task import Task
from pluralism.progress.task_settings import KINDS, task_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AgentComparison", "AgentResult", "Estimate", "run_agents"]

REFERENCE, BASELINE = "frozen", "persistence"
SCHEMA = "pluralism.progress/1"
_HEAD = ("env", "process", "metric", "settings", "n_seeds", "level", "oracle")


@dataclass(frozen=True)
class Estimate:
    """A mean over histories with its interval; NaN, and why, where it is not defined."""

    value: float
    low: float
    high: float
    reason: str = ""


@dataclass(frozen=True)
class AgentResult:
    """One agent.

    Attributes
    ----------
    agent : str
    score : Estimate
        Between `frozen` (0) and the oracle (1).
    over_persistence : Estimate
        Between `persistence` (0) and the oracle (1).
    measures : dict of str to Estimate
        `cost` and what `pluralism.progress.metrics.measures` gives; `worst_group` and what
        `pluralism.progress.fidelity.distributional_fidelity` gives; `regret`, the cost above that of the oracle in the
        same histories; `recovery` in "follow" where a jump has a known date; and `published_score` under that metric.
    n_answers : int
        Votes heard in one history, in the periods in which the agent acts.
    seconds : float
        The agent's own time for one history.
    oracle : str
        Who is scored 1 beside this agent: for agents that know the truth, or ask people for themselves, one that knows
        it. Empty where none is known.
    """

    agent: str
    score: Estimate
    over_persistence: Estimate
    measures: dict[str, Estimate]
    n_answers: int
    seconds: float
    oracle: str


@dataclass(frozen=True, eq=False, repr=False)
class AgentComparison:
    """Agents on one task.

    Attributes
    ----------
    env : str
        Such as "Predict-v0".
    process, metric : str
    settings : dict
        Of the task, as they were given.
    n_seeds : int
    level : float
    oracle : str
        The agent that is scored 1 among those that see what people say; empty where none is known.
    results : tuple of AgentResult
        By cost, the best first.
    """

    env: str
    process: str
    metric: str
    settings: dict[str, Any]
    n_seeds: int
    level: float
    oracle: str
    results: tuple[AgentResult, ...]

    def to_frame(self) -> pa.Table:
        """Columns `agent, measure, value, low, high, reason`; scores are measures too."""
        import pyarrow as pa

        rows = []
        for each in self.results:
            named = {"score": each.score, "over_persistence": each.over_persistence, **each.measures}
            rows += [{"agent": each.agent, "measure": name, **part.__dict__} for name, part in named.items()]
        return pa.Table.from_pylist(rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything, of plain types; NaN becomes None."""
        rows = [
            {
                "agent": each.agent,
                "score": each.score.__dict__,
                "over_persistence": each.over_persistence.__dict__,
                "measures": {name: part.__dict__ for name, part in each.measures.items()},
                "n_answers": each.n_answers,
                "seconds": each.seconds,
                "oracle": each.oracle,
            }
            for each in self.results
        ]
        head = {name: getattr(self, name) for name in _HEAD}
        return json_ready({"schema": SCHEMA, **head, "results": rows})

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False, indent=indent)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], *, where: str = "the document") -> AgentComparison:
        """Read what `to_dict` gives.

        Raises
        ------
        DataError
            If it is something else.
        """
        if document.get("schema") != SCHEMA:
            raise DataError(
                f"This is no comparison of agents: its schema is {document.get('schema')!r}, not {SCHEMA!r}.",
                where=where,
                fix="Write it with pluralism progress run --out.",
            )
        try:
            rows = tuple(
                AgentResult(
                    row["agent"],
                    _estimate(row["score"]),
                    _estimate(row["over_persistence"]),
                    {name: _estimate(part) for name, part in row["measures"].items()},
                    int(row["n_answers"]),
                    float(row["seconds"]),
                    str(row["oracle"]),
                )
                for row in document["results"]
            )
            return cls(**{name: document[name] for name in _HEAD}, results=rows)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"The comparison is damaged: {error!r}.", where=where, fix="Run the agents once more."
            ) from error

    def __repr__(self) -> str:
        columns: dict[str, list[Any]] = {"agent": [each.agent for each in self.results]}
        cost = [each.measures["cost"] for each in self.results]
        columns["cost"] = [part.value for part in cost]
        columns["score"] = [each.score.value for each in self.results]
        columns["interval"] = [_span(each.score) for each in self.results]
        columns["over persistence"] = [each.over_persistence.value for each in self.results]
        title = f"{self.env}, {self.process}, {self.n_seeds} histories; 1 is {self.oracle or 'unknown'}, 0 is frozen"
        return f"{title}\n{format_table(columns, 3)}"


def run_agents(
    env: str,
    agents: Sequence[str],
    *,
    seeds: int | Sequence[int] = 20,
    process: Any = "damped_trend",
    n_periods: int | None = None,
    dims: int | None = None,
    level: float = 0.95,
    n_bootstrap: int = 2000,
    checkpoint: str | Path | None = None,
    progress: Callable[[str], object] | None = None,
    **settings: Any,
) -> AgentComparison:
    """Let agents act in the same histories and compare them with a reference and an oracle.

    The reference, persistence and the oracle run in any case; they are listed where they are asked for. The oracle is
    Kalman's filter in "follow" and "predict" and the optimal policy on its estimates in "coevolve", as far as the law
    of the values is linear and Gaussian and surveys are taken; otherwise "follow" and "predict" are compared with who
    knows the target, and "coevolve" has no oracle: its score is NaN with a reason. Agents that know the truth
    themselves, or ask people for it, are compared with who knows the target, or in "coevolve" with the optimum of full
    information.

    Parameters
    ----------
    env : str
        "Follow-v0", "Predict-v0" or "Coevolve-v0".
    agents : sequence of str
        As for `make_agent`.
    seeds : int or sequence of int
        How many histories (0, 1, ...), or which.
    process, n_periods, dims, **settings
        As for `TemporalEnv`.
    level : float
        Of bootstrap intervals over histories.
    n_bootstrap : int
    checkpoint : path-like, optional
        A folder for the runs of agents that are done, while others run; a comparison that was killed goes on from
        there. It is emptied at the end.
    progress : callable, optional
        Told each agent before it runs.

    Raises
    ------
    UsageError
        If there is no agent, an agent is named twice, or a name or setting is unknown.

    Examples
    --------
    >>> made = run_agents("Predict-v0", ["persistence", "kalman"], seeds=20, dims=4)
    >>> [each.agent for each in made.results], made.results[0].score.value
    (['kalman', 'persistence'], 1.0)
    """
    if isinstance(agents, str):
        raise UsageError(f"Agents are a list of names, not {agents!r}.", fix=f"Use [{agents!r}].")
    if not agents or len(set(agents)) < len(agents):
        raise UsageError("There is no agent, or one is named twice.", fix="Name each agent once.")
    name = env.removeprefix("pluralism/")
    if name not in KINDS:
        raise UsageError(f"There is no environment {env!r}.", fix=f"Use {', '.join(KINDS)}.")
    task = task_of(name, process, n_periods=n_periods, dims=dims, **settings)
    chosen = list(range(seeds)) if isinstance(seeds, int) else np.atleast_1d(np.asarray(seeds)).tolist()
    require_seeds(chosen)
    oracles = {each: _oracle(task, knowing=isinstance(make_agent(each), Informed)) for each in agents}
    wanted = dict.fromkeys([*agents, REFERENCE, BASELINE, *filter(None, oracles.values())])
    kept = None if checkpoint is None else KeptRuns(checkpoint, task, chosen)
    runs: dict[str, AgentRun] = {}
    for each in wanted:
        if progress is not None:
            progress(each)
        run = None if kept is None else kept.get(each)
        if run is None:
            run = run_agent(task, make_agent(each), chosen, name=each)
            if kept is not None:
                kept.put(run)
        runs[each] = run
    results = [_result(runs[each], runs, oracles[each], level, n_bootstrap) for each in agents]
    if kept is not None:
        kept.clear()
    given = {**settings, **{k: v for k, v in (("n_periods", n_periods), ("dims", dims)) if v is not None}}
    return AgentComparison(
        name,
        process if isinstance(process, str) else str(getattr(process, "name", type(process).__name__)),
        task.metric,
        {key: value for key, value in given.items() if isinstance(value, str | int | float | tuple) or value is None},
        len(chosen),
        level,
        _oracle(task, knowing=False),
        tuple(sorted(results, key=lambda each: each.measures["cost"].value)),
    )


def objective(run: AgentRun) -> Float[np.ndarray, " seeds"]:
    """What is to be made small: the loss, or 1 less the published score."""
    return run.cost if run.score is None else 1.0 - run.score


def _oracle(task: Task, *, knowing: bool) -> str:
    """Who is scored 1 beside agents that see what people say, or that know the truth or may ask for it."""
    exact = task.system is not None and bool(getattr(task.process, "exact", True)) and task.metric == "v2"
    if task.kind == "coevolve":
        return ("riccati" if knowing else "lqg") if exact else ""
    return "kalman" if exact and not knowing else "clairvoyant"


def _result(run: AgentRun, runs: Mapping[str, AgentRun], oracle: str, level: float, n_bootstrap: int) -> AgentResult:
    def scored(reference: str) -> Estimate:
        if not oracle:
            return Estimate(math.nan, math.nan, math.nan, "no oracle is known for this task")
        made: NormalisedScore = normalised_score(
            objective(run), objective(runs[reference]), objective(runs[oracle]), level=level, n_bootstrap=n_bootstrap
        )
        return Estimate(made.value, made.low, made.high, made.reason)

    found = measures(run, runs[BASELINE])
    found |= {"worst_group": worst_group(run), **distributional_fidelity(run)}
    drift = run.task.process
    known = drift.shock_period if isinstance(drift, SimulatedDrift) and drift.shock else None
    if run.task.kind == "follow" and known is not None and 2 <= known <= run.task.n_steps:
        found["recovery"] = recovery(run, known)
    if oracle:
        found["regret"] = objective(run) - objective(runs[oracle])
    if run.score is not None:
        found["published_score"] = run.score
    named = {"cost": found.pop("cost"), **found}
    return AgentResult(
        run.agent,
        scored(REFERENCE),
        scored(BASELINE),
        {key: _mean(values, level, n_bootstrap) for key, values in named.items()},
        run.n_answers,
        run.seconds / len(run.seeds),
        oracle,
    )


def _mean(values: Float[np.ndarray, " seeds"], level: float, n_bootstrap: int) -> Estimate:
    undefined = ~np.isfinite(values)
    if undefined.any():
        return Estimate(
            math.nan, math.nan, math.nan, f"not defined in {int(undefined.sum())} of {len(values)} histories"
        )
    return Estimate(*mean_interval(values, level=level, n_bootstrap=n_bootstrap))


def _estimate(part: Mapping[str, Any]) -> Estimate:
    numbers = {name: math.nan if part[name] is None else float(part[name]) for name in ("value", "low", "high")}
    return Estimate(reason=str(part["reason"]), **numbers)


def _span(part: Estimate) -> str:
    return "–" if math.isnan(part.low) else f"{part.low:.3f} to {part.high:.3f}"
