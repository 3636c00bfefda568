"""The bootstrap over participants: resamples are what they say, and what is read from them is right."""

from __future__ import annotations

import numpy as np
import pytest
from moral_graphs import counted_votes, make_graph, vote

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.catalogue import aggregators, find_aggregator
from pluralism.elicitation.aggregators.ranking import ranks_of, ranks_within
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.tally import tally_graph
from pluralism.elicitation.uncertainty.bootstrap import RankingUncertainty, tiers_by_overlap
from pluralism.errors import UsageError


def resampled(graph: MoralGraph, weights: np.ndarray) -> MoralGraph:
    """The graph in which each participant came as often as the weight says."""
    rows = graph.votes.to_frame().to_pylist()
    people = {name: int(w) for name, w in zip(graph.participants.to_pylist(), weights, strict=True)}
    votes = [
        row | {"participant": f"{row['participant']}/{copy}"}
        for row in rows
        for copy in range(people[row["participant"]])
    ]
    groups = {f"{name}/{k}": graph.groups.get(name) for name, w in people.items() for k in range(w)}
    return make_graph().with_votes(votes).with_groups({k: g for k, g in groups.items() if g})


@pytest.mark.parametrize("rule", sorted(aggregators()))
def test_a_resample_is_a_graph_in_which_people_came_again(graph: MoralGraph, rule: str) -> None:
    graph = graph.with_groups({f"p{i}": "ns"[i % 2] for i in range(8)})
    found = find_aggregator(rule)
    options = {"ridge": 1.0} if "bradley" in rule else {}
    options |= {"context_ridge": 1.0} if rule.startswith("hier") else {}
    weights = np.array([[2, 0, 1, 1, 0, 3, 0, 1], [1] * 8, [0, 0, 0, 0, 4, 4, 0, 0]], dtype=float)
    tally = tally_graph(graph, view=found.view, unit=found.unit, by_group=found.needs_groups)
    scored = found(tally.graph, tally.counts(weights), lambda *a, **k: None, **options)
    for row, drawn in zip(weights, scored.scores, strict=True):
        expected = aggregate(resampled(graph, row), rule, n_bootstrap=0, **options).scores
        assert np.allclose(drawn, expected, equal_nan=True, atol=1e-6)


def test_ranks_and_ties() -> None:
    scores = np.array([[0.3, 0.1, np.nan, 0.3, 0.2], [1.0, 1.0 + 1e-12, 0.0, -1.0, 0.5]])
    assert np.array_equal(ranks_of(scores), [[1, 4, np.nan, 1, 3], [1, 1, 4, 5, 3]], equal_nan=True)
    parts = np.array([0, 0, 0, 1, -1])
    expected = [[1, 2, np.nan, 1, np.nan], [1, 1, 3, 1, np.nan]]
    assert np.array_equal(ranks_within(scores, parts), expected, equal_nan=True)


def test_what_is_read_from_the_draws() -> None:
    ranks = np.array([[1, 2, 3], [1, 3, 2], [2, 1, 3], [1, 1, 3.0]])
    scores, spans = 1.0 / ranks, np.zeros((3, 2))
    found = RankingUncertainty(("a", "b", "c"), ("A", "B", "C"), np.zeros(3, int), ranks, scores, spans, None, 0.5)
    assert np.allclose(found.p_top, [2.5 / 4, 1.5 / 4, 0])
    assert np.allclose(found.p_top_k(2), [1, 3 / 4, 1 / 4]) and np.allclose(found.p_top_k(3), 1)
    assert found.rank_interval.tolist() == [[1, 2], [1, 3], [2, 3]]
    assert found.tiers.tolist() == [1, 1, 1]
    assert found.answer.startswith("Insufficient evidence")
    with pytest.raises(UsageError):
        found.p_top_k(0)


def test_tiers_are_cut_where_no_interval_reaches() -> None:
    centre = np.array([1.0, 2, 3, 4, 5])
    assert tiers_by_overlap(centre, np.array([1, 2, 3, 4, 5.0]), np.array([1, 2, 3, 4, 5.0])).tolist() == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert tiers_by_overlap(centre, np.array([1, 1, 2, 4, 4.0]), np.array([2, 3, 3, 5, 5.0])).tolist() == [
        1,
        1,
        1,
        2,
        2,
    ]
    assert tiers_by_overlap(np.zeros(0), np.zeros(0), np.zeros(0)).tolist() == []


def test_a_clear_winner_a_group_of_winners_and_nothing_known() -> None:
    clear = {("a", "b"): (40, 1, 0), ("b", "c"): (40, 1, 0), ("a", "c"): (40, 1, 0)}
    ranking = aggregate(make_graph("abc").with_votes(counted_votes(clear)), "bradley-terry", n_bootstrap=100)
    assert ranking.answer == "'Value c' is the wisest of 3 values (P = 1.00)."
    assert ranking.uncertainty is not None and ranking.uncertainty.tiers.tolist() == [3, 2, 1]
    two = {("a", "b"): (40, 1, 0), ("a", "c"): (40, 1, 0), ("b", "c"): (20, 20, 0)}
    ranking = aggregate(make_graph("abc").with_votes(counted_votes(two)), "schulze", n_bootstrap=300)
    assert "among 2 of 3 values" in ranking.answer
    frame = ranking.to_frame()
    assert {"rank_low", "rank_high", "p_top", "tier", "score_low"} <= set(frame.column_names)
    little = {("a", "b"): (2, 1, 0), ("b", "c"): (1, 1, 0)}
    ranking = aggregate(make_graph("abc").with_votes(counted_votes(little)), "schulze", n_bootstrap=300)
    assert ranking.answer.startswith("Insufficient evidence")
    assert "Insufficient evidence" in repr(ranking) and ranking.to_json()


def test_draws_are_reproducible_and_of_whole_people(graph: MoralGraph) -> None:
    first, second, other = (aggregate(graph, "schulze", n_bootstrap=50, rng=rng) for rng in (1, 1, 2))
    assert first.uncertainty is not None and second.uncertainty is not None and other.uncertainty is not None
    assert np.array_equal(first.uncertainty.ranks, second.uncertainty.ranks)
    assert not np.array_equal(first.uncertainty.ranks, other.uncertainty.ranks)
    # everybody says the same: whoever comes, the order is the same
    votes = [vote(f"p{i}", a, b) for i in range(20) for a, b in (("a", "b"), ("b", "c"))]
    alike = aggregate(make_graph("abc").with_votes(votes), "schulze", n_bootstrap=50)
    assert alike.uncertainty is not None and alike.uncertainty.p_top.tolist() == [0, 0, 1]


def test_edges_are_included_as_often_as_they_are_kept() -> None:
    votes = counted_votes({("a", "b"): (30, 0, 0), ("b", "c"): (4, 3, 0)})
    ranking = aggregate(make_graph("abc").with_votes(votes), "reference", n_bootstrap=200)
    included = ranking.edges["inclusion"].to_pylist()
    assert included[0] == 1.0 and 0.2 < included[1] < 0.99


def test_a_bootstrap_needs_two_people() -> None:
    graph = make_graph("ab").with_votes([vote("ann", "a", "b")])
    with pytest.raises(UsageError, match="1 participants"):
        aggregate(graph, "schulze", n_bootstrap=10)
