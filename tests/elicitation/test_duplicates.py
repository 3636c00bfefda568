"""Duplicates of cards: planted tellings of one value are found, and different values are not merged."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.elicitation.duplicates import card_similarities, cluster_cards, find_duplicates
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.simulation.cards import merge_quality, simulate_cards
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import UsageError


def test_quality_of_a_grouping() -> None:
    truth = np.array([0, 0, 1, 1])
    assert merge_quality([5, 5, 2, 2], truth).adjusted_rand == 1
    found = merge_quality([0, 0, 0, 1], truth)
    assert found.false_merges == pytest.approx(2 / 3) and found.missed == pytest.approx(1 / 2)
    assert merge_quality([0, 1, 2, 3], truth).false_merges == 0


@pytest.mark.parametrize("encoder", ["tfidf", "hash:1024"])
def test_tellings_of_a_value_are_found(encoder: str) -> None:
    qualities = []
    for seed in range(4):
        planted = simulate_cards(25, change=0.1, rng=seed)
        found = cluster_cards(planted.cards, encoder=encoder)
        qualities.append(merge_quality(found.label, planted.value))
    assert np.mean([q.adjusted_rand for q in qualities]) > 0.95
    assert np.mean([q.false_merges for q in qualities]) < 0.02


def test_values_that_share_policies_are_rarely_merged() -> None:
    qualities = []
    for seed in range(4):
        planted = simulate_cards(25, change=0.2, shared=0.2, rng=seed)
        by_policy = cluster_cards(planted.cards)
        qualities.append(merge_quality(by_policy.label, planted.value))
    assert np.mean([q.false_merges for q in qualities]) < 0.05
    assert np.mean([q.adjusted_rand for q in qualities]) > 0.6


def test_a_new_card_is_compared_with_those_there_are() -> None:
    planted = simulate_cards(12, change=0.0, rng=1)
    new = ValuesCard("Mine", "", planted.cards["v3t0"].policies[::-1])
    found = find_duplicates(planted.cards, new)
    assert found[0].other == "v3t0" and found[0].similarity == pytest.approx(1.0)
    assert all(proposal.card == new.id for proposal in found)
    stranger = ValuesCard("Else", "", ["QQQ zzz xxx", "WWW vvv jjj"])
    assert find_duplicates(planted.cards, stranger) == ()
    pairs = find_duplicates(planted.cards, most=2, threshold=0.7)
    values = dict(zip(planted.cards, planted.value, strict=True))
    assert pairs and all(values[p.card] == values[p.other] for p in pairs)
    assert [p.similarity for p in pairs] == sorted((p.similarity for p in pairs), reverse=True)


def test_merging_is_a_decision_by_name_and_can_be_undone() -> None:
    planted = simulate_cards(6, change=0.05, rng=2)
    graph = MoralGraph(planted.cards)
    found = cluster_cards(graph)
    assert {p.other for p in found.proposals} <= set(found.representatives)
    merged = found.merged(graph, by="moderator")
    assert len(merged.values) == len(found.representatives) < len(graph.values)
    assert {merge.by for merge in merged.card_merges.merges} == {"moderator"}
    for number in range(len(merged.card_merges.merges)):
        merged = merged.undo_card_merge(number)
    assert list(merged.values) == list(graph.values)
    assert found.to_frame().num_rows == len(planted.cards) and found.to_json() and "groups" in repr(found)


def test_texts_without_a_vector_are_like_nothing() -> None:
    cards = [ValuesCard("A", "", ["??"]), ValuesCard("B", "", ["!!"]), ValuesCard("C", "", ["MOMENTS of calm"])]
    similar = card_similarities(cards)
    assert similar[0, 1] == similar[0, 2] == 0 and np.allclose(np.diag(similar), 1)
    assert card_similarities([]).shape == (0, 0)


def test_few_cards_and_wrong_settings() -> None:
    one = {"a": ValuesCard("A", "", ["MOMENTS of calm"])}
    assert cluster_cards({}).ids == () and cluster_cards(one).representatives == ("a",)
    for settings in ({"threshold": 0}, {"linkage_method": "x"}, {"compare": "x"}):
        with pytest.raises(UsageError):
            cluster_cards({**one, "b": one["a"]}, **settings)  # pyright: ignore
    with pytest.raises(UsageError):
        find_duplicates(one, most=0)
    with pytest.raises(UsageError):
        simulate_cards(3, change=1.0)
