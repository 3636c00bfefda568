"""Polis' statistics: closed forms, a plain count, what unites and what sets apart, and real conversations."""

from __future__ import annotations

import json
from math import prod, sqrt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data import Items, Ratings
from pluralism.errors import DataError, UsageError
from pluralism.models.membership import Membership
from pluralism.social_choice.polis_consensus import polis_consensus
from pluralism.social_choice.proportion_tests import proportion_z, two_proportions_z


def conversation(matrix, groups) -> Ratings:
    """Votes 1, -1, 0 (pass) or None (not seen) of people in groups, -1 being none."""
    names = sorted({g for g in groups if g >= 0})
    rows = [(u, i, v) for u, row in enumerate(matrix) for i, v in enumerate(row) if v is not None]
    return Ratings(
        items=Items([f"s{i}" for i in range(len(matrix[0]))], texts=[f"statement {i}" for i in range(len(matrix[0]))]),
        users=[f"u{u}" for u in range(len(matrix))],
        user=np.array([u for u, _, _ in rows], dtype=np.int64),
        item=np.array([i for _, i, _ in rows], dtype=np.int64),
        value=np.array([v for _, _, v in rows], dtype=float),
        group=np.array([names.index(groups[u]) if groups[u] >= 0 else -1 for u, _, _ in rows], dtype=np.int64),
        groups=[f"g{name}" for name in names],
        scale=(-1, 1),
    )


@st.composite
def conversations(draw):
    people, statements = draw(st.integers(2, 9)), draw(st.integers(1, 4))
    vote = st.sampled_from([1, 1, -1, -1, 0, None])
    matrix = [draw(st.lists(vote, min_size=statements, max_size=statements)) for _ in range(people)]
    matrix[0][0], matrix[1][0] = 1, -1
    groups = [0, 1, *(draw(st.integers(-1, 2)) for _ in range(people - 2))]
    # A group whose people never voted is not known to the ratings.
    groups = [g if any(v is not None for v in row) else -1 for g, row in zip(groups, matrix, strict=True)]
    return matrix, groups


@settings(max_examples=40)
@given(conversations())
def test_statistics_of_a_plain_count(case):
    matrix, groups = case
    found = polis_consensus(conversation(matrix, groups))
    names = sorted({g for g in groups if g >= 0})
    for i in range(len(matrix[0])):
        cells = {}
        for g in names:
            votes = [row[i] for row, group in zip(matrix, groups, strict=True) if group == g and row[i] is not None]
            cells[g] = (votes.count(1), votes.count(-1), len(votes))
        assert found.consensus()[i] == pytest.approx(prod((a + 1) / (s + 2) for a, _, s in cells.values()))
        assert found.consensus("disagree")[i] == pytest.approx(prod((d + 1) / (s + 2) for _, d, s in cells.values()))
        assert found.comparable_consensus()[i] == pytest.approx(found.consensus()[i] ** (1 / len(names)))
        for k, g in enumerate(names):
            for side, at in (("agree", 0), ("disagree", 1)):
                n, seen = cells[g][at], cells[g][2]
                m = sum(cells[h][at] for h in names if h != g)
                others = sum(cells[h][2] for h in names if h != g)
                ratio = ((n + 1) / (seen + 2)) / ((m + 1) / (others + 2))
                assert found.representativeness(side)[k, i] == pytest.approx(ratio)
                z = 2 * sqrt(seen + 1) * ((n + 1) / (seen + 1) - 0.5)
                assert found.z(side)[k, i] == pytest.approx(z)
                pooled = (n + m + 2) / (seen + others + 2)
                if pooled == 1:
                    assert found.representativeness_z(side)[k, i] == 0
                else:
                    spread = sqrt(pooled * (1 - pooled) * (1 / (seen + 1) + 1 / (others + 1)))
                    z = ((n + 1) / (seen + 1) - (m + 1) / (others + 1)) / spread
                    assert found.representativeness_z(side)[k, i] == pytest.approx(z)
    every = [[row[i] for row in matrix if row[i] is not None] for i in range(len(matrix[0]))]
    assert found.all_agrees.tolist() == [votes.count(1) for votes in every]
    assert found.all_seen.tolist() == [len(votes) for votes in every]
    voted = [group for group, row in zip(groups, matrix, strict=True) if any(vote is not None for vote in row)]
    sizes = [voted.count(g) for g in names]
    assert found.sizes.tolist() == sizes


