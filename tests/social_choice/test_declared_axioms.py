"""What rules declare of themselves: a stored counterexample to every axiom denied, a search for one to every other."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from pluralism.social_choice import Profile, find_rule, rules
from pluralism.social_choice.axioms import audit, clone_sets, find_counterexample
from pluralism.social_choice.axioms.variable_electorate import prefers

CASES = json.loads((Path(__file__).parent / "golden" / "counterexamples.json").read_text(encoding="utf-8"))
RANKED = {name: rule for name, rule in rules().items() if rule.takes is Profile}
OF_ONE_PROFILE = ("majority", "condorcet", "condorcet_loser", "smith", "pareto", "reversal_symmetry")


def parsed(document) -> Profile:
    """A profile from orders such as "a(bc)d"."""
    orders = []
    for text in document["orders"]:
        order, tie = [], None
        for letter in text:
            if letter == "(":
                tie = []
            elif letter == ")":
                order.append(tie)
                tie = None
            else:
                (order if tie is None else tie).append(letter)
        orders.append(order)
    return Profile.from_orders(orders, document["counts"], candidates=document["candidates"])


def ballots(profile) -> dict[tuple[int, ...], int]:
    found = defaultdict(int)
    for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
        found[tuple(row)] += count
    return dict(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['rule']} {case['axiom']}")
def test_counterexamples(case):
    rule, axiom = find_rule(case["rule"]), case["axiom"]
    assert rule.axioms[axiom] is False
    found = [parsed(document) for document in case["profiles"]]
    winners = [set(rule(profile).winners) for profile in found]
    assert winners == [set(names) for names in case["winners"]]
    if axiom in OF_ONE_PROFILE:
        assert audit(rule, found[0])[axiom].verdict == "violated"
    else:
        assert VIOLATES[axiom](found, winners)


def violates_monotonicity(found, winners) -> bool:
    """A winner loses although each ballot is as before but for the winner's own place, which is no worse."""
    before, after = found
    return any(raised(before, after, before.candidates.index(name)) for name in winners[0] - winners[1])


def raised(before, after, candidate) -> bool:
    places = []
    for profile in (before, after):
        by_rest = defaultdict(list)
        for row, count in ballots(profile).items():
            rest = tuple(np.unique(np.delete(row, candidate), return_inverse=True)[1].tolist())
            # Ballots that have the others alike differ in how many of them they put above the candidate.
            above = sum(level < row[candidate] for level in row)
            by_rest[rest] += [above] * count
        places.append({rest: sorted(above) for rest, above in by_rest.items()})
    return places[0].keys() == places[1].keys() and all(
        len(places[0][rest]) == len(places[1][rest])
        and all(new <= old for old, new in zip(places[0][rest], places[1][rest], strict=True))
        for rest in places[0]
    )


def violates_participation(found, winners) -> bool:
    """Voters who all vote alike like the winners better if they stay at home."""
    fewer, more = ballots(found[0]), ballots(found[1])
    ((row, count),) = [(row, n - fewer.get(row, 0)) for row, n in more.items() if n != fewer.get(row, 0)]
    without, together = (found[0].index(sorted(names)).tolist() for names in winners)
    return count > 0 and prefers(np.array(row, dtype=np.int16), "below", without, together)


def violates_reinforcement(found, winners) -> bool:
    """Two electorates have winners in common, which are not those of both together."""
    first, second, both = map(ballots, found)
    joined = {row: first.get(row, 0) + second.get(row, 0) for row in first.keys() | second.keys()}
    common = winners[0] & winners[1]
    return joined == both and bool(common) and common != winners[2]


def violates_clone_independence(found, winners) -> bool:
    """Clones of one candidate decide whether others win, or whether one of them does."""
    fewer, more = found
    kept = [name for name in more.candidates if name in fewer.candidates]
    gone = set(more.candidates) - set(fewer.candidates)
    np.testing.assert_array_equal(more.only(kept).support, fewer.support)
    for clones in map(set, clone_sets(more)):
        if gone < clones and len(clones - gone) == 1:
            (one,) = clones - gone
            others = set(fewer.candidates) - {one}
            if winners[0] & others != winners[1] & others or (one in winners[0]) != bool(winners[1] & clones):
                return True
    return False


VIOLATES = {
    "clone_independence": violates_clone_independence,
    "monotonicity": violates_monotonicity,
    "participation": violates_participation,
    "reinforcement": violates_reinforcement,
}


def test_every_axiom_denied_has_a_counterexample():
    denied = {(name, axiom) for name, rule in RANKED.items() for axiom, holds in rule.axioms.items() if not holds}
    stored = {(case["rule"], case["axiom"]) for case in CASES}
    assert stored == {pair for pair in denied if pair[0] in {case["rule"] for case in CASES}}
    assert {name for name, _ in denied} == {name for name, _ in stored}


@pytest.mark.slow
@pytest.mark.parametrize("name", RANKED)
def test_no_counterexample_to_what_is_claimed(name):
    for axiom, holds in RANKED[name].axioms.items():
        for seed, sizes in enumerate(((2, 3), (3, 4))) if holds else ():
            check = find_counterexample(RANKED[name], axiom, n_candidates=sizes, profiles=120, tries=8, rng=seed)
            assert check.verdict != "violated", (axiom, check.text)
