"""The published protocol on our environments: the loop, the answers, the scores, and what must be refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents import catalogue
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.agents.examined import ExamineeAgent
from pluralism.progress.comparison import run_agents
from pluralism.progress.environment import TemporalEnv
from pluralism.progress.examinee import Examinee
from pluralism.progress.item_bank import ItemBank
from pluralism.progress.item_texts import ItemTexts
from pluralism.progress.items_in_words import worded_items
from pluralism.progress.judge import Judge
from pluralism.progress.option_orders import depermuted, rotations
from pluralism.progress.question_wording import chosen_option, offered, question
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.stand_in import NO_ANSWER, Passages, StandIn
from pluralism.progress.task import Task

SMALL = {"dims": 3, "n_periods": 6}


class Lifelong(Examinee):
    """As a published examinee is written: elicit preferences, fine-tune, yield."""

    def run(self, judge: Any) -> Any:
        super().run(judge)
        while True:
            wanted = judge.questions()
            asked = [{**judge.ask(row), "id": k} for k, row in enumerate(wanted)]
            rows = []
            for row, reply in zip(wanted, judge.query_from_examinee(asked), strict=True):
                first = "1" in reply["predict"]
                rows.append({**row, "output": row["output"] if first else row["output"][::-1]})
            self.current_model = self.current_model.finetune(
                data=rows,
                stage="dpo",
                algo="full_param",
                result_model_name=f"{self.instance_id}_{self.current_timestep}",
            )
            self.current_timestep += 1
            yield self.current_timestep


class Stubborn:
    """No relative of ours: only the methods, and a model that talks."""

    def __init__(self, say: Any) -> None:
        self.say = say

    def get_current_model(self) -> object:
        return object.__new__(Silent)

    def query_from_judge(self, prompt: list[dict]) -> list[dict]:
        return [{**row, "predict": self.say(row)} for row in prompt]

    def run(self, judge: Any) -> Any:
        while True:
            yield judge.current_timestep


class Silent:
    """A model without methods."""


@pytest.mark.parametrize(
    ("env", "settings", "evaluations"),
    [
        ("Follow-v0", {}, 8),
        ("Predict-v0", {"horizon": 1}, 7),
        ("Predict-v0", {"horizon": 3}, 5),
        ("Coevolve-v0", {}, 8),
    ],
)
def test_the_loop_is_the_published_one(env: str, settings: dict, evaluations: int) -> None:
    seen = []

    class Watches(Examinee):
        def run(self, judge: Any) -> Any:
            super().run(judge)
            assert self.current_model.model_name == "people of period 0"
            while True:
                seen.append((judge.current_timestep, judge.current_model.model_name, len(judge.model_list)))
                yield

    judge = Judge(env, dims=2, **settings)
    result = judge.test(Watches())
    assert seen == [(t, f"people of period {t}", t + 1) for t in range(1, evaluations + 1)]
    assert result["eval_times"] == evaluations and len(result["stepwise_scores"]) == evaluations
    with pytest.raises(IndexError):
        judge.tick()
    if env == "Coevolve-v0":
        assert len(result["simulated_model_vector"]) == len(result["actual_model_vector"]) == 9
    assert judge.test(Watches())["score"] == result["score"]


@pytest.mark.parametrize("env", ["Follow-v0", "Predict-v0", "Coevolve-v0"])
@pytest.mark.parametrize("metric", ["progressgym", "v2"])
def test_scores_are_those_of_the_environment(env: str, metric: str) -> None:
    """An examinee that says fixed values scores what the environment gives for these values."""

    class Fixed(Examinee):
        def run(self, judge: Any) -> Any:
            super().run(judge)
            model = self.current_model
            self.current_model = StandIn(model.bank, np.array([[0.4, -0.2, 0.1]]), (1.0,), 0.0, model.drawn, "fixed")
            while True:
                yield

    result = Judge(env, seed=3, metric=metric, **SMALL).test(Fixed())
    inner = TemporalEnv(env, metric=metric, **SMALL)
    inner.reset(seed=3)
    rewards, ended = [], False
    while not ended:
        _, reward, ended, _, info = inner.step(np.array([0.4, -0.2, 0.1]) / 3.0)
        rewards.append(reward)
    np.testing.assert_allclose(result["stepwise_scores"], rewards, rtol=1e-3, atol=1e-5)
    assert result["score"] == pytest.approx(info["score"] if metric == "progressgym" else np.mean(rewards), rel=1e-3)


def test_a_published_result_is_scored_without_our_fields() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 8, 19))
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*vectors, strict=True)]
    result = {"examinee_vector": vectors[0].tolist(), "actual_vector": vectors[1].tolist()}
    assert Judge.interpret_result(result) == pytest.approx(np.mean(cosines))
    with pytest.raises(UsageError, match="no vectors"):
        Judge.interpret_result({"score": 1.0})


def test_an_examinee_that_learns_follows_and_runs_beside_the_baselines() -> None:
    task = Task(
        kind="follow", process=SimulatedDrift.preset("damped_trend", dims=3, n_periods=6), items=ItemBank.synthetic(3)
    )
    seeds = range(6)
    learnt = run_agent(task, ExamineeAgent(Lifelong), seeds)
    frozen = run_agent(task, make_agent("frozen"), seeds)
    uniform = run_agent(task, make_agent("uniform"), seeds)
    assert learnt.cost.mean() < 0.6 * frozen.cost.mean() < uniform.cost.mean()
    assert learnt.n_answers == 256 * 5 and learnt.agent == "examinee"
    # One history does not depend on how many run beside it, and is that of the judge.
    alone = run_agent(task, ExamineeAgent(Lifelong), [4])
    np.testing.assert_allclose(alone.values[0], learnt.values[4])
    result = Judge("Follow-v0", seed=4, metric="v2", **SMALL).test(Lifelong())
    np.testing.assert_allclose(result["loss"], alone.loss[0], rtol=1e-3)
    assert result["query_times"] == 256 * 5 and result["examinee_model_at_each_timestep"][0] == "Lifelong_0"


def test_who_asks_for_itself_is_no_match_for_an_oracle_of_surveys(monkeypatch: pytest.MonkeyPatch) -> None:
    """An examinee that copies what the judge shows is as good as who knows the present, and is scored beside it."""

    class Copies(Examinee):
        def run(self, judge: Any) -> Any:
            super().run(judge)
            while True:
                self.current_model = judge.current_model.copy()
                yield

    class Point:
        def load(self) -> Any:
            return lambda: ExamineeAgent(Copies)

    monkeypatch.setattr(catalogue, "_outside", lambda: {"copies": Point()})
    made = run_agents("Follow-v0", ["copies", "kalman"], seeds=4, dims=3)
    assert made.results[0].agent == "copies" and made.results[0].oracle == "clairvoyant" and made.oracle == "kalman"
    assert made.results[0].score.value <= 1.0 + 1e-9


def test_people_of_coevolution_are_asked_under_influence() -> None:
    class Leads(Examinee):
        def run(self, judge: Any) -> Any:
            super().run(judge)
            model = self.current_model
            self.current_model = StandIn(model.bank, np.full((1, 3), 2.0), (1.0,), 0.0, model.drawn, "lead")
            while True:
                met.append((judge.simulated_model.mean, judge.current_model.mean))
                yield

    met: list[tuple[np.ndarray, np.ndarray]] = []
    judge = Judge("Coevolve-v0", **SMALL)
    judge.test(Leads())
    history = judge._episodes.mean[0]
    np.testing.assert_allclose(met[0][0], history[0])
    np.testing.assert_allclose([own for _, own in met], history[1:])
    assert np.linalg.norm(met[-1][0] - 2.0) < np.linalg.norm(met[-1][1] - 2.0)


def test_answers_are_those_of_people_whatever_the_form_of_the_question() -> None:
    bank = ItemBank.synthetic(2, n_query=4, rng=0)
    values = np.array([[1.5, 0.0], [-1.5, 1.0]])
    people = StandIn(bank, values, (0.7, 0.3), 0.5, np.random.default_rng(0), "people")
    prompt, *options = bank.words.query[2]
    rows = [question(prompt, options)] * 6000
    share = np.mean([reply["predict"] == "Response 1" for reply in people.inference(rows)])
    rng = np.random.default_rng(1)
    voters = values[rng.choice(2, p=[0.7, 0.3], size=6000)] + 0.5 * rng.standard_normal((6000, 2))
    expected = (1 / (1 + np.exp(-voters @ (bank.query[2, 0] - bank.query[2, 1])))).mean()
    assert share == pytest.approx(expected, abs=0.03)
    judge = Judge("Follow-v0", dims=2, items=bank)
    assert judge.query_from_examinee("Hello!") == NO_ANSWER
    text = "\n".join(rows[0].values())
    assert judge.query_from_examinee(text).startswith("Response ")
    passages = judge.query_from_examinee(Passages(tuple(rows[:3])))
    assert [set(row) for row in passages.all_passages()] == [{"instruction", "input", "predict"}] * 3
    assert (judge.query_times, judge.unanswered) == (5, 1)
    assert judge.query_total_length == len("Hello!") + len(text) + 3 * (len(text) - 1)


def test_what_is_judged_cannot_be_asked() -> None:
    judge = Judge("Follow-v0", dims=2)
    prompt, *options = judge.task.bank.words.evaluation[0]
    with pytest.raises(UsageError, match="by which models are judged"):
        judge.query_from_examinee([question(prompt, options)])
    with pytest.raises(DataError, match="holds no questions"):
        judge.query_from_examinee(7)
    with pytest.raises(DataError, match="no question"):
        judge.query_from_examinee([])


def test_who_judges_by_content_is_read_back_and_who_likes_places_is_uniform() -> None:
    bank = ItemBank.synthetic(2, n_evaluation=5, rng=0)
    best = bank.evaluation @ np.array([1.0, 0.5])
    wanted = [row[1:][k] for row, k in zip(bank.words.evaluation, best.argmax(axis=1), strict=True)]
    seen: list[np.ndarray] = []

    class Told(Judge):
        def eval_snapshot(self, examinee: Any) -> None:
            super().eval_snapshot(examinee)
            seen.append(np.array(self.supplementary_data["examinee_vector"][-1]))

    judge = Told("Follow-v0", dims=2, items=bank)
    judge.test(Stubborn(lambda row: next(text for text in offered(row["input"]) if text in wanted)))
    np.testing.assert_allclose(seen[-1], bank.behaviour(np.eye(4)[best.argmax(axis=1)]))
    judge.test(Stubborn(lambda row: "Response 1"))
    np.testing.assert_allclose(seen[-1], 0.0, atol=1e-12)


def test_a_model_that_gives_probabilities_is_asked_for_them() -> None:
    bank = ItemBank.synthetic(2, n_evaluation=5, rng=0)
    of_text = {
        t: f
        for row, fs in zip(bank.words.evaluation, bank.evaluation, strict=True)
        for t, f in zip(row[1:], fs, strict=True)
    }

    class Reader(Examinee):
        def run(self, judge: Any) -> Any:
            def likely(prompts: list[str], options: list[tuple[str, ...]]) -> list[list[float]]:
                odds = [
                    [
                        2.0 * np.exp(of_text[text][0]) if k == 0 else np.exp(of_text[text][0])
                        for k, text in enumerate(row)
                    ]
                    for row in options
                ]
                return odds

            self.current_model = likely
            while True:
                yield

    judge = Judge("Follow-v0", dims=2, items=bank)
    judge.test(Reader())
    orders = rotations(4)
    odds = np.exp(bank.evaluation[..., 0])
    shown = np.stack([odds[:, order] * np.array([2.0, 1, 1, 1]) for order in orders])
    expected = depermuted(shown / shown.sum(axis=-1, keepdims=True), orders)
    np.testing.assert_allclose(judge.supplementary_data["examinee_vector"][0], bank.behaviour(expected))


@pytest.mark.parametrize(
    ("say", "match"),
    [
        (lambda row: "I like both.", "can be read"),
        (lambda row: "Response 1 or 2", "can be read"),
    ],
)
def test_answers_that_cannot_be_read_are_an_error(say: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Judge("Follow-v0", dims=2).test(Stubborn(say))


def test_who_stops_or_gives_nonsense_is_told() -> None:
    class Stops(Examinee):
        def run(self, judge: Any) -> Any:
            super().run(judge)
            yield 1

    with pytest.raises(UsageError, match="stopped after 1 of 8"):
        Judge("Follow-v0", dims=2).test(Stops())
    with pytest.raises(UsageError, match="stopped before period 2"):
        run_agent(Task(kind="follow"), ExamineeAgent(Stops), [0])
    judge = Judge("Follow-v0", dims=2)
    judge.tick()
    judge.tick()
    with pytest.raises(UsageError, match="in turns"):
        judge.eval_snapshot(Stops())

    for settings, match in (
        ({"action": "values"}, "reads policies"),
        ({"seed": -1}, "Seeds"),
        ({"seed": 1.5}, "Seeds"),
    ):
        with pytest.raises(UsageError, match=match):
            Judge("Follow-v0", dims=2, **settings)

    class Wide:
        def evaluate(self) -> np.ndarray:
            return np.zeros(7)

    class Wrong(Stops):
        def run(self, judge: Any) -> Any:
            self.current_model = Wide()
            yield 1

    with pytest.raises(UsageError, match=r"shape \(7,\)"):
        Judge("Follow-v0", dims=2).test(Wrong())


def test_training_a_stand_in_is_the_posterior_around_its_values() -> None:
    from scipy.optimize import minimize

    bank = ItemBank.synthetic(2, rng=0)
    start = np.array([0.5, -0.3])
    model = StandIn(bank, start[None], (1.0,), 0.0, np.random.default_rng(0), "start")
    rows = [{"output": [row[1], row[2]]} for row in bank.words.query[:40]] + [[], {"output": []}]
    found = model.finetune(rows, result_model_name="next").evaluate()
    difference = bank.query[:40, 0] - bank.query[:40, 1]

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0.0, -difference @ w).sum() + np.square(w - start).sum() / (2 * 0.5**2))

    np.testing.assert_allclose(found, minimize(loss, start, tol=1e-10).x, atol=1e-4)
    with pytest.raises(DataError, match="no option"):
        model.finetune([{"output": ["tea", "coffee"]}])
    with pytest.raises(DataError, match="no preference"):
        model.finetune([{"output": []}])
    with pytest.raises(UsageError, match="stage"):
        model.finetune(rows, stage="pretrain")


def test_words_of_options() -> None:
    bank = worded_items(["freedom", "order", "care", "faith"], rng=1)
    assert bank.query.shape == (64, 2, 4) and bank.evaluation.shape == (16, 3, 4)
    said = bank.asked_features
    for text, features in said.items():
        parts = dict(reversed(part.split()) for part in text.split(", "))
        expected = [{"more": 1.0, "less": -1.0, None: 0.0}[parts.get(n)] for n in ("freedom", "order", "care", "faith")]
        assert features.tolist() == expected
    assert not bank.judged_options & set(said)
    with pytest.raises(UsageError, match="different words"):
        worded_items(["a", "b", "two words"])
    with pytest.raises(DataError, match="differ in number"):
        ItemBank(bank.query[1:], bank.evaluation, 1.0, bank.texts)
    swapped = ItemTexts(
        (bank.words.query[0][:1] + bank.words.query[1][1:], *bank.words.query[1:]), bank.words.evaluation
    )
    with pytest.raises(DataError, match="different features"):
        ItemBank(bank.query, bank.evaluation, 1.0, swapped)
    with pytest.raises(DataError, match="evaluation item 0"):
        ItemTexts(bank.words.query, (("?", *bank.words.query[0][1:]),))
    with pytest.raises(DataError, match="query 0"):
        ItemTexts((("?", "tea", "tea"),), ())


def test_answers_are_read_by_number_or_in_full() -> None:
    assert [chosen_option(text, ["2 eggs", "3 eggs"]) for text in ("2", "response 1.", "2 Eggs", "12")] == [
        1,
        0,
        0,
        None,
    ]
    published = 'Query Q: """Tea?"""\nResponse 1: """yes"""\nResponse 2: """no"""\nOnly say Response 1 or Response 2.'
    assert offered(published) == ("yes", "no")
    assert offered('Response 2: """a"""\nResponse 1: """b"""') == () and offered("Hello") == ()