def test_statistics_without_votes():
    nothing = np.zeros(1)
    assert proportion_z(nothing, nothing) == 1.0
    assert two_proportions_z(nothing, nothing, nothing, nothing) == 0.0
    assert two_proportions_z(nothing + 3, nothing + 3, nothing + 5, nothing + 5) == 0.0


def divided():
    """Two groups of ten that agree on s0, are opposed on s1, and of which only the second saw s2."""
    first = [[1, 1, None, -1]] * 9 + [[1, -1, None, 0]]
    second = [[1, -1, 1, -1]] * 8 + [[-1, -1, 0, -1]] * 2
    return conversation(first + second, [0] * 10 + [1] * 10)


def test_what_unites_and_what_sets_apart():
    found = polis_consensus(divided())
    assert found.consensus()[0] == pytest.approx(11 / 12 * 9 / 12)
    assert found.order[0] == "s0"
    first, second = found.representative["g0"], found.representative["g1"]
    assert (first[0].statement, first[0].side, first[0].best_agree) == ("s1", "agree", True)
    assert [(one.statement, one.side) for one in second if one.sufficient and not one.best_agree] == [
        ("s1", "disagree")
    ]
    assert second[0].side == "agree" and second[0].best_agree
    assert found.majority["agree"][0] == "s0" and found.majority["disagree"][0] == "s3"
    assert "g0 stands for" in repr(found) and "s1: statement 1" in repr(found)
    document = json.loads(found.to_json())
    assert document["representative"]["g0"][0]["statement"] == "s1"
    assert found.to_frame()["agrees_g1"].to_pylist() == [8, 0, 8, 0]


def test_excluded_statements_are_chosen_for_nothing():
    found = polis_consensus(divided(), exclude=["s1"])
    chosen = {one.statement for some in found.representative.values() for one in some}
    assert "s1" not in chosen | set(found.order) | set(found.majority["agree"])
    assert found.consensus().shape == (4,)


@given(conversations())
@settings(max_examples=40)
def test_representative_statements_are_ordered_and_sufficient_but_for_the_first(case):
    found = polis_consensus(conversation(*case))
    for some in found.representative.values():
        assert len(some) <= 5
        assert [one.side for one in some] == sorted((one.side for one in some), key=lambda side: side != "agree")
        assert sum(one.best_agree for one in some) <= 1
        rest = [one for one in some if not one.best_agree]
        assert all(one.sufficient for one in rest) or len(some) == 1
        for side in ("agree", "disagree"):
            metrics = [one.metric for one in rest if one.side == side]
            assert metrics == sorted(metrics, reverse=True)


def test_a_membership_gives_the_groups_hard_or_soft():
    ratings = divided()
    posterior = np.vstack([np.tile([0.9, 0.1], (10, 1)), np.tile([0.2, 0.8], (10, 1))])
    users = pa.array([f"u{u}" for u in range(20)], pa.large_string())
    membership = Membership(users, posterior, np.full(20, 4))
    hard, soft = polis_consensus(ratings, membership), polis_consensus(ratings, membership, soft=True)
    plain = polis_consensus(ratings)
    np.testing.assert_array_equal(hard.agrees, plain.agrees)
    first, second = plain.agrees
    np.testing.assert_allclose(soft.agrees, [0.9 * first + 0.2 * second, 0.1 * first + 0.8 * second])
    np.testing.assert_allclose(soft.seen.sum(axis=0), plain.seen.sum(axis=0))
    fewer = Membership(users[:10], posterior[:10], np.full(10, 4))
    assert polis_consensus(ratings, fewer).sizes.tolist() == [10, 0]


