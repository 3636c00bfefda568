"""What a graph looks like, against brute force and plain loops; who moves it; what is still missing."""

from __future__ import annotations

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from moral_graphs import counted_votes, make_graph, vote
from scipy.stats import beta, binom

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.structure.agreement import aggregator_agreement
from pluralism.elicitation.structure.feedback_arcs import feedback_arcs, minimum_feedback_arcs
from pluralism.elicitation.structure.influence import participant_influence
from pluralism.elicitation.structure.majority import majority_graph
from pluralism.elicitation.structure.response_styles import response_styles
from pluralism.elicitation.structure.shape import graph_shape
from pluralism.elicitation.structure.transitivity import transitivity
from pluralism.elicitation.structure.votes_needed import votes_needed
from pluralism.elicitation.uncertainty.edge_posterior import edge_posteriors
from pluralism.errors import UsageError

CIRCLE = {("a", "b"): (5, 1, 0), ("b", "c"): (4, 1, 0), ("c", "a"): (4, 2, 3), ("c", "d"): (3, 0, 0)}


def test_shape_of_a_circle_with_a_tail() -> None:
    graph = make_graph("abcdefg").with_votes(counted_votes(CIRCLE | {("e", "f"): (1, 2, 0)}))
    shape = graph_shape(graph)
    assert shape.components == (("a", "b", "c", "d"), ("e", "f")) and shape.silent == ("g",)
    assert shape.strong_components == (("a", "b", "c"),)
    assert shape.tiers == (("d",), ("a", "b", "c"))
    assert [set(circle) for circle in shape.circles] == [{"a", "b", "c"}] and shape.circles_complete
    assert shape.sinks == ("d",) and shape.sources == () and shape.bridges == (("c", "d"),)
    assert shape.to_frame()["tier"].to_pylist() == [2, 2, 2, 1, None, None, None]
    assert not graph_shape(make_graph("ab")).circles and graph_shape(make_graph("ab")).to_json()
    majority = majority_graph(graph)
    assert majority.votes.tolist() == [4, 3, 2, 3]
    found = feedback_arcs(graph)
    assert found.arcs == (("c", "a", 2),) and found.optimal and found.total_votes == 12
    with pytest.raises(UsageError):
        graph_shape(graph, most_circles=0)


def test_circles_may_be_too_many_to_list() -> None:
    names = "abcdef"
    counts = {(a, b): (2, 0, 0) for i, a in enumerate(names) for b in (names[(i + 1) % 6], names[(i + 2) % 6])}
    shape = graph_shape(make_graph(names).with_votes(counted_votes(counts)), most_circles=3)
    assert len(shape.circles) == 3 and not shape.circles_complete and "or more" in repr(shape)


@pytest.mark.parametrize("seed", range(6))
def test_feedback_arcs_are_the_cheapest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 6
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b and rng.random() < 0.5]
    tail, head = np.array(pairs).T
    weight = rng.integers(1, 9, size=len(pairs))
    removed, bound = minimum_feedback_arcs(tail, head, weight, seconds=10)
    left = nx.DiGraph(list(zip(tail[~removed].tolist(), head[~removed].tolist(), strict=True)))
    assert nx.is_directed_acyclic_graph(left)

    def cost(order: tuple[int, ...]) -> int:
        place = np.argsort(order)
        return int(weight[place[tail] > place[head]].sum())

    assert weight[removed].sum() == bound == min(cost(order) for order in permutations(range(n)))


def test_without_time_a_greedy_set_and_a_bound() -> None:
    rng = np.random.default_rng(0)
    pairs = np.array([(a, b) for a in range(30) for b in range(30) if a != b and rng.random() < 0.3])
    removed, bound = minimum_feedback_arcs(*pairs.T, rng.integers(1, 9, size=len(pairs)), seconds=1e-9)
    left = nx.DiGraph(pairs[~removed].tolist())
    assert nx.is_directed_acyclic_graph(left) and bound == 0
    with pytest.raises(UsageError):
        feedback_arcs(make_graph("ab"), seconds=0)


