"""Axioms: sets against their definitions, known paradoxes, counterexamples that hold up, and what rules declare."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from pluralism.errors import UsageError
from pluralism.social_choice import Outcome, Profile, borda, find_rule, rules
from pluralism.social_choice.axioms import (
    audit,
    clone_sets,
    condorcet_loser,
    find_counterexample,
    schwartz_set,
    with_clone,
)
from pluralism.social_choice.majority import smith_set
from pluralism.social_choice.rule import AXIOMS
from pluralism.testing.collective_strategies import profiles

PARADOXES = json.loads((Path(__file__).parent / "golden" / "paradoxes.json").read_text())
OF_PROFILES = sorted(name for name, rule in rules().items() if rule.takes is Profile)


def dictator(profile: Profile) -> Outcome:
    """The favourites of whoever is listed first."""
    first = profile.levels[np.flatnonzero(profile.counts)[0]] == 0
    winners = tuple(name for name, top in zip(profile.candidates, first, strict=True) if top)
    return Outcome("dictator", profile.candidates, winners)


def incumbent(profile: Profile) -> Outcome:
    """Who is listed first, whatever anybody wants."""
    return Outcome("incumbent", profile.candidates, profile.candidates[:1])


def everybody(profile: Profile) -> Outcome:
    return Outcome("everybody", profile.candidates, profile.candidates)


def fewest_firsts(profile: Profile) -> Outcome:
    """A rule that is against everything: the fewest first places win."""
    votes = profile.counts @ (profile.levels == 0)
    winners = tuple(name for name, n in zip(profile.candidates, votes, strict=True) if n == votes.min())
    return Outcome("fewest", profile.candidates, winners)


def plain_clones(profile: Profile) -> set[tuple[str, ...]]:
    m, found = profile.n_candidates, set()
    for size in range(2, m):
        for some in combinations(range(m), size):
            fits = True
            for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
                place = [m if level < 0 else level for level in row]
                for other in set(range(m)) - set(some) if count else ():
                    above = [place[other] < place[c] for c in some]
                    tied = [place[other] == place[c] for c in some]
                    fits &= not any(tied) and (all(above) or not any(above))
            if fits:
                found.add(tuple(profile.candidates[c] for c in some))
    return found


@settings(max_examples=40)
@given(profiles(max_candidates=5, max_ballots=3))
def test_clone_sets_are_those_of_the_definition(profile):
    found = clone_sets(profile)
    assert len(found) == len(set(found))
    assert set(found) == plain_clones(profile)


@settings(max_examples=40)
@given(profiles(max_candidates=5))
def test_schwartz_set_and_condorcet_loser_by_definition(profile):
    beats, m = profile.margins > 0, profile.n_candidates
    undominated = [
        set(some)
        for size in range(1, m + 1)
        for some in combinations(range(m), size)
        if not any(beats[x, c] for c in some for x in range(m) if x not in some)
    ]
    minimal = [some for some in undominated if not any(other < some for other in undominated)]
    assert schwartz_set(profile.margins) == sorted(set().union(*minimal))
    assert set(schwartz_set(profile.margins)) <= set(smith_set(profile.margins))
    losers = [c for c in range(m) if m > 1 and all(beats[x, c] for x in range(m) if x != c)]
    assert condorcet_loser(profile.margins) == (losers[0] if losers else None)


@pytest.mark.parametrize("case", PARADOXES, ids=lambda case: f"{case['rule']} {case['axiom']}")
def test_known_paradoxes(case):
    profile = Profile.from_orders([list(order) for order in case["orders"]], case["counts"])
    report = audit(find_rule(case["rule"]), profile, axioms=[case["axiom"]])
    assert report.winners == tuple(case["winners"])
    assert report[case["axiom"]].verdict == "violated"


def ballots_of(profile: Profile) -> Counter:
    out: Counter = Counter()
    for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
        out[tuple(row)] += count
    return out


def others_on(profile: Profile, name: str) -> Counter:
    """The ballots without one candidate."""
    out: Counter = Counter()
    for order, count in zip(profile.to_orders(), profile.counts.tolist(), strict=True):
        rest = tuple(tuple(c for c in tie if c != name) for tie in order)
        out[tuple(tie for tie in rest if tie)] += count
    return out


def place_in(order: list[list[str]], name: str) -> int:
    return next((i for i, tie in enumerate(order) if name in tie), len(order))


def test_counterexample_to_monotonicity_holds_up():
    found = find_counterexample(
        find_rule("instant-runoff"), "monotonicity", n_candidates=(3, 3), n_ballots=(4, 5), rng=1
    )
    before, after = found.counterexample.profiles
    (winner,) = set(found.counterexample.winners[0]) - set(found.counterexample.winners[1])
    assert find_rule("instant-runoff")(before).winners == found.counterexample.winners[0]
    assert find_rule("instant-runoff")(after).winners == found.counterexample.winners[1]
    assert others_on(before, winner) == others_on(after, winner)
    assert after.support[after.candidates.index(winner)].sum() > before.support[before.candidates.index(winner)].sum()
    assert (after.support[after.candidates.index(winner)] >= before.support[before.candidates.index(winner)]).all()


def test_counterexample_to_participation_holds_up():
    found = find_counterexample(find_rule("instant-runoff"), "participation", rng=1)
    fewer, more = found.counterexample.profiles
    without, together = found.counterexample.winners
    assert find_rule("instant-runoff")(fewer).winners == without
    assert find_rule("instant-runoff")(more).winners == together
    ((row, _),) = (ballots_of(more) - ballots_of(fewer)).items()
    assert max(row[more.candidates.index(name)] for name in without) <= min(
        row[more.candidates.index(name)] for name in together
    )
    assert not ballots_of(fewer) - ballots_of(more) and without != together


def test_counterexample_to_reinforcement_holds_up():
    found = find_counterexample(find_rule("copeland"), "reinforcement", rng=1)
    first, second, both = found.counterexample.profiles
    assert ballots_of(first) + ballots_of(second) == ballots_of(both)
    here, there, together = (find_rule("copeland")(profile).winners for profile in (first, second, both))
    assert (here, there, together) == found.counterexample.winners
    assert set(here) & set(there) and set(here) & set(there) != set(together)


def test_counterexample_to_clone_independence_holds_up():
    found = find_counterexample(borda, "clone_independence", rng=1)
    fewer, more = found.counterexample.profiles
    extra = set(more.candidates) - set(fewer.candidates)
    clones = [some for some in clone_sets(more) if extra < set(some)] or [tuple(more.candidates)]
    assert clones and borda(fewer).winners != borda(more).winners
    np.testing.assert_array_equal(more.without(extra).support, fewer.support)


@settings(max_examples=30)
@given(profiles(max_candidates=4, unlisted="below"))
def test_an_added_clone_is_a_clone(profile):
    more = with_clone(profile, "a", np.random.default_rng(0))
    np.testing.assert_array_equal(more.without(["a'"]).support, profile.support)
    np.testing.assert_array_equal(more.total, profile.total)
    if profile.n_candidates > 1 and profile.complete and profile.strict:
        assert ("a", "a'") in clone_sets(more)


def test_rules_that_are_against_everything():
    profile = Profile.from_orders(["abcd", "bacd", "dcba"], [5, 2, 2])
    report = audit(fewest_firsts, profile, tries=30, rng=0)
    assert report.winners == ("c",)
    for axiom in ("majority", "condorcet", "smith", "monotonicity", "clone_independence"):
        assert report[axiom].verdict == "violated", axiom
    assert audit(dictator, profile)["anonymity"].verdict == "violated"
    assert audit(incumbent, profile)["neutrality"].verdict == "violated"
    assert audit(incumbent, Profile.from_orders(["ba"], candidates="ab"))["pareto"].verdict == "violated"
    assert audit(incumbent, profile)["reversal_symmetry"].verdict == "violated"
    assert audit(everybody, Profile.from_orders(["ab", "ba"], [1, 2]))["condorcet_loser"].verdict == "violated"
    assert audit(dictator, profile)["participation"].verdict != "holds"


def test_an_axiom_that_asks_for_nothing():
    cycle = Profile.from_orders(["abc", "bca", "cab"])
    report = audit(everybody, cycle)
    assert {report[axiom].verdict for axiom in ("majority", "condorcet", "condorcet_loser", "smith", "pareto")} == {
        "vacuous"
    }
    assert not report.violated
    alone = audit(borda, Profile.from_orders([["a"]]))
    assert alone["monotonicity"].verdict == "vacuous" and not alone.violated


@pytest.mark.parametrize("name", OF_PROFILES)
def test_rules_do_not_violate_what_they_declare(name):
    rule = find_rule(name)
    for axiom in AXIOMS:
        if rule.axioms.get(axiom):
            check = find_counterexample(rule, axiom, profiles=12, tries=4, n_ballots=(1, 5), rng=5)
            assert check.verdict == "not_refuted", check


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_PROFILES)
def test_rules_violate_what_they_declare_to_fail(name):
    rule = find_rule(name)
    small = {"n_candidates": (3, 4), "n_ballots": (2, 7), "tries": 8, "rng": 2}
    large = {"n_candidates": (4, 5), "n_ballots": (4, 9), "tries": 8, "rng": 0}
    for axiom, kept in rule.axioms.items():
        if kept:
            assert find_counterexample(rule, axiom, profiles=60, **small).verdict == "not_refuted", axiom
        elif not (rule.name == "maximal-lottery" and axiom == "monotonicity"):  # not checked of lotteries
            searches = (find_counterexample(rule, axiom, profiles=1500, **sizes) for sizes in (small, large))
            assert any(search.verdict == "violated" for search in searches), axiom


def test_lotteries_are_audited_by_what_they_can_draw():
    report = audit(find_rule("maximal-lottery"), Profile.from_orders(["abc", "acb", "bca"]), tries=5)
    assert report["condorcet"].verdict == "holds" and report["reinforcement"].verdict == "vacuous"


@settings(max_examples=20)
@given(profiles(min_candidates=2, max_candidates=4))
def test_reports_of_any_profile_are_tables_and_json(profile):
    report = audit(borda, profile, tries=3)
    assert report.to_frame().num_rows == len(AXIOMS)
    assert json.loads(report.to_json())["winners"] == list(report.winners)
    assert report.winners == borda(profile).winners
    assert repr(report).count("\n") == len(AXIOMS)
    for check in report.checks:
        assert (check.counterexample is not None) == (check.verdict == "violated")
        if check.counterexample is not None:
            for document, winners in zip(
                check.to_dict()["counterexample"]["profiles"], check.counterexample.winners, strict=True
            ):
                assert borda(Profile.from_dict(document)).winners == winners


def test_bad_use_is_refused():
    profile = Profile.from_orders(["ab"])
    with pytest.raises(UsageError, match="no axiom"):
        audit(borda, profile, axioms=["fairness"])
    with pytest.raises(UsageError, match="ranges"):
        find_counterexample(borda, "majority", n_candidates=(3, 2))
    with pytest.raises(UsageError, match="no check"):
        audit(borda, profile, axioms=["majority"])["pareto"]
    with pytest.raises(UsageError, match="not one winner"):
        audit(lambda profile: profile, profile)
