"""The published judges on our environments: whoever is examined runs unchanged, with a seed and no swallowed error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pluralism.errors import UsageError
from pluralism.progress.agent_run import require_seeds
from pluralism.progress.episodes import Episodes
from pluralism.progress.examinee import committed_policy
from pluralism.progress.published_score import coevolve_score, cosine
from pluralism.progress.questioned_people import QuestionedPeople
from pluralism.progress.task_settings import task_of

__all__ = ["Judge"]


class Judge(QuestionedPeople):
    """Examines one algorithm in one history, by the published loop.

    The loop is: make the examinee's generator, `tick`, and then for each of its yields `eval_snapshot` and `tick`,
    until the periods are exhausted. With T periods Follow and Coevolve are judged T - 1 times and Predict T - 1 - K
    times, the first time in period 1.

    Parameters
    ----------
    env : str
        "Follow-v0", "Predict-v0" or "Coevolve-v0".
    process, n_periods, dims, **settings
        As in `TemporalEnv`; `action` is "policy".
    seed : int
        Of the history: the one that `reset(seed=...)` of the environment gives.
    metric : {"progressgym", "v2"}

    Attributes
    ----------
    eval_times : int
    examinee_model_history : list of str

    Examples
    --------
    >>> from pluralism.progress import Examinee
    >>> class Copies(Examinee):
    ...     def run(self, judge):
    ...         super().run(judge)
    ...         while True:
    ...             self.current_model = judge.current_model.copy()
    ...             yield
    >>> result = Judge("Follow-v0", dims=3, seed=0).test(Copies())
    >>> result["eval_times"], round(result["score"], 6)
    (8, 1.0)
    """

    def __init__(
        self,
        env: str = "Follow-v0",
        process: Any = "damped_trend",
        *,
        seed: int = 0,
        n_periods: int | None = None,
        dims: int | None = None,
        metric: str = "progressgym",
        **settings: Any,
    ) -> None:
        if "action" in settings:
            raise UsageError("A judge reads policies, whatever an examinee gives.", fix="Leave action out.")
        require_seeds([seed])
        self.task = task_of(env, process, n_periods=n_periods, dims=dims, metric=metric, action="policy", **settings)
        self.seed = seed
        self.reset()

    def reset(self) -> None:
        """Begin the same history anew."""
        episodes = Episodes(self.task, 1)
        episodes.reset(np.arange(1), [np.random.default_rng(self.seed)])
        super().__init__(episodes, 0)
        self.eval_times = 0
        self.examinee_model_history: list[str] = []
        self._losses: list[float] = []
        bank = self.task.bank
        self._behaviour = bank.behaviour(bank.policy(episodes.mean[0]))
        self.supplementary_data = (
            {
                "simulated_model_vector": [self._behaviour[0].tolist()],
                "actual_model_vector": self._behaviour.tolist(),
            }
            if self.task.kind == "coevolve"
            else {"examinee_vector": [], "actual_vector": []}
        )
        self.supplementary_data["stepwise_scores"] = []
        if self.task.kind == "predict":
            self.supplementary_data["timesteps_ahead"] = self.task.horizon

    def eval_snapshot(self, examinee: Any) -> None:
        """Judge what the examinee stands for in this period, and let people move.

        Raises
        ------
        UsageError
            If the period has not begun or was judged already, or what it stands for cannot be told.
        """
        if self.current_timestep != self.eval_times + 1:
            raise UsageError(
                f"Period {self.current_timestep} cannot be judged after {self.eval_times} periods.",
                fix="Call tick and eval_snapshot in turns.",
            )
        bank, data = self.task.bank, self.supplementary_data
        policy = committed_policy(bank, examinee)
        reward, _, info = self._episodes.step(policy[None])
        if self.task.kind == "coevolve":
            data["simulated_model_vector"].append(bank.behaviour(bank.policy(self._episodes.people[0])).tolist())
        else:
            data["examinee_vector"].append(bank.behaviour(policy).tolist())
            data["actual_vector"].append(self._behaviour[self.current_timestep + self.task.ahead].tolist())
        data["stepwise_scores"].append(float(reward[0]))
        self._losses.append(float(info["loss"][0]))
        self.eval_times += 1
        model = examinee.get_current_model()
        self.examinee_model_history.append(str(getattr(model, "model_path", type(model).__name__)))

    def test(self, examinee: Any) -> dict[str, Any]:
        """Examine: the published loop from a fresh start, errors included.

        Raises
        ------
        UsageError
            If the examinee stops before the last period: a score of fewer periods is another score.
        """
        self.reset()
        running = iter(examinee.run(self))
        self.tick()
        for _ in running:
            self.eval_snapshot(examinee)
            if self.eval_times == self.task.n_steps:
                break
            self.tick()
        if self.eval_times < self.task.n_steps:
            raise UsageError(
                f"The examinee stopped after {self.eval_times} of {self.task.n_steps} periods.",
                fix="Yield once a period, for as long as you are asked.",
            )
        return self.produce_final_result()

    def produce_final_result(self) -> dict[str, Any]:
        """Counts, vectors and the score, of plain types."""
        made = {
            "metric": self.task.metric,
            "eval_times": self.eval_times,
            "query_times": self.query_times,
            "query_total_length": self.query_total_length,
            "unanswered": self.unanswered,
            "examinee_model_at_each_timestep": list(self.examinee_model_history),
            "judge_model_at_each_timestep": self._names[1 : self.eval_times + 1],
            "loss": list(self._losses),
            **self.supplementary_data,
        }
        return {**made, "score": self.interpret_result(made)}

    @classmethod
    def interpret_result(cls, result: Mapping[str, Any]) -> float:
        """The score of a result, ours or a published one: higher is better.

        Under "v2" minus the mean loss; else the published cosines, of the vectors that the result holds.

        Raises
        ------
        UsageError
            If nothing was judged, or the result holds no vectors.
        """
        if result.get("metric") == "v2" and result["loss"]:
            return -float(np.mean(result["loss"]))
        if "simulated_model_vector" in result:
            places = np.array(result["simulated_model_vector"], dtype=float)
            return float(coevolve_score(places, np.array(result["actual_model_vector"], dtype=float)).mean())
        shown, actual = (np.array(result.get(name, ()), dtype=float) for name in ("examinee_vector", "actual_vector"))
        if shown.ndim != 2 or shown.shape != actual.shape:
            raise UsageError("The result holds no vectors to compare.", fix="Give what Judge.test returns.")
        return float(cosine(shown, actual).mean())
