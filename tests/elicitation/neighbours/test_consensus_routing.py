"""Routing as in Polis: the formula by hand, extremity by projection, draws, and what it finds sooner than chance."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pluralism.data import Items, Ratings
from pluralism.elicitation.neighbours.consensus_routing import extremity, statement_priorities
from pluralism.errors import DataError, UsageError
from pluralism.models.membership import Membership


def conversation(opinion: np.ndarray, groups: np.ndarray | None = None) -> Ratings:
    """Votes 1, -1, 0, or NaN for unseen."""
    user, item = np.nonzero(~np.isnan(opinion))
    return Ratings(
        items=Items([f"s{i}" for i in range(opinion.shape[1])]),
        users=[f"u{u}" for u in range(len(opinion))],
        user=user,
        item=item,
        value=opinion[user, item],
        group=None if groups is None else groups[user],
        groups=None if groups is None else [f"g{k}" for k in range(groups.max() + 1)],
    )


def drawn(n: int, m: int, rng: np.random.Generator, unseen: float = 0.3) -> np.ndarray:
    opinion = rng.choice([1.0, -1.0, 0.0], p=[0.5, 0.35, 0.15], size=(n, m))
    opinion[rng.random((n, m)) < unseen] = np.nan
    return opinion


def test_priority_by_hand() -> None:
    opinion = drawn(20, 6, np.random.default_rng(0))
    opinion[:, 5] = np.nan  # nobody has seen the last one
    opinion[:, 4] = 0.0  # everybody passes on the one before
    opinion[0, 4] = np.nan
    found = statement_priorities(conversation(opinion), meta=["s1"], exclude=["s2"])
    far = extremity(opinion)
    for i in (0, 3, 4, 5):
        column = opinion[:, i][~np.isnan(opinion[:, i])]
        seen, agrees, passes = len(column), np.sum(column == 1), np.sum(column == 0)
        importance = (1 - (passes + 1) / (seen + 2)) * (1 + far[i]) * (agrees + 1) / (seen + 2)
        assert found.priority[i] == pytest.approx((importance * (1 + 8 * 2 ** (-seen / 5))) ** 2)
    assert found.priority[1] == 49 and found.priority[2] == 0
    assert found.priority[5] == pytest.approx((0.5 * 0.5 * 9) ** 2) and far[5] == 0
    assert found.priority[4] < found.priority[[0, 3, 5]].min()
    assert found.to_frame()["priority"].to_pylist() == sorted(found.priority, reverse=True)
    assert "s1" in repr(found) and '"agreement": "everybody"' in found.to_json()


def test_extremity_is_the_length_of_a_projected_vote() -> None:
    rng = np.random.default_rng(1)
    opinion = drawn(60, 12, rng)
    opinion = opinion[(~np.isnan(opinion)).sum(axis=1) >= 7]
    mean = np.nanmean(opinion, axis=0)
    centred = np.where(np.isnan(opinion), 0, opinion - mean)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    plane = vectors[:, np.argsort(values)[-2:]]
    for t in range(12):
        # one vote, to agree with t: the rest is unseen
        person = np.zeros(12)
        person[t] = 1 - mean[t]
        assert extremity(opinion)[t] == pytest.approx(np.linalg.norm(np.sqrt(12 / 1) * person @ plane))
    # people with few votes are left out, as long as there are enough others
    few = np.full((40, 12), np.nan)
    few[:, :2] = 1.0
    assert np.allclose(extremity(np.vstack([opinion, few])), extremity(opinion))
    assert extremity(np.full((5, 3), np.nan)).tolist() == [0, 0, 0]
    assert extremity(np.ones((30, 3))).tolist() == [0, 0, 0]


def test_draws_are_in_proportion_and_of_what_is_not_seen() -> None:
    opinion = drawn(20, 4, np.random.default_rng(0), unseen=0.0)
    opinion[0, [0, 2]] = np.nan
    found = statement_priorities(conversation(opinion), exclude=["s3"])
    assert {found.draw(9, "u0", rng=seed) for seed in range(40)} == {("s0", "s2"), ("s2", "s0")}
    assert found.draw(3, "u1", rng=0) == ()
    first = Counter(found.draw(1, "somebody new", rng=seed)[0] for seed in range(3000))
    assert set(first) == {"s0", "s1", "s2"}
    share = found.priority[:3] / found.priority[:3].sum()
    for i in range(3):
        assert first[f"s{i}"] / 3000 == pytest.approx(share[i], abs=0.03)
    assert len(set(found.draw(3, rng=0))) == 3


def test_agreement_of_all_groups_counts_more_than_that_of_a_large_one() -> None:
    groups = np.repeat([0, 1], [80, 20])
    opinion = np.empty((100, 4))
    opinion[:, 0] = np.where(groups == 0, 1, -1)  # the large group's
    opinion[:, 1] = np.tile([1, 1, 1, -1], 25)  # three in four of both
    opinion[:, 2], opinion[:, 3] = np.tile([1, -1], 50), -1
    plain = statement_priorities(conversation(opinion, groups))
    informed = statement_priorities(conversation(opinion, groups), agreement="group-informed")
    assert plain.agree[0] > plain.agree[1] and informed.agree[0] < informed.agree[1]
    assert informed.agree[0] == pytest.approx(np.sqrt(81 / 82 * 1 / 22))
    known = Membership(pa.array([f"u{i}" for i in range(100)]), np.eye(2)[groups], np.ones(100, dtype=int))
    same = statement_priorities(conversation(opinion), known, agreement="group-informed")
    assert same.priority == pytest.approx(informed.priority)
    for wrong in ({"agreement": "x"}, {"meta": ["s9"]}, {"agreement": "group-informed"}):
        with pytest.raises(UsageError):
            statement_priorities(conversation(opinion), **wrong)  # pyright: ignore
    with pytest.raises(UsageError):
        plain.draw(0)


def test_a_second_vote_is_refused() -> None:
    votes = conversation(np.ones((2, 2)))
    twice = Ratings(votes.items, votes.users, [0, 0], [1, 1], [1.0, -1.0])
    with pytest.raises(DataError, match="more than once"):
        statement_priorities(twice)


def test_routing_shows_what_unites_more_often_than_chance() -> None:
    """Two groups; a third of 30 statements unite them. People see six statements each, ten people at a time."""
    united = {"routed": 0.0, "random": 0.0}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.05, 0.6, size=(2, 30))
        p[0, 10:20] = rng.uniform(0.8, 0.95, size=10)  # of one group alone
        p[:, :10] = rng.uniform(0.8, 0.95, size=(2, 10))  # of both
        for way in united:
            opinion = np.full((160, 30), np.nan)
            groups = rng.permutation(np.arange(160) % 2)
            for first in range(0, 160, 10):
                if first > 0:
                    so_far = conversation(opinion[:first], groups[:first])
                    ways = statement_priorities(so_far, agreement="group-informed")
                for person in range(first, first + 10):
                    shown = rng.permutation(30)[:6]
                    if way == "routed" and first > 0:
                        shown = np.array([int(name[1:]) for name in ways.draw(6, rng=rng)])
                    opinion[person, shown] = np.where(rng.random(6) < p[groups[person], shown], 1.0, -1.0)
            seen = ~np.isnan(opinion[80:])
            united[way] += seen[:, :10].sum() / seen.sum() / 6
    assert united["random"] == pytest.approx(1 / 3, abs=0.02) and united["routed"] > 0.39


def test_priorities_of_a_real_conversation(shared_data) -> None:
    folder = shared_data / "polis"
    votes = pq.read_table(folder / "votes.parquet")
    name = pc.value_counts(votes["conversation"]).to_pylist()[0]["values"]
    votes = votes.filter(pc.equal(votes["conversation"], name))
    people, person = np.unique(votes["participant_id"].to_numpy(), return_inverse=True)
    ids, statement = np.unique(votes["comment_id"].to_numpy(), return_inverse=True)
    opinion = np.full((len(people), len(ids)), np.nan)
    opinion[person, statement] = votes["vote"].to_numpy()
    found = statement_priorities(conversation(opinion))
    assert np.isfinite(found.priority).all() and (found.priority > 0).all() and found.extremity.max() < 20
    shown = found.draw(3, "u0", rng=0)
    assert not any(~np.isnan(opinion[0, int(one[1:])]) for one in shown)