def test_transitivity_by_hand_and_where_it_is_planted() -> None:
    counts = {("a", "b"): (5, 1, 0), ("b", "c"): (5, 1, 0), ("a", "c"): (6, 2, 4), ("d", "c"): (2, 2, 0)}
    found = transitivity(make_graph("abcd").with_votes(counted_votes(counts)))
    assert (found.closed_pairs, found.open_pairs) == (1, 3)
    assert found.closed_rate == pytest.approx(6 / 8) and found.open_rate == pytest.approx(12 / 16)
    rng = np.random.default_rng(0)
    votes = []
    for person in range(60):
        for _ in range(8):
            i, j = rng.choice(7, 2, replace=False)
            p = 1 / (1 + np.exp(i - j))
            votes.append(
                vote(f"p{person}", "abcdefg"[i], "abcdefg"[j], "upgrade" if rng.random() < p else "no_upgrade")
            )
    planted = transitivity(make_graph("abcdefg").with_votes(votes), n_bootstrap=300)
    assert 0 < planted.low < planted.difference < planted.high
    assert "more often" in planted.answer and planted.to_json()
    alone = transitivity(make_graph("ab").with_votes([vote("x", "a", "b")]))
    assert alone.answer.startswith("Insufficient evidence") and alone.to_dict()["closed_rate"] is None


@pytest.mark.parametrize("rule", ["reference", "bradley-terry", "schulze", "corrected", "hierarchical-bradley-terry"])
def test_influence_is_leaving_each_person_out(graph: MoralGraph, rule: str) -> None:
    options = {"ridge": 1.0} if "bradley" in rule else {}
    options |= {"context_ridge": 1.0} if rule.startswith("hier") else {}
    found = participant_influence(graph, rule, **options)
    base = aggregate(graph, rule, n_bootstrap=0, **options)
    people = graph.participants.to_pylist()
    for person, change, top in zip(found.participants, found.rank_change, found.top_changes, strict=True):
        others = aggregate(graph.of_participants([p for p in people if p != person]), rule, n_bootstrap=0, **options)
        before, after = base.ranks, others.ranks
        before = np.where(np.isnan(before), 1 + np.sum(~np.isnan(before)), before)
        after = np.where(np.isnan(after), 1 + np.sum(~np.isnan(after)), after)
        assert change == np.abs(after - before).max()
        assert top == (set(np.flatnonzero(before == 1)) != set(np.flatnonzero(after == 1)))
    assert found.ballots.sum() == len(graph.ballots(unit="pair" if rule == "reference" else "context"))
    assert found.to_frame()["rank_change"].to_pylist() == sorted(found.rank_change, reverse=True)


def test_people_with_equal_answers_have_equal_influence() -> None:
    votes = [vote(f"p{i}", "a", "b") for i in range(50)] + [vote("q", "b", "c"), vote("r", "b", "c")]
    found = participant_influence(make_graph("abc").with_votes(votes), "in-strength", context="")
    assert len(set(found.rank_change[:50].tolist())) == 1


def test_straight_liners_and_yes_both_ways() -> None:
    votes = [vote("yes", a, b, "upgrade") for a, b in (("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"))]
    votes += [vote("mix", a, b, w) for (a, b), w in {("a", "b"): "upgrade", ("b", "c"): "not_sure"}.items()]
    votes += [vote("no", a, b, "no_upgrade") for a, b in (("a", "b"), ("b", "c"))]
    found = response_styles(make_graph("abcd").with_votes(votes))
    assert found.counts.tolist() == [[4, 0, 0], [1, 0, 1], [0, 2, 0]]
    assert found.straight_liners == ("yes",) and found.both_ways.tolist() == [1, 0, 0]
    rates = np.array([5, 2, 1]) / 8
    assert np.allclose(found.base_rates, rates)
    assert found.p_same[0] == pytest.approx(rates[0] ** 4) and np.isnan(found.p_same[1])
    assert found.expected_straight == pytest.approx(np.sum(rates**4))
    assert response_styles(make_graph("abcd").with_votes(votes), least=2).straight_liners == ("yes", "no")
    with pytest.raises(UsageError):
        response_styles(make_graph("ab"), least=1)


