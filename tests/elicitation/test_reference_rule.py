"""The original's rule to the digit, its identities, its boundaries, and the defects that `corrected` does not have."""

from __future__ import annotations

from collections import Counter, defaultdict

import networkx as nx
import numpy as np
import pytest
from moral_graphs import counted_votes, make_graph, random_votes, vote

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.edge_statistics import answer_entropy, original_entropy, wiser_likelihood
from pluralism.elicitation.aggregators.reference import support_label
from pluralism.elicitation.moral_graph import MoralGraph


def entropy(counts: list[float]) -> float:
    p = np.array([count for count in counts if count > 0]) / sum(counts)
    return float(-np.sum(p * np.log2(p)))


def original_by_hand(votes: list[dict[str, object]], names: str) -> dict[str, float]:
    """The original's scores, from one vote for each person and pair, by plain loops."""
    last = {}
    for one in votes:
        last[one["participant"], one["source"], one["wiser"]] = one["answer"]
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (_, source, wiser), answer in last.items():
        counts[source, wiser][answer] += 1
    edges = {}
    for (a, b), answers in counts.items():
        back = counts.get((b, a), Counter())
        w, n, u, less = answers["upgrade"], answers["no_upgrade"], answers["not_sure"], back["upgrade"]
        shown = sum(answers.values()) + sum(back.values())
        if w >= 2 and (w - less) / (w + n + u + less) >= 0.33 and entropy([w, n, less, u, shown]) <= 1.69:
            edges[a, b] = (w - less) / (w + n + u + less)
    nodes = {name for pair in edges for name in pair}
    rank = dict.fromkeys(nodes, 1 / len(nodes)) if nodes else {}
    for _ in range(100):
        rank = {
            b: 0.15 / len(nodes)
            + 0.85
            * sum(
                rank[a] * weight / sum(x for (c, _), x in edges.items() if c == a)
                for (a, to), weight in edges.items()
                if to == b
            )
            for b in nodes
        }
    return rank


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_original_to_the_digit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    votes = [one | {"time": None} for one in random_votes(rng, 400, n_people=30)]
    for one in votes:
        # people agree more often than not, so that edges survive the cuts
        if one["source"] < one["wiser"] and rng.random() < 0.6:
            one["answer"] = "upgrade"
    expected = original_by_hand(votes, "abcde")
    ranking = aggregate(make_graph().with_votes(votes), "reference")
    assert len(expected) >= 3
    found = {name: score for name, score in zip(ranking.ids, ranking.scores, strict=True) if not np.isnan(score)}
    assert found == pytest.approx(expected, abs=1e-12)
    assert ranking.details["sum_of_scores"] == pytest.approx(sum(expected.values()))
    assert ranking.details["sum_of_scores"] < 1


def test_golden_arithmetic() -> None:
    w, n, u, back = (np.array([float(k)]) for k in (6, 2, 9, 0))
    assert wiser_likelihood(w, n, u, back) == pytest.approx(6 / 17)
    m = w + n + u + back
    assert original_entropy(w, n, u, back, m) == pytest.approx(1.6896, abs=5e-5)
    assert original_entropy(w + 1, n, u, back, m + 1) == pytest.approx(1.6911, abs=5e-5)
    # with votes on the reversed edge
    assert wiser_likelihood(w, n, u, w) == 0
    assert original_entropy(w, n, u, w, 2 * m) == pytest.approx(entropy([6, 2, 6, 9, 34]))
    assert answer_entropy(w, n, u, w) == pytest.approx(entropy([6, 2, 6, 9]))
    nothing = np.zeros(1)
    assert wiser_likelihood(nothing, nothing, nothing, nothing) == 0
    assert original_entropy(nothing, nothing, nothing, nothing, nothing) == 0


