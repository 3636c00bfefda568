"""STV against a count of single papers in Fractions, worked examples, solid coalitions, and real elections."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations, permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preflib_elections import preflib_profile

from pluralism.errors import UsageError
from pluralism.social_choice import Profile
from pluralism.social_choice.single_transferable_vote import quota_of, single_transferable_vote
from pluralism.testing.collective_strategies import profiles

GOLDEN = Path(__file__).parent / "golden"
WORKED = json.loads((GOLDEN / "transferable_votes.json").read_text())
ELECTED = json.loads((GOLDEN / "public_elections.json").read_text())


def strict_papers(profile: Profile) -> list[tuple[tuple[int, ...], Fraction]]:
    """Every ballot as the mean of the strict ones that break its ties."""
    papers = []
    for order, count in zip(profile.to_orders(), profile.counts.tolist(), strict=True):
        ways = list(product(*(list(permutations(tie)) for tie in order)))
        for way in ways if count else ():
            names = [name for tie in way for name in tie]
            weight = Fraction(count, profile.denominator * len(ways))
            papers.append((tuple(profile.candidates.index(name) for name in names), weight))
    return papers


def plain_count(profile: Profile, seats: int, quota: Fraction, transfer: str) -> set[frozenset[int]]:
    """All committees, by moving one paper at a time and following every tie."""
    papers = strict_papers(profile)
    results: set[frozenset[int]] = set()

    def at(order, hopeful):
        return next((c for c in order if c in hopeful), None)

    def recurse(elected, waiting, hopeful, holder, value, last):
        votes = {c: sum((v for h, v in zip(holder, value, strict=True) if h == c), Fraction(0)) for c in hopeful}
        surplus = dict(waiting)
        for c in [c for c in hopeful if votes[c] >= quota]:
            elected, hopeful = elected | {c}, hopeful - {c}
            if votes[c] > quota:
                surplus[c] = votes[c] - quota
        if len(elected) == seats or len(elected) + len(hopeful) <= seats:
            results.add(frozenset(elected | hopeful) if len(elected) < seats else frozenset(elected))
            return
        if surplus:
            movers = [c for c in surplus if surplus[c] == max(surplus.values())]
        else:
            movers = [c for c in hopeful if votes[c] == min(votes[d] for d in hopeful)]
        for c in movers:
            still = hopeful - {c}
            mine = [i for i, h in enumerate(holder) if h == c]
            factor = Fraction(1)
            if c in surplus and transfer == "weighted-inclusive":
                factor = surplus[c] / sum(value[i] for i in mine)
            elif c in surplus:
                mine = [i for i in mine if i in last[c]]
                movable = sum((value[i] for i in mine if at(papers[i][0], still) is not None), Fraction(0))
                factor = min(Fraction(1), surplus[c] / movable) if movable else Fraction(1)
            holder_, value_, last_ = list(holder), list(value), dict(last)
            got: dict[int, set[int]] = {}
            for i, h in enumerate(holder):
                if h == c:
                    holder_[i] = None
                    if i in mine and (target := at(papers[i][0], still)) is not None:
                        holder_[i], value_[i] = target, value[i] * factor
                        got.setdefault(target, set()).add(i)
            last_.update(got)
            left = {d: s for d, s in surplus.items() if d != c}
            recurse(elected, left, still, holder_, value_, last_)

    everyone = frozenset(range(profile.n_candidates))
    holder = [order[0] for order, _ in papers]
    last = {c: {i for i, h in enumerate(holder) if h == c} for c in everyone}
    recurse(frozenset(), {}, everyone, holder, [v for _, v in papers], last)
    return results


def committees(outcome) -> set[frozenset[int]]:
    return {frozenset(outcome.candidates.index(name) for name in committee) for committee in outcome.committees}


@settings(max_examples=25)
@given(profiles(max_candidates=4, max_ballots=4), st.data())
@pytest.mark.parametrize("transfer", ["weighted-inclusive", "last-parcel"])
def test_the_count_of_single_papers(transfer, profile, data):
    seats = data.draw(st.integers(1, profile.n_candidates))
    quota = data.draw(st.sampled_from(["droop", "hare"]))
    outcome = single_transferable_vote(profile, seats=seats, quota=quota, transfer=transfer, most=1000)
    needed = quota_of(quota, profile.total, seats) / profile.denominator
    assert outcome.complete
    assert committees(outcome) == plain_count(profile, seats, needed, transfer)


@settings(max_examples=25)
@given(profiles(max_candidates=5, ties=False), st.integers(1, 4))
def test_solid_coalitions_get_the_seats_of_their_quotas(profile, seats):
    seats = min(seats, profile.n_candidates)
    outcome = single_transferable_vote(profile, seats=seats, most=1000)
    quota = quota_of("droop", profile.total, seats)
    for size in range(1, profile.n_candidates + 1):
        for coalition in combinations(range(profile.n_candidates), size):
            others = [c for c in range(profile.n_candidates) if c not in coalition]
            solid = 0
            for row, count in zip(profile.levels.tolist(), profile.counts.tolist(), strict=True):
                worst = max(row[c] for c in coalition)
                listed = all(row[c] >= 0 for c in coalition)
                solid += count if listed and all(row[c] < 0 or row[c] > worst for c in others) else 0
            for elected in committees(outcome):
                assert len(elected & set(coalition)) >= min(solid // quota, size)


@pytest.mark.parametrize("case", WORKED, ids=lambda case: case["source"][:30])
def test_worked_examples(case):
    profile = Profile.from_orders(case["orders"], case["counts"])
    assert quota_of("droop", profile.total, case["seats"]) == case["quota"]
    outcome = single_transferable_vote(profile, seats=case["seats"])
    assert outcome.committees == (tuple(name for name in profile.candidates if name in case["elected"]),)


@settings(max_examples=25)
@given(profiles(max_candidates=4, denominator=True), st.integers(1, 3), st.integers(0, 99))
def test_an_order_or_a_draw_leads_to_one_of_the_tied_committees(profile, seats, seed):
    seats = min(seats, profile.n_candidates)
    every = single_transferable_vote(profile, seats=seats, most=1000)
    drawn = single_transferable_vote(profile, seats=seats, rng=seed)
    ordered = single_transferable_vote(profile, seats=seats, order=profile.candidates[::-1], backwards=True)
    assert drawn.unique and drawn.committees[0] in every.committees
    assert ordered.unique and ordered.committees[0] in every.committees


def test_ties_are_followed_in_all_ways_or_settled_as_asked():
    profile = Profile.from_orders([["a"], ["b"], ["c", "b"], ["d", "c"]], counts=[4, 3, 2, 1])
    # d goes out for c, then b and c have 3 each; at the first count c had fewer.
    assert single_transferable_vote(profile, seats=1).committees == (("a",), ("b",))
    assert single_transferable_vote(profile, seats=1, backwards=True).committees == (("b",),)
    assert single_transferable_vote(profile, seats=1, order=["c"]).committees == (("a",),)
    assert not single_transferable_vote(profile, seats=1, most=1).complete


def test_many_candidates_without_votes_are_no_ties():
    names = [f"c{i}" for i in range(3000)]
    profile = Profile.from_orders([["c0", "c2"], ["c1", "c7"]], counts=[6, 2], candidates=names)
    outcome = single_transferable_vote(profile, seats=2)
    assert outcome.committees == (("c0", "c2"),) and outcome.complete
    # Of those without votes one has to be elected, anyone.
    short = single_transferable_vote(profile.only(["c0", "c1", "c8", "c9"]), seats=3)
    assert short.committees == (("c0", "c1", "c8"), ("c0", "c1", "c9"))


def test_units_do_not_change_votes_and_places_cut_off():
    profile = Profile.from_orders([["a", "b"], ["a", "c"], ["b"], ["c"]], counts=[5, 2, 1, 2])
    thirds = Profile(profile.candidates, profile.levels, profile.counts * 3, denominator=3)
    shown = single_transferable_vote.explain(profile, seats=2, quota="hagenbach-bischoff")
    assert shown.to_dict() == single_transferable_vote.explain(thirds, seats=2, quota="hagenbach-bischoff").to_dict()
    cut = single_transferable_vote.explain(profile, seats=2, places=2)
    gains = next(step.data["gains"] for step in cut.steps if "gains" in step.data)
    assert gains == {"b": 5 * Fraction(42, 100), "c": 2 * Fraction(42, 100)}


def test_bad_options_are_refused():
    profile = Profile.from_orders([["a", "b"]])
    for options in (
        {"seats": 0},
        {"seats": 3},
        {"seats": True},
        {"seats": 1, "quota": "imperiali"},
        {"seats": 1, "transfer": "meek"},
        {"seats": 1, "places": -1},
        {"seats": 1, "order": ["a"], "rng": 0},
        {"seats": 1, "order": ["z"]},
        {"seats": 1, "most": 0},
    ):
        with pytest.raises(UsageError):
            single_transferable_vote(profile, **options)


@pytest.mark.parametrize("election", ELECTED, ids=lambda election: election["title"])
def test_public_elections_have_the_published_result(election, shared_data):
    profile = preflib_profile(shared_data, election["id"])
    for options in election["options"]:
        outcome = single_transferable_vote(profile, seats=len(election["elected"]), **options)
        assert outcome.unique
        assert set(outcome.committees[0]) == set(election["elected"])