def test_agreement_of_aggregators(graph: MoralGraph) -> None:
    found = aggregator_agreement(graph, ["schulze", "ranked-pairs", "bradley-terry"])
    assert np.allclose(np.diag(found.tau), 1) and np.allclose(found.tau, found.tau.T)
    from scipy.stats import kendalltau

    first, second = (aggregate(graph, rule).ranks for rule in ("schulze", "bradley-terry"))
    assert found.tau[0, 2] == pytest.approx(kendalltau(first, second).statistic)
    assert set(found.winners) == {"schulze", "ranked-pairs", "bradley-terry"}
    assert "bridging" not in aggregator_agreement(graph).rules
    grouped = graph.with_groups({f"p{i}": "ns"[i % 2] for i in range(8)})
    assert "bridging" in aggregator_agreement(grouped).rules


def test_posteriors_of_edges() -> None:
    counts = {("a", "b"): (9, 1, 2), ("b", "c"): (1, 9, 0), ("a", "c"): (3, 2, 4)}
    found = edge_posteriors(make_graph("abc").with_votes(counted_votes(counts)))
    assert found.verdicts == ["wiser", "insufficient evidence", "not wiser"]
    exact = beta(10, 2)
    assert (found.mean[0], found.p_wiser[0]) == (pytest.approx(10 / 12), pytest.approx(exact.sf(0.5)))
    assert (found.low[0], found.high[0]) == tuple(pytest.approx(x) for x in exact.interval(0.95))
    half = edge_posteriors(make_graph("abc").with_votes(counted_votes(counts)), not_sure="half", prior=(2.0, 1.0))
    assert half.p_wiser[1] == pytest.approx(beta(2 + 5, 1 + 4).sf(0.5))
    assert found.to_frame().num_rows == 3 and "1 wiser" in repr(found)
    with pytest.raises(UsageError):
        edge_posteriors(make_graph("ab"), level=0.4)


def test_intervals_of_edges_cover_in_proportion() -> None:
    # over the prior, an interval of 90 % holds the truth in 90 % of the cases
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(40):
        names = [str(i) for i in range(40)]
        truth = rng.beta(1, 1, size=39)
        counts = {(names[i], names[i + 1]): (y := rng.binomial(8, truth[i]), 8 - y, 0) for i in range(39)}
        found = edge_posteriors(make_graph(names).with_votes(counted_votes(counts)), level=0.9)
        order = [int(names[i]) for i in found.graph.source]
        covered.append(np.mean((found.low <= truth[order]) & (truth[order] <= found.high)))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


def test_votes_needed_is_the_first_number_that_decides_often_enough() -> None:
    counts = {("a", "b"): (9, 0, 0), ("b", "c"): (3, 1, 0), ("a", "c"): (2, 2, 5), ("c", "d"): (1, 4, 0)}
    found = votes_needed(make_graph("abcd").with_votes(counted_votes(counts)), most=300)
    by_pair = dict(
        zip(
            zip(*(found.to_frame()[c].to_pylist() for c in ("source", "wiser")), strict=True), found.needed, strict=True
        )
    )

    def decides(yes: int, no: int, n: int) -> float:
        chance = 0.0
        for y in range(n + 1):
            sure = beta(1 + yes + y, 1 + no + n - y).sf(0.5)
            chance += binom.pmf(y, n, (1 + yes) / (2 + yes + no)) * (sure >= 0.95 or sure <= 0.05)
        return chance

    assert by_pair["a", "b"] == 0
    for pair in (("b", "c"), ("c", "d")):
        n = int(by_pair[pair])
        assert decides(*counts[pair][:2], n) >= 0.8
        assert all(decides(*counts[pair][:2], k) < 0.8 for k in range(1, n))
    assert by_pair["a", "c"] == -1 and found.total is None
    assert found.to_frame()["votes_needed"].to_pylist().count(None) == 1
    with pytest.raises(UsageError):
        votes_needed(make_graph("ab"), power=1.0)


def test_structure_of_one_context(graph: MoralGraph) -> None:
    one = make_graph().with_votes([row for row in graph.votes.to_frame().to_pylist() if row["context"] == "x"])
    assert graph_shape(graph, context="x") == graph_shape(one)
    assert feedback_arcs(graph, context="x") == feedback_arcs(one)
    assert transitivity(graph, context="x", n_bootstrap=0).closed_rate == transitivity(one, n_bootstrap=0).closed_rate
    assert votes_needed(graph, context="x").needed.tolist() == votes_needed(one).needed.tolist()
