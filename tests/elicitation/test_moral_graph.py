"""The graph as a fold of its log: against a plain loop, under merges and their undoing, deletions, and views."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import networkx as nx
import numpy as np
import pytest
from moral_graphs import make_card, make_graph, random_votes, vote

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.vote_log import ANSWERS, VoteLog
from pluralism.errors import DataError, DataWarning, UsageError


def folded_by_hand(
    votes: list[dict[str, Any]],
    value: dict[str, str],
    context: dict[str, str],
    policy: str = "latest",
    unit: str = "context",
) -> Counter[tuple[str, str, str, str]]:
    """Counts of (source, wiser, context, answer), one vote at a time."""
    last: dict[Any, tuple[float, int, dict[str, Any]]] = {}
    for row, one in enumerate(votes):
        when = -np.inf if one.get("time") is None else one["time"]
        key = [
            one["participant"],
            one["source"],
            one["wiser"],
            *([one.get("context", "")] if unit == "context" else []),
        ]
        if tuple(key) not in last or (when, row) > last[tuple(key)][:2]:
            last[tuple(key)] = (when, row, one)
    together = defaultdict(list)
    for when, row, one in last.values():
        source, wiser, where = value[one["source"]], value[one["wiser"]], context[one.get("context", "")]
        if source != wiser:
            key = [one["participant"], source, wiser, *([where] if unit == "context" else [])]
            together[tuple(key)].append((when, row, one["answer"], where))
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for key, found in together.items():
        found.sort()
        answers = Counter(answer for _, _, answer, _ in found)
        answer = found[-1][2]
        if policy == "abstain" and len(answers) > 1:
            continue
        if policy == "majority":
            best = [a for a, n in answers.items() if n == max(answers.values())]
            answer = best[0] if len(best) == 1 else "not_sure"
        counts[key[1], key[2], found[-1][3], answer] += 1
    return counts


def counts_of(graph: MoralGraph, unit: Any = "context") -> Counter[tuple[str, str, str, str]]:
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in graph.counted(unit=unit).to_frame().to_pylist():
        for answer in ANSWERS:
            if row[answer]:
                found[row["source"], row["wiser"], row["context"], answer] = row[answer]
    return found


@pytest.mark.parametrize("unit", ["context", "pair"])
@pytest.mark.parametrize("policy", ["latest", "majority", "abstain"])
@pytest.mark.parametrize("seed", range(3))
def test_the_fold_is_the_plain_loop(seed: int, policy: Any, unit: Any) -> None:
    votes = random_votes(np.random.default_rng(seed), 300)
    graph = MoralGraph({name: make_card(name) for name in "abcde"}, contradiction=policy).with_votes(votes)
    same = {name: name for name in "abcde"}
    contexts = {name: name for name in ("", "x", "y")}
    assert counts_of(graph, unit) == folded_by_hand(votes, same, contexts, policy, unit)
    merged = graph.merge_cards("b", "a").merge_cards("c", "b").merge_contexts("x", "y")
    one = same | {"b": "a", "c": "a"}
    assert counts_of(merged, unit) == folded_by_hand(votes, one, contexts | {"x": "y"}, policy, unit)
    assert list(merged.values) == ["a", "d", "e"] and set(merged.contexts) == {"", "y"}
    undone = merged.undo_card_merge(0).undo_card_merge(1).undo_context_merge(0)
    assert counts_of(undone, unit) == counts_of(graph, unit)
    ballots = merged.ballots(unit=unit)
    assert ballots.n_self_loops > 0 and ballots.n_contradictions > 0
    assert (ballots.n_abstained > 0) == (policy == "abstain")
    assert len(ballots) <= ballots.n_votes - ballots.n_superseded - ballots.n_self_loops - ballots.n_abstained


def test_a_person_holds_one_vote_for_each_pair_and_context() -> None:
    votes = [
        vote("ann", "a", "b", "upgrade", context="x", time=1),
        vote("ann", "a", "b", "no_upgrade", context="y", time=2),
        vote("ann", "a", "b", "not_sure", context="x", time=3, comment="changed my mind"),
        vote("ann", "b", "a", "no_upgrade", context="x", time=4),
    ]
    graph = make_graph("ab").with_votes(votes)
    assert graph.ballots().counts == (0, 2, 1)
    assert graph.ballots().n_superseded == 1
    history = graph.votes_on("a", "b", context="x").to_pylist()
    assert [row["answer"] for row in history] == ["upgrade", "not_sure"]
    assert [row["counts"] for row in history] == [False, True]
    # the original keeps one for each pair, whatever the context
    assert graph.ballots(unit="pair").counts == (0, 1, 1)


def test_merges_commute_and_the_kept_card_speaks() -> None:
    votes = random_votes(np.random.default_rng(5), 200)
    graph = make_graph().with_votes(votes)
    pairs = [("a", "c"), ("d", "c"), ("c", "e")]
    found = []
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        merged = graph
        for i in order:
            merged = merged.merge_cards(*pairs[i])
        found.append((list(merged.values), counts_of(merged)))
        assert merged.value_of("a") == "e"
    assert found[0] == found[1] == found[2]
    circle = graph.merge_cards("b", "a").merge_cards("a", "b")
    assert next(iter(circle.values)) == "a"


def test_the_order_of_participants_does_not_matter(graph: MoralGraph) -> None:
    table = graph.votes.to_frame()
    order = np.argsort(np.random.default_rng(0).permutation(8)[graph.votes.codes("participant")[0]], kind="stable")
    assert counts_of(make_graph().with_votes(table.take(order))) == counts_of(graph)


def test_deleting_a_participant_leaves_a_tombstone_and_nothing_else(graph: MoralGraph) -> None:
    votes = random_votes(np.random.default_rng(0), 200)
    others = make_graph().with_votes([one for one in votes if one["participant"] != "p3"])
    forgotten = graph.with_groups({"p3": "north", "p4": "south"}).forget("p3", time="2024-05-01")
    assert counts_of(forgotten) == counts_of(others)
    assert forgotten.groups == {"p4": "south"}
    (stone,) = forgotten.tombstones
    assert stone.n_votes == sum(one["participant"] == "p3" for one in votes)
    assert "p3" not in forgotten.participants.to_pylist()
    gone = {one["comment"] for one in votes if one["participant"] == "p3"}
    assert not gone & set(forgotten.votes.table["comment"].to_pylist())
    with pytest.raises(UsageError, match="no vote of participant 'p3'"):
        forgotten.forget("p3")


def test_views_of_contexts_cases_people_and_times() -> None:
    votes = [
        vote("ann", "a", "b", context="x", time="2024-01-01T00:00:00Z"),
        vote("bob", "a", "b", context="y", time="2024-01-02T00:00:00Z"),
        vote("cat", "a", "b", "no_upgrade", context="z", time="2024-01-03T02:00:00+02:00"),
    ]
    cards = {name: make_card(name) for name in "ab"}
    graph = MoralGraph(cards, cases={"one": ("x", "y"), "two": ("y", "z")}).with_votes(votes)
    assert graph.counted(context="x").counts.tolist() == [[1, 0, 0]]
    assert graph.counted(case="one").counts.sum() == 2
    # a context of two cases counts in both
    assert graph.counted(case="one").counts.sum() + graph.counted(case="two").counts.sum() == 4
    assert graph.counted().pooled().counts.tolist() == [[2, 1, 0]]
    assert graph.counted().pooled().judged_in == (("x", "y", "z"),)
    assert graph.of_participants(["ann", "cat"]).counted().counts.sum() == 2
    assert len(graph.until("2024-01-03").votes) == 2
    grouped = graph.with_groups({"ann": "n", "bob": "n", "cat": "s"})
    assert grouped.of_group("n").counted().pooled().counts.tolist() == [[2, 0, 0]]
    merged = graph.merge_contexts("x", "y")
    assert merged.counted(context="x").counts.tolist() == merged.counted(context="y").counts.tolist() == [[2, 0, 0]]
    for wrong in ({"context": "w"}, {"case": "w"}, {"context": "x", "case": "one"}):
        with pytest.raises(UsageError):
            graph.counted(**wrong)
    with pytest.raises(UsageError, match="Nobody is in group"):
        grouped.of_group("w")


def test_networkx_has_one_edge_a_pair_and_context(graph: MoralGraph) -> None:
    made = graph.to_networkx()
    counted = graph.counted()
    assert isinstance(made, nx.MultiDiGraph)
    assert (made.number_of_nodes(), made.number_of_edges()) == (5, counted.n_edges)
    total = sum(data[name] for *_, data in made.edges(data=True) for name in ANSWERS)
    assert total == len(graph.ballots())
    assert made.nodes["a"]["policies"] == list(graph.cards["a"].policies)


def test_counts_of_the_way_back(graph: MoralGraph) -> None:
    counted = graph.counted()
    back = {(r["source"], r["wiser"], r["context"]): r["upgrade"] for r in counted.to_frame().to_pylist()}
    expected = [
        back.get((counted.ids[b], counted.ids[a], counted.contexts[c]), 0)
        for a, b, c in zip(counted.source, counted.wiser, counted.context, strict=True)
    ]
    assert counted.backwards().tolist() == expected
    pooled = counted.pooled()
    assert np.array_equal(np.bincount(counted.pooling, counted.upgrade), pooled.upgrade)


def test_what_does_not_fit_is_refused(graph: MoralGraph) -> None:
    with pytest.raises(DataError, match="without a card"):
        graph.with_votes([vote("ann", "a", "nobody")])
    with pytest.raises(DataError, match="taken by another card"):
        graph.with_cards({"a": make_card("b")})
    with pytest.raises(DataError, match="against itself"):
        graph.with_votes([vote("ann", "a", "a")])
    with pytest.raises(DataError, match=r"row 2.*'wiser'"):
        graph.with_votes([vote("ann", "a", "b"), vote("ann", "a", "b", "wiser")])
    with pytest.raises(DataError, match="no seconds since 1970"):
        graph.with_votes([vote("ann", "a", "b", time=1_700_000_000_000)])
    with pytest.warns(DataWarning, match="left out 1 of 2"):
        assert len(VoteLog.from_frame([vote("u", "a", "b"), vote("u", "a", "b", "")], strict=False)) == 1
    with pytest.raises(UsageError, match="undone before"):
        graph.merge_cards("a", "b").undo_card_merge(0).undo_card_merge(0)
    for broken in (lambda: graph.merge_cards("a", "a"), lambda: graph.merge_cards("a", "q")):
        with pytest.raises(UsageError):
            broken()
    with pytest.raises(DataError, match="has no card"):
        graph.with_hypotheses([UpgradeHypothesis("a", "q")])
    with pytest.raises(DataError, match="to itself"):
        UpgradeHypothesis("a", "a")


def test_an_empty_graph_has_empty_views() -> None:
    graph = make_graph("ab")
    assert graph.counted().n_edges == 0 and len(graph.ballots()) == 0
    assert graph.counted().pooled().n_edges == 0
    assert graph.counted().backwards().shape == (0,)
    assert repr(graph) == "MoralGraph(2 values, 0 votes by 0 participants on 0 pairs)"
