"""Between groups, and between discretion and a moral graph: planted orders are told apart, with both uncertainties."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from pluralism.data import Comparisons
from pluralism.discretion import (
    PrinciplePreferences,
    Verdicts,
    audit_discretion,
    between_groups,
    graph_discrepancy,
    values_as_principles,
)
from pluralism.elicitation import MoralGraph, ValuesCard, aggregate
from pluralism.errors import UsageError

NAMES = ("candour", "tact", "care", "wit")
MAJORITY = np.array([1.5, 0.5, -0.5, -1.5])


def make(n, seed, **shares):
    """Comparisons in which two principles conflict, with verdicts by the weights of each annotator."""
    rng = np.random.default_rng(seed)
    signs = np.zeros((n, 4))
    for row in range(n):
        i, j = rng.choice(4, 2, replace=False)
        signs[row, i], signs[row, j] = 1, -1
    weights = {"many": MAJORITY, "few": -MAJORITY, "pooled": 0.6 * MAJORITY}
    verdicts = [
        Verdicts(name, (rng.random(n) < expit(signs @ w)).astype(float), share=shares.get(name))
        for name, w in weights.items()
    ]
    data = Comparisons.from_arrays(left=np.arange(n), right=np.arange(n) + n)
    return data, PrinciplePreferences.from_signs(NAMES, signs), verdicts


@pytest.fixture(scope="module")
def audit():
    return audit_discretion(*make(500, 0, many=0.8, few=0.2), n_bootstrap=200)


def test_a_minority_that_ranks_otherwise_is_found_and_the_pooled_model_follows_the_majority(audit):
    found = between_groups(audit, ["few", "many"], pooled="pooled")
    assert found.groups == ("many", "few")
    assert found.minority[0] == 1.0
    assert found.minority[1][0] > 0.6
    assert found.to_pooled.tolist() == [0.0, 1.0]
    value, (low, high) = found.follows
    assert low > 0.5
    assert low <= value <= high
    assert "pooled follows the discretion of many" in found.answer
    contrast = {row["principle"]: row for row in found.contrast.to_pylist()}
    assert contrast["candour"]["difference"] < contrast["candour"]["high"] < 0
    assert json.loads(found.to_json())["groups"][0]["group"] == "many"
    assert found.to_frame().num_rows == 2


def test_without_a_pooled_annotator_only_the_groups_are_compared(audit):
    found = between_groups(audit, ["few", "many"])
    assert np.isnan(found.follows[0])
    assert "follows" not in found.answer
    with pytest.raises(UsageError, match="shares are known"):
        between_groups(audit, ["few", "pooled"])
    with pytest.raises(UsageError, match="no annotator 'none'"):
        between_groups(audit, ["few", "none"])


def test_groups_with_the_same_order_are_not_told_apart():
    data, found, (many, _, _) = make(400, 1, many=0.7)
    rng = np.random.default_rng(5)
    twin = Verdicts("twin", (rng.random(400) < expit(found.left @ MAJORITY - found.right @ MAJORITY)) * 1.0, share=0.3)
    audit = audit_discretion(data, found, [many, twin], n_bootstrap=200)
    value, (low, _) = between_groups(audit, ["many", "twin"]).minority
    assert value < 0.2
    assert low == 0.0


def graph_of(order, people=12):
    cards = {name: ValuesCard(name, "", [f"MOMENTS of {name}", f"SIGNS of {name}"]) for name in NAMES}
    votes = [
        {
            "participant": f"p{p}",
            "source": order[k + 1],
            "wiser": order[k],
            "answer": "upgrade" if p % 6 else "no_upgrade",
        }
        for p in range(people)
        for k in range(len(order) - 1)
    ]
    return MoralGraph(cards).with_votes(votes)


def test_discretion_is_held_against_the_elicited_order(audit):
    graph = graph_of(NAMES)
    assert values_as_principles(graph.cards).ids == NAMES
    ranking = aggregate(graph, rule="bradley-terry", n_bootstrap=200)
    assert ranking.order == NAMES
    found = graph_discrepancy(audit, ranking)
    assert dict(zip(found.annotators, found.value, strict=True)) == {"many": 0.0, "few": 1.0, "pooled": 0.0}
    assert found.pairs == (6, 6, 6)
    assert found.interval[1, 0] > 0.5
    assert found.interval[0, 1] < 0.5
    sure = graph_discrepancy(audit, aggregate(graph, rule="bradley-terry"))
    # the votes are few: leaving their uncertainty out makes the intervals narrower
    assert np.ptp(sure.interval, axis=1).sum() < np.ptp(found.interval, axis=1).sum()
    assert json.loads(found.to_json())["rule"] == "bradley-terry"
    assert "few 1.00" in repr(found)


def test_only_values_that_are_comparable_on_both_sides_count(audit):
    cards = {name: ValuesCard(name, "", [f"MOMENTS of {name}"]) for name in (*NAMES, "other")}
    votes = [
        {"participant": p, "source": a, "wiser": b, "answer": "upgrade"}
        for p in "abc"
        for a, b in (("tact", "candour"), ("wit", "care"))
    ]
    ranking = aggregate(MoralGraph(cards).with_votes(votes), rule="bradley-terry")
    found = graph_discrepancy(audit, ranking)
    assert found.values == NAMES
    assert found.pairs == (2, 2, 2)
    strangers = {name: ValuesCard(name, "", [f"MOMENTS of {name}"]) for name in ("x", "y")}
    vote = {"participant": "a", "source": "x", "wiser": "y", "answer": "upgrade"}
    with pytest.raises(UsageError, match="an order needs two"):
        graph_discrepancy(audit, aggregate(MoralGraph(strangers).with_votes([vote]), rule="bradley-terry"))
