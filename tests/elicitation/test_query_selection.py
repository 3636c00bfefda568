"""What to ask next: criteria by hand, information gain against brute force, and curves against random questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from moral_graphs import counted_votes, make_graph, vote
from scipy.optimize import linear_sum_assignment
from scipy.special import expit

from pluralism.data import Items, simulate_mixture
from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.query_selection.acquisition import bald, expected_best, group_disagreement, uncertainty
from pluralism.elicitation.query_selection.batch_bald import _told, batch_bald
from pluralism.elicitation.query_selection.curve import LearningCurve
from pluralism.elicitation.query_selection.information_gain import expected_gain, information_gain_of
from pluralism.elicitation.query_selection.learning_curve import learning_curve
from pluralism.elicitation.query_selection.lottery import lottery, lottery_of
from pluralism.elicitation.query_selection.prompt_informativeness import prompt_informativeness
from pluralism.elicitation.query_selection.question_state import QuestionState, question_state
from pluralism.elicitation.query_selection.reward_samples import RewardSamples, reward_samples
from pluralism.elicitation.query_selection.select_comparisons import acquisitions, select_comparisons
from pluralism.elicitation.query_selection.select_questions import select_questions
from pluralism.elicitation.query_selection.simple import convergence, popular, random_questions, sparsest
from pluralism.elicitation.simulation.people import simulate_people
from pluralism.elicitation.simulation.recovery import recovery
from pluralism.elicitation.simulation.study import simulate_study
from pluralism.elicitation.simulation.voting_curve import voting_curve
from pluralism.errors import DataError, UsageError
from pluralism.models import BradleyTerry, GeneralPreference, MixtureBradleyTerry
from pluralism.solvers.davidson import answer_probabilities


def state(
    counts: list[tuple[int, int, int]], wiser: list[int] | None = None, closed: tuple[int, ...] = ()
) -> QuestionState:
    n = len(counts)
    still = np.ones(n, dtype=bool)
    still[list(closed)] = False
    ends = np.arange(1, n + 1) if wiser is None else np.array(wiser)
    return QuestionState(np.zeros(n, int), ends, np.zeros(n, int), np.array(counts, float), still, max(ends) + 1)


def test_criteria_by_hand() -> None:
    rng = np.random.default_rng(0)
    counts = [(5, 1, 0), (0, 2, 0), (2, 0, 9), (4, 0, 0)]
    at = [1, 1, 2, 2]
    assert [c.question for c in sparsest(state(counts), 4, rng)] == [1, 3, 0, 2]
    assert [c.question for c in popular(state(counts), 4, rng)] == [0, 3, 2, 1]
    # (5-5)/5, (5-0)/5, (4-2)/4, (4-4)/4
    assert [c.question for c in convergence(state(counts, at), 2, rng)] == [1, 2]
    assert {c.question for c in random_questions(state(counts, closed=(1,)), 9, rng)} == {0, 2, 3}
    assert {c.reason for c in sparsest(state(counts), 2, rng)} == {"sparsest"}
    ties = Counter(sparsest(state([(1, 0, 0)] * 3), 1, rng)[0].question for _ in range(300))
    assert min(ties.values()) > 60


def test_the_lottery_draws_criteria_with_its_chances() -> None:
    rng = np.random.default_rng(0)
    counts = [(9, 0, 0), (0, 0, 0), (1, 8, 9)]
    reasons = Counter(lottery(state(counts), 1, rng)[0].reason for _ in range(3000))
    assert reasons["popular"] / 3000 == pytest.approx(0.3, abs=0.03)
    assert reasons["convergence"] / 3000 == pytest.approx(0.3, abs=0.03)
    assert reasons["sparsest"] / 3000 == pytest.approx(0.4, abs=0.03)
    chosen = lottery(state(counts), 5, rng)
    assert sorted(c.question for c in chosen) == [0, 1, 2]
    assert {c.reason for c in lottery_of({"popular": 1.0})(state(counts), 2, rng)} == {"popular"}
    with pytest.raises(UsageError):
        lottery_of({"popular": 0.5})


def test_gain_is_mutual_information() -> None:
    rng = np.random.default_rng(0)
    for mean, deviation, tie in ((0.0, 1.0, -np.inf), (1.5, 0.7, -0.5), (-2.0, 2.0, 0.3)):
        p = answer_probabilities(rng.normal(mean, deviation, size=400_000), tie)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = -np.nansum(p * np.log(p), axis=1).mean()
            average = p.mean(axis=0)
            outside = -np.nansum(average * np.log(average))
        found = expected_gain(np.array([mean]), np.array([deviation]), tie)[0]
        assert found == pytest.approx(outside - inside, abs=2e-3)
    assert expected_gain(np.array([0.3]), np.array([0.0]), -np.inf)[0] == pytest.approx(0, abs=1e-12)


def test_information_gain_asks_what_is_open_and_not_what_is_known() -> None:
    rng = np.random.default_rng(0)
    # a < b is settled; c has never been seen; a batch is not the same question over and over
    source, wiser = np.array([0, 0, 1, 2]), np.array([1, 2, 2, 1])
    counts = np.array([[30.0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    asked = QuestionState(source, wiser, np.zeros(4, int), counts, np.ones(4, bool), 3)
    chosen = [c.question for c in information_gain_of(acquiescence=False)(asked, 3, rng)]
    assert 0 not in chosen
    assert information_gain_of()(asked, 1, rng)[0].reason == "information gain"
    with pytest.raises(UsageError):
        information_gain_of(ridge=0)


def test_questions_for_a_participant() -> None:
    hypotheses = [
        UpgradeHypothesis(a, b, c) for a, b, c in (("a", "b", "x"), ("b", "c", "x"), ("c", "d", "y"), ("a", "d", ""))
    ]
    votes = [vote("ann", "a", "b", context="x"), *counted_votes({("b", "c"): (3, 1, 0)}, context="x")]
    graph = make_graph("abcd").with_hypotheses(hypotheses).with_votes(votes)
    open_to_ann = question_state(graph, hypotheses, "ann")
    # a-b is answered, and a has been judged as the first of a pair
    assert open_to_ann.open.tolist() == [False, True, True, False]
    assert question_state(graph, hypotheses, "ann", each_end_once=False).open.tolist() == [False, True, True, True]
    assert question_state(graph, hypotheses, "nobody").open.all()
    assert open_to_ann.counts.tolist() == [[1, 0, 0], [3, 1, 0], [0, 0, 0], [0, 0, 0]]
    for method in ("random", "sparsest", "popular", "convergence", "lottery", "information_gain"):
        chosen = select_questions(graph, "ann", n=3, method=method, rng=0)
        assert {q.hypothesis for q in chosen} == {hypotheses[1], hypotheses[2]}
    only = select_questions(graph, "new", context="y", rng=0)
    assert [q.hypothesis for q in only] == [hypotheses[2]]
    merged = graph.merge_cards("b", "a")
    assert not question_state(merged, hypotheses).open[0]
    for wrong in ({"method": "x"}, {"n": 0}, {"hypotheses": []}, {"context": "z"}):
        with pytest.raises(UsageError):
            select_questions(graph, **wrong)  # pyright: ignore


def samples(left: list, right: list, weight: list, prompt: list | None = None) -> RewardSamples:
    return RewardSamples(
        np.array(left, float), np.array(right, float), np.array(weight, float), np.array(prompt or [-1] * len(weight))
    )


def test_measures_of_comparisons_by_hand() -> None:
    # two draws, two pairs, one group: the first pair is known, of the second the draws differ
    one = samples([[[2.0], [3.0]], [[2.0], [-3.0]]], [[[0.0], [0.0]], [[0.0], [0.0]]], [[1.0], [1.0]])
    h = lambda p: -(p * np.log(p) + (1 - p) * np.log(1 - p))  # noqa: E731
    assert bald(one) == pytest.approx([0.0, np.log(2) - h(expit(3))], abs=1e-9)
    assert uncertainty(one) == pytest.approx([h(expit(2)), np.log(2)])
    # the best item is expected to bring 2; of the second pair, the better one brings 3 or 0
    assert expected_best(one) == pytest.approx([0.0, 1.5 - 2.0])
    assert expected_best(replace(one, prompt=np.array([4, 7]))) == pytest.approx([0.0, 1.5])
    assert group_disagreement(one) == pytest.approx([0, 0])
    # one draw, two groups that differ, of a person who may be of either, and of one who is of the first
    two = samples([[[3.0, -3.0], [3.0, -3.0]]], [[[0.0, 0.0], [0.0, 0.0]]], [[0.5, 0.5], [1.0, 0.0]])
    assert bald(two) == pytest.approx([np.log(2) - h(expit(3)), 0], abs=1e-9)
    assert group_disagreement(two) == pytest.approx([(expit(3) - 0.5) ** 2, 0])
    assert two.expected == pytest.approx([0.5, expit(3)])
    # a person of either group likes the left side 3 or not at all; one of the first knows that it is 3
    assert expected_best(two) == pytest.approx([1.5 - 0.0, 0.0])


def test_a_batch_is_chosen_as_if_its_first_answers_were_known() -> None:
    # pairs 0 and 1 are the same question twice, 2 is another one that says a little less
    rng = np.random.default_rng(0)
    z, other = 2.0 * rng.normal(size=5000), 1.9 * rng.normal(size=5000)
    draws = np.stack([z, z, other], axis=1)[:, :, None]
    one = RewardSamples(draws, np.zeros((5000, 3, 1)), np.ones((3, 1)), np.full(3, -1))
    assert np.argsort(-bald(one)).tolist()[2] == 2
    items = np.arange(3), np.arange(3, 6)
    assert batch_bald(one, 2, *items, rng)[1] == 2
    assert sorted(batch_bald(one, 9, *items, rng)) == [0, 1, 2]
    assert len(batch_bald(one, 3, np.zeros(3, int), np.arange(1, 4), rng, most_per_item=1)) == 1
    # what is left of the spread is what a Gaussian with this curvature would have
    curvature = np.mean(expit(z) * expit(-z))
    left = _told(one.left, 0, np.ones(1))[:, 0, 0].var()
    assert left == pytest.approx(1 / (1 / z.var() + curvature))


def test_selection_from_fitted_models() -> None:
    data = simulate_mixture(n_users=30, n_groups=2, n_items=40, dim=4, rng=0).comparisons
    pooled = BradleyTerry(ridge=1.0, item_effects=False).fit(data)
    mixture = MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False, rng=0).fit(data)
    for method in acquisitions():
        found = select_comparisons(mixture, data, n=10, method=method, rng=0)
        assert len(set(found.rows.tolist())) == 10 and found.to_frame().num_rows == 10 and found.to_json()
        if method != "random":
            assert found.score[found.rows[0]] == np.nanmax(found.score)
    best = select_comparisons(pooled, data, n=12, most_per_item=1, rng=0)
    items = [*data.left[best.rows].tolist(), *data.right[best.rows].tolist()]
    assert len(set(items)) == len(items)
    drawn = reward_samples(pooled, data, n_draws=400, rng=0)
    assert drawn.expected == pytest.approx(pooled.predict_proba(data), abs=0.05)
    with pytest.raises(UsageError, match="neither groups nor a posterior"):
        select_comparisons(BradleyTerry(ridge=1.0, item_effects=False, uncertainty=False).fit(data), data, n=3)
    for wrong in ({"method": "x"}, {"n": 0}, {"most_per_item": 0}):
        with pytest.raises(UsageError):
            select_comparisons(pooled, data, **({"n": 3} | wrong))  # pyright: ignore


def test_a_model_without_a_posterior_gives_its_best_estimate() -> None:
    data = simulate_mixture(n_users=30, n_groups=1, n_items=40, dim=4, rng=0).comparisons
    model = BradleyTerry(ridge=1.0, item_effects=False, uncertainty=False).fit(data)
    found = reward_samples(model, data)
    assert len(found.left) == 1 and found.expected == pytest.approx(model.predict_proba(data))


def curves(
    methods: tuple[str, ...], seeds: range, make: Callable[[], Any], simulation: dict[str, Any], **settings: Any
) -> dict[str, np.ndarray]:
    """Gains over random questions of simulated people, one for each population."""
    gains: dict[str, list[float]] = {method: [] for method in methods}
    for seed in seeds:
        drawn = simulate_mixture(n_groups=1, rng=seed, **simulation)
        train, test = drawn.comparisons.split(test=0.4, by="row", rng=seed)
        truth = drawn.truth.item_rewards[:, 0]
        if settings.get("measure") == "regret":
            settings["score"] = lambda model, items=train.items, truth=truth: (
                truth.max() - truth[np.argmax(model.reward(items)[:, 0])]
            )
        curve = learning_curve(make, train, test, methods=("random", *methods), rng=seed, **settings)
        for method in methods:
            gains[method].append(curve.gain_over()[method])
    return {method: np.array(found) for method, found in gains.items()}


@pytest.mark.slow
def test_bald_predicts_better_than_random_comparisons_do() -> None:
    make = lambda: BradleyTerry(ridge=1.0, item_effects=False)  # noqa: E731
    people = {"n_users": 60, "n_items": 80, "dim": 8}
    gains = curves(("bald",), range(8), make, people, n_start=15, batch=10, rounds=4, repeats=2)["bald"]
    assert gains.mean() > 0.003 and gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))


@pytest.mark.slow
def test_the_best_item_is_found_sooner_than_by_random_comparisons() -> None:
    make = lambda: BradleyTerry(ridge=0.3, use_features=False)  # noqa: E731
    people = {"n_users": 100, "n_items": 30, "dim": 6, "pairs_per_user": 15}
    regret = {"measure": "regret", "higher_is_better": False}
    found = curves(("expected-best",), range(8), make, people, n_start=30, batch=10, rounds=5, repeats=3, **regret)[
        "expected-best"
    ]
    assert found.mean() > 0.2 and (found > 0).sum() >= 5


def test_people_are_placed_by_fewer_answers_than_random_ones() -> None:
    surprise: dict[str, list[float]] = {name: [] for name in ("random", "group-disagreement", "bald")}
    for seed in range(4):
        drawn = simulate_mixture(n_users=100, n_groups=3, n_items=60, dim=6, pairs_per_user=30, rng=seed)
        data, group = drawn.comparisons, drawn.truth.groups
        known = data.take(data.user < 80)
        model = MixtureBradleyTerry(n_groups=3, ridge=1.0, item_effects=False, rng=0).fit(known)
        posterior = model.membership(known).posterior
        overlap = np.stack([posterior[:80][group[:80] == k].sum(axis=0) for k in range(3)])
        name_of = linear_sum_assignment(-overlap)[1]
        for person in range(80, 100):
            own = data.take(data.user == person)
            for method, found in surprise.items():
                asked = own.take(select_comparisons(model, own, n=4, method=method, rng=person).rows)
                placed = model.adapt(asked)
                (row,) = placed.index(asked.users)[np.unique(asked.user)]
                found.append(-np.log(placed.posterior[row, name_of[group[person]]]))
    mean = {method: np.mean(found) for method, found in surprise.items()}
    assert mean["group-disagreement"] < mean["random"] - 0.03 and mean["bald"] < mean["random"] - 0.03


def test_a_learning_curve_starts_alike_and_needs_enough_answers() -> None:
    data = simulate_mixture(n_users=20, n_groups=1, n_items=30, dim=3, rng=0).comparisons
    train, test = data.split(test=0.5, by="row", rng=0)
    make = lambda: BradleyTerry(ridge=1.0, item_effects=False)  # noqa: E731
    curve = learning_curve(make, train, test, methods=("random", "uncertainty"), rounds=1, repeats=2, batch=5)
    assert np.allclose(curve.value[0, :, 0], curve.value[1, :, 0]) and curve.answers.tolist() == [20, 25]
    assert curve.measure == "nll" and curve.to_frame().num_rows == 4 and "uncertainty" in repr(curve)
    for wrong in ({"batch": 10_000}, {"methods": ("x",)}):
        with pytest.raises(UsageError):
            learning_curve(make, train, test, **wrong)  # pyright: ignore


def test_gains_of_a_curve_by_hand() -> None:
    value = np.array([[[4.0, 2.0], [3.0, 1.0]], [[4.0, 1.0], [3.0, 2.0]]])
    curve = LearningCurve(("random", "bald"), np.array([5, 9]), value, "nll", False)
    assert curve.gains_over()["bald"].tolist() == [0.5, -0.5] and curve.gain_over()["bald"] == 0
    assert curve.gains_over("bald")["random"].tolist() == [-0.5, 0.5]
    assert replace(curve, higher_is_better=True).gains_over()["bald"].tolist() == [-0.5, 0.5]
    rows = curve.to_frame().to_pylist()
    assert rows[1] == {"method": "random", "answers": 9, "nll": 1.5, "standard_error": 0.5}
    one = LearningCurve(("random",), np.array([5, 9]), value[:1, :1], "nll", False).to_frame()
    assert one["standard_error"].null_count == 2
    assert '"measure": "nll"' in curve.to_json()


def test_a_curve_of_votes() -> None:
    make = lambda seed: simulate_people(20, 6, rng=seed)  # noqa: E731
    curve = voting_curve(make, methods=("random", "information_gain"), votes=(2, 5), repeats=2)
    assert curve.answers.tolist() == [40, 100] and curve.value.shape == (2, 2, 2) and curve.higher_is_better
    by_hand = simulate_study(make(1), 5, method="information-gain", rng=1)
    expected = recovery(aggregate(by_hand, "bradley-terry"), make(1)).tau
    assert curve.value[1, 1, 1] == pytest.approx(expected)
    assert not voting_curve(make, methods=("random",), votes=(2,), repeats=1, measure="top_regret").higher_is_better
    for wrong in ({"methods": ("x",)}, {"measure": "x"}, {"votes": (3, 2)}, {"votes": ()}, {"repeats": 0}):
        with pytest.raises(UsageError):
            voting_curve(make, **wrong)  # pyright: ignore
    with pytest.raises(UsageError, match="differ in size"):
        voting_curve(lambda seed: simulate_people(20 + seed, 6), methods=("random",), votes=(2,), repeats=2)


@pytest.mark.slow
def test_informed_votes_find_more_than_random_ones() -> None:
    people = lambda seed: simulate_people(40, 12, spread=2.5, rng=seed)  # noqa: E731
    curve = voting_curve(people, methods=("random", "information-gain"), votes=(3, 5), repeats=14)
    gains = curve.gains_over()["information-gain"]
    assert gains.mean() > 0.02 and gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))


def test_prompts_by_how_much_their_answers_differ() -> None:
    items = Items(ids=list("abcdef"), texts=list("ABCDEF"), prompts=["p", "p", "p", "q", "q", "r"])
    rewards = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 4.0], [1.0, 0.0], [9.0, 9.0]])
    found = {
        m: prompt_informativeness(rewards, items, measure=m).value for m in ("best-mean", "best-worst", "best-second")
    }
    assert found["best-mean"] == pytest.approx([0.5, (0.5 + 2.0) / 2, 0])
    assert found["best-worst"] == pytest.approx([1.0, 2.5, 0])
    assert found["best-second"] == pytest.approx([0.5, 2.5, 0])
    groups = prompt_informativeness(rewards, items, measure="groups")
    # of q, the first answer is best on average; the groups give it -.5 and 2 from their means
    assert groups.value == pytest.approx([0.25, 1.25**2, 0])
    weighted = prompt_informativeness(rewards, items, measure="best-worst", group_weights=[3, 1])
    assert weighted.value == pytest.approx([1.5, 1.75, 0])
    drawn = Counter(weighted.draw(1, rng=seed)[0] for seed in range(2000))
    assert drawn["q"] / 2000 == pytest.approx(1.75 / 3.25, abs=0.04) and drawn["r"] == 0
    assert weighted.to_frame()["prompt"].to_pylist() == ["q", "p", "r"] and weighted.to_json()
    with pytest.raises(UsageError, match="cannot be drawn"):
        weighted.draw(3)
    with pytest.raises(DataError, match="no prompts"):
        prompt_informativeness(rewards, Items(ids=list("abcdef")))
    with pytest.raises(UsageError):
        prompt_informativeness(rewards[:3], items)


def test_models_that_prefer_in_circles_have_no_rewards_to_draw() -> None:
    data = simulate_mixture(n_users=20, n_groups=1, n_items=30, dim=3, rng=0).comparisons
    with pytest.raises(UsageError, match="prefers in circles"):
        reward_samples(GeneralPreference(rng=0), data)
