"""Differences of graphs: planted changes are found, merges are not taken for changes, chance is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from moral_graphs import counted_votes, make_card, make_graph, vote

from pluralism.elicitation.difference import graph_difference, rank_biased_overlap
from pluralism.elicitation.simulation.people import simulate_people
from pluralism.elicitation.simulation.study import simulate_study
from pluralism.errors import UsageError


def test_rank_biased_overlap_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = (list(rng.permutation(12)[: rng.integers(2, 12)]) for _ in range(2))
        first, second = [str(x) for x in first], [str(x) for x in second]
        short, long = sorted((first, second), key=len)
        p, s, n = 0.8, len(short), len(long)

        def agreement(d: int, short: list[str] = short, long: list[str] = long) -> float:
            return len(set(short[:d]) & set(long[:d])) / d

        # beyond the shorter list its agreement at its end is taken to go on
        x_s, x_n = agreement(s) * s, len(set(short) & set(long))
        total = sum(agreement(d) * p**d for d in range(1, s + 1))
        total += sum(
            (len(set(short) & set(long[:d])) / d + x_s * (d - s) / (d * s)) * p**d for d in range(s + 1, n + 1)
        )
        expected = (1 - p) / p * total + ((x_n - x_s) / n + x_s / s) * p**n
        assert rank_biased_overlap(first, second, p=p) == pytest.approx(expected)
        assert rank_biased_overlap(first, second, p=p) == pytest.approx(rank_biased_overlap(second, first, p=p))
    assert rank_biased_overlap("abcd", "abcd") == pytest.approx(1)
    assert rank_biased_overlap("abcd", "efgh") == 0
    assert rank_biased_overlap("ab", "abcdef") == pytest.approx(1)
    assert np.isnan(rank_biased_overlap("", "a"))
    with pytest.raises(UsageError):
        rank_biased_overlap("a", "b", p=1.0)


def test_added_removed_flipped_and_kept_edges() -> None:
    before = {("a", "b"): (9, 0, 0), ("b", "c"): (9, 1, 0), ("c", "d"): (9, 0, 0), ("a", "d"): (2, 2, 0)}
    after = {("a", "b"): (9, 0, 0), ("b", "c"): (1, 9, 0), ("c", "d"): (4, 4, 0), ("a", "d"): (20, 1, 0)}
    graphs = [make_graph("abcd").with_votes(counted_votes(counts)) for counts in (before, after)]
    found = graph_difference(*graphs, n_bootstrap=200)
    kinds = {
        kind: [(e.source, e.wiser) for e in found.of_kind(kind)] for kind in ("added", "removed", "flipped", "kept")
    }
    assert kinds == {"added": [("a", "d")], "removed": [("c", "d")], "flipped": [("b", "c")], "kept": [("a", "b")]}
    changes = {(e.source, e.wiser): e for e in found.edges}
    assert changes["b", "c"].difference == pytest.approx(1 / 10 - 9 / 10)
    assert changes["b", "c"].high < 0 and changes["b", "c"] in found.significant
    assert changes["a", "b"].low == changes["a", "b"].high == 0
    assert found.to_frame().num_rows == 4 and found.to_json() and "1 flipped" in repr(found)


def test_the_same_graph_twice_does_not_differ() -> None:
    graph = simulate_study(simulate_people(60, 6, rng=0), 6, rng=0)
    same = graph_difference(graph, graph, n_bootstrap=100)
    assert not same.significant and same.overlap == pytest.approx(1) and same.tau == pytest.approx(1)
    assert all(edge.low == edge.high == 0 for edge in same.edges if not np.isnan(edge.low))


def test_merges_are_lineage_and_no_change_of_answers() -> None:
    graph = simulate_study(simulate_people(60, 6, rng=0), 6, rng=0)
    first, second = list(graph.cards)[:2]
    merged = graph.merge_cards(second, first, by="moderator")
    found = graph_difference(graph, merged, n_bootstrap=50)
    assert found.lineage == {first: (second,)}
    assert not found.values_added and not found.values_removed and not found.significant
    grown = merged.with_cards({"new": make_card("new")})
    assert graph_difference(graph, grown, n_bootstrap=0).values_added == ("new",)
    assert graph_difference(grown, graph.of_participants(["p1"]), n_bootstrap=0).values_removed == ("new",)


def test_groups_that_think_alike_rarely_differ_and_others_do() -> None:
    alike = simulate_people(300, 5, n_cliques=2, rng=1)
    apart = simulate_people(300, 5, n_cliques=2, clique_spread=1.5, rng=1)
    shares = []
    for people in (alike, apart):
        graph = simulate_study(people, 8, rng=1)
        found = graph_difference(graph.of_group("clique 0"), graph.of_group("clique 1"), n_bootstrap=200)
        shares.append(len(found.significant) / len(found.edges))
    assert shares[0] < 0.15 < 0.4 < shares[1]


def test_moments_contexts_and_counts() -> None:
    votes = [vote(f"p{i}", "a", "b", context="xy"[i % 2], time=1_700_000_000 + i) for i in range(20)]
    graph = make_graph("abc").with_votes(votes)
    found = graph_difference(graph.until("2023-11-14T22:13:25"), graph, context="x", n_bootstrap=0)
    (edge,) = found.edges
    assert (edge.before, edge.after) == ("insufficient evidence", "wiser") and np.isnan(edge.low)
    counts = graph_difference(graph.counted(), graph.counted())
    assert all(np.isnan(e.low) for e in counts.edges)
    never = graph_difference(make_graph("abc"), graph, n_bootstrap=0)
    assert never.edges[0].before == "not judged" and np.isnan(never.overlap) and "null" in never.to_json()
    with pytest.raises(UsageError, match="no value in common"):
        graph_difference(graph, make_graph("xy"))