def test_bad_use_is_refused():
    ratings = divided()
    with pytest.raises(UsageError, match="know no groups"):
        polis_consensus(ratings._replace(group=None, groups=None))
    with pytest.raises(UsageError, match="not soft"):
        polis_consensus(ratings, soft=True)
    with pytest.raises(UsageError, match="no statement"):
        polis_consensus(ratings, exclude=["s9"])
    with pytest.raises(UsageError, match="side"):
        polis_consensus(ratings).consensus("pass")
    twice = np.concatenate([np.arange(len(ratings)), [0]])
    with pytest.raises(DataError, match="'u0' votes more than once on 's0'"):
        polis_consensus(ratings.take(twice))
    moved = ratings.group.copy()
    moved[0] = 1
    with pytest.raises(DataError, match="two groups"):
        polis_consensus(ratings._replace(group=moved))


def published(folder, name) -> tuple[Ratings, pa.Table, pa.Table]:
    """Last votes of a conversation, with the groups that Polis published."""

    def table(file):
        return pq.read_table(folder / f"{file}.parquet", filters=pc.field("conversation") == name)

    votes, people, comments = table("votes"), table("participants"), table("comments")
    last = {}
    stamps = votes["timestamp"].to_pylist()
    for row, key in enumerate(zip(votes["participant_id"].to_pylist(), votes["comment_id"].to_pylist(), strict=True)):
        if key not in last or (stamps[row] or 0) >= (stamps[last[key]] or 0):
            last[key] = row
    users = sorted({user for user, _ in last})
    items = comments["comment_id"].to_pylist()
    group = dict(zip(people["participant_id"].to_pylist(), people["group_id"].to_pylist(), strict=True))
    labels = sorted({g for g in group.values() if g is not None})
    value = np.array(votes["vote"].to_pylist())[list(last.values())]
    user_at, item_at = {u: i for i, u in enumerate(users)}, {c: i for i, c in enumerate(items)}
    return (
        Ratings(
            items=Items([str(i) for i in items], texts=comments["text"].to_pylist()),
            users=[str(u) for u in users],
            user=np.array([user_at[u] for u, _ in last]),
            item=np.array([item_at[c] for _, c in last]),
            value=value.astype(float),
            group=np.array([-1 if group.get(u) is None else labels.index(group[u]) for u, _ in last]),
            groups=[str(g) for g in labels],
        ),
        people,
        comments,
    )


@pytest.mark.parametrize("name", ["brexit-consensus", "scoop-hivemind.taxes", "15-per-hour-seattle"])
def test_conversations_with_their_published_groups(shared_data, name):
    ratings, people, comments = published(shared_data / "polis", name)
    moderated = zip(comments["comment_id"].to_pylist(), comments["moderated"].to_pylist(), strict=True)
    rejected = [str(c) for c, verdict in moderated if verdict == -1]
    found = polis_consensus(ratings, exclude=rejected)
    # The published matrix counts last votes; those of people in groups are part of them.
    assert found.all_agrees.sum() == pc.sum(people["n_agree"]).as_py()
    assert found.all_disagrees.sum() == pc.sum(people["n_disagree"]).as_py()
    grouped = people.filter(pc.is_valid(people["group_id"]))
    by_group = grouped.group_by("group_id").aggregate([("n_agree", "sum"), ("n_votes", "sum"), ("n_agree", "count")])
    for row in by_group.to_pylist():
        g = found.groups.index(str(row["group_id"]))
        assert found.agrees[g].sum() == row["n_agree_sum"]
        assert found.sizes[g] == row["n_agree_count"]
    consensus = dict(zip(found.statements, found.consensus(), strict=True))
    values = [consensus[name] for name in found.order]
    assert values == sorted(values, reverse=True) and not set(rejected) & set(found.order)
    chosen = [{(one.statement, one.side) for one in some} for some in found.representative.values()]
    assert all(chosen) and len({frozenset(some) for some in chosen}) == len(chosen)
    for some in found.representative.values():
        assert any(one.sufficient for one in some)