def test_the_entropy_of_the_original_is_one_plus_half_of_the_right_one() -> None:
    counts = np.random.default_rng(0).integers(1, 20, size=(200, 3)).astype(float)
    w, n, u = counts.T
    zero = np.zeros(200)
    original = original_entropy(w, n, u, zero, counts.sum(axis=1))
    right = answer_entropy(w, n, u, zero)
    assert np.allclose(original, 1 + right / 2)
    # so the cut of 1.69 is one of 1.38 on the right entropy, and never binds if put on that itself
    assert np.array_equal(original <= 1.69, right <= 1.38 + 1e-12)
    assert right.max() <= np.log2(3) < 1.69


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ((2, 0, 0), True),
        ((1, 0, 0), False),  # one upgrade is not enough
        ((33, 67, 0), True),  # exactly .33
        ((329, 671, 0), False),
        ((6, 2, 9), True),
        ((7, 2, 9), False),  # one more upgrade removes the edge
        ((2, 4, 0), True),
        ((3, 3, 3), False),  # as divided as can be
    ],
)
def test_boundaries_of_the_cuts(counts: tuple[int, int, int], kept: bool) -> None:
    ranking = aggregate(make_graph("ab").with_votes(counted_votes({("a", "b"): counts})), "reference")
    assert ranking.edges["kept"].to_pylist() == [kept]
    assert (ranking.order == ("b", "a")) == kept


def test_the_reference_rule_is_not_monotone_and_the_corrected_one_keeps_the_edge() -> None:
    before = make_graph("ab").with_votes(counted_votes({("a", "b"): (6, 2, 9)}))
    after = before.with_votes([vote("another", "a", "b")])
    assert aggregate(before, "reference").order == ("b", "a")
    assert aggregate(after, "reference").order == ()
    assert aggregate(after, "reference").answer.startswith("Insufficient evidence")
    for rule in ("corrected", "bradley-terry", "schulze"):
        assert aggregate(after, rule, n_bootstrap=0).order[0] == "b"
    p = [aggregate(g, "corrected", n_bootstrap=0).edges["probability"][0].as_py() for g in (before, after)]
    assert 0.9 < p[0] < p[1]


def test_ties_reversals_and_contexts() -> None:
    votes = counted_votes({("a", "b"): (5, 0, 0), ("b", "a"): (5, 0, 0), ("b", "c"): (5, 0, 0)})
    ranking = aggregate(make_graph("abc").with_votes(votes), "reference")
    assert ranking.unranked == ("a",) and ranking.order == ("c", "b")
    # a second answer in another context replaces the first in the original, and not in ours
    twice = [vote(f"p{i}", "a", "b", "upgrade", context="x") for i in range(4)]
    twice += [vote(f"p{i}", "a", "b", "no_upgrade", context="y") for i in range(4)]
    graph = make_graph("ab").with_votes(twice)
    assert aggregate(graph, "reference").order == ()
    assert aggregate(graph, "reference", context="x").order == ()
    corrected = aggregate(graph, "corrected", n_bootstrap=0)
    assert corrected.order == ("b", "a")
    assert corrected.edges["kept"].to_pylist() == [True, False]
    assert aggregate(graph, "corrected", context="y", n_bootstrap=0).order == ()


def test_corrected_is_networkx_on_its_edges_and_sums_to_one() -> None:
    votes = random_votes(np.random.default_rng(1), 500, n_people=60)
    ranking = aggregate(make_graph().with_votes(votes), "corrected", n_bootstrap=0, certainty=0.6)
    graph = nx.DiGraph()
    for row in ranking.edges.to_pylist():
        if row["kept"]:
            weight = graph.get_edge_data(row["source"], row["wiser"], {"weight": 0})["weight"] + row["likelihood"]
            graph.add_edge(row["source"], row["wiser"], weight=weight)
    assert graph.number_of_edges() >= 4
    expected = nx.pagerank(graph, tol=1e-13, max_iter=1000)
    assert {name: ranking.score_of(name) for name in ranking.order} == pytest.approx(expected, abs=1e-9)
    assert np.nansum(ranking.scores) == pytest.approx(1)


def test_corrected_draws_intervals_unless_told_otherwise(graph: MoralGraph) -> None:
    assert aggregate(graph, "corrected").uncertainty is not None
    assert aggregate(graph, "reference").uncertainty is None
    assert "pass n_bootstrap" in aggregate(graph, "schulze").answer


def test_words_for_how_far_the_first_stands_out() -> None:
    assert support_label(np.array([0.9] + [0.01] * 10)) == "broad"
    assert support_label(np.array([0.3, 0.1, 0.1, 0.28])) == "contested"
    assert support_label(np.array([0.3, 0.15, 0.15, np.nan])) == "some"
    assert support_label(np.array([0.5, np.nan])) == ""
    assert support_label(np.array([0.5, 0.5])) == "contested"
