"""All rules on all elections of PrefLib: published outcomes, agreement on Condorcet winners, ground truth."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest

from pluralism.social_choice import ApprovalProfile, Lottery, Profile, approval, find_rule, rules
from pluralism.social_choice.majority import condorcet_winner, smith_set

CONDORCET = [name for name, rule in rules().items() if rule.takes is Profile and rule.axioms.get("condorcet")]
RANKED = [name for name, rule in rules().items() if rule.takes is Profile]


@pytest.fixture(scope="module")
def elections(shared_data):
    """Each election by its identifier: its row, and its profile of rankings or of approvals."""
    folder = shared_data / "preflib"
    names, ballots = defaultdict(list), defaultdict(list)
    for row in pq.read_table(folder / "alternatives.parquet").to_pylist():
        names[row["election_id"]].append(row)
    for row in pq.read_table(folder / "ballots.parquet").to_pylist():
        ballots[row["election_id"]].append(row)
    return {
        row["election_id"]: (row, profile_of(row, names[row["election_id"]], ballots[row["election_id"]]))
        for row in pq.read_table(folder / "elections.parquet").to_pylist()
    }


def profile_of(election, alternatives, ballots):
    place = {row["alt_id"]: i for i, row in enumerate(alternatives)}
    labels = [row["name"] for row in alternatives]
    if len(set(labels)) < len(labels):
        labels = [f"{row['alt_id']} {row['name']}" for row in alternatives]
    levels = np.full((len(ballots), len(labels)), -1)
    for i, ballot in enumerate(ballots):
        for level, tie in enumerate(ballot["ranking"]):
            levels[i, [place[alternative] for alternative in tie]] = level
    counts = [ballot["count"] for ballot in ballots]
    if election["data_type"] == "cat":
        return ApprovalProfile(labels, levels == 0, counts)
    return Profile(labels, levels, counts)


def test_burlington_2009_has_three_winners(elections):
    """Kiss was elected in rounds, Wright led the first places, and Montroll beat everybody in pairs."""
    _, profile = elections["00005-00000002.toi"]
    assert find_rule("instant-runoff")(profile).winners == ("Bob Kiss",)
    assert find_rule("plurality")(profile).winners == ("Kurt Wright",)
    assert profile.candidates[condorcet_winner(profile.margins)] == "Andy Montroll"
    for name in CONDORCET:
        assert find_rule(name)(profile).winners == ("Andy Montroll",), name


@pytest.mark.parametrize(
    ("election", "rule", "winner"),
    [
        ("00005-00000001.toi", "instant-runoff", "Bob Kiss"),
        ("00022-00000001.toi", "instant-runoff", "Stephen H. Cassidy"),
        ("00022-00000002.toi", "instant-runoff", "Ursula Reed"),
        ("00022-00000003.toi", "instant-runoff", "Benny Lee"),
        ("00002-00000008.soi", "schulze", "Swirl"),
    ],
)
def test_published_winners(elections, election, rule, winner):
    """Mayor of Burlington 2006; mayor and council of San Leandro 2010 and 2012; the logo of Debian 1999."""
    assert find_rule(rule)(elections[election][1]).winners == (winner,)


def test_the_fewest_dots_are_found_by_every_rule(elections):
    """Crowds order four pictures by their dots; 200 is the truth."""
    found = [profile for row, profile in elections.values() if row["family"] == "dots"]
    assert len(found) == 4
    for profile in found:
        for name in RANKED:
            assert find_rule(name)(profile).winners == ("200",), name
        assert find_rule("kemeny")(profile).ranking == tuple((dots,) for dots in sorted(profile.candidates))


@pytest.mark.slow
def test_every_rule_on_every_election(elections):
    ranked = {key: profile for key, (_, profile) in elections.items() if isinstance(profile, Profile)}
    assert len(elections) == 143 and len(ranked) == 139
    inexact = []
    for key, profile in ranked.items():
        best = condorcet_winner(profile.margins)
        smith = {profile.candidates[c] for c in smith_set(profile.margins)}
        for name in RANKED:
            rule = find_rule(name)
            outcome = rule(profile)
            assert outcome.winners, (key, name)
            if isinstance(outcome, Lottery):
                assert outcome.value == pytest.approx(0.5, abs=1e-10)
            if outcome.notes:
                inexact.append((key, name))
            if rule.axioms.get("condorcet") and best is not None:
                assert outcome.winners == (profile.candidates[best],), (key, name)
            if rule.axioms.get("smith"):
                assert set(outcome.winners) <= smith, (key, name)
        assert set(find_rule("ranked-pairs")(profile).winners) <= set(find_rule("split-cycle")(profile).winners)
        assert set(find_rule("schulze")(profile).winners) <= set(find_rule("split-cycle")(profile).winners)
    # The two largest: 36 and 48 places in the order of 392 people who list few of them.
    assert {key for key, _ in inexact} <= {"00034-00000001.soi", "00034-00000002.soi"}


def test_approvals(elections):
    for row, profile in elections.values():
        if isinstance(profile, ApprovalProfile):
            outcome = approval(profile)
            assert max(outcome.scores) == profile.scores.max(), row["title"]
            assert profile.n_voters == row["n_voters"]
