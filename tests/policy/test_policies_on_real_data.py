"""Policies on real judgements: arguments compared in full tournaments, and summaries rated on four attributes."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from pluralism.policy import DirectionalPolicy, PreferenceGame, regularised_nash, rejection_sampling, self_play
from pluralism.social_choice import Utilities

ATTRIBUTES = ["Informativeness", "Relevance", "Fluency", "Coherence"]


@pytest.fixture(scope="module")
def arguments(shared_data):
    """All pairs of arguments of 24 topics, each judged by several people; half a judgement for each side is added."""
    pairs = pq.read_table(shared_data / "ukp_convarg" / "pairs.parquet").to_pandas()
    judged = pq.read_table(shared_data / "ukp_convarg" / "comparisons.parquet").to_pandas()
    judged["left"] = judged.choice.map({"a1": 1.0, "a2": 0.0, "equal": 0.5})
    pairs = pairs.join(judged.groupby("pair_id").left.agg(["sum", "count"]), on="pair_id")
    topics = [rows for _, rows in pairs.groupby("topic")]
    names = [sorted({*rows.arg_a, *rows.arg_b}) for rows in topics]
    size = max(map(len, names))
    matrix, logs = np.full((len(topics), size, size), 0.5), np.full((len(topics), size), -np.inf)
    for x, (rows, own) in enumerate(zip(topics, names, strict=True)):
        place = {name: i for i, name in enumerate(own)}
        a, b = rows.arg_a.map(place).to_numpy(), rows.arg_b.map(place).to_numpy()
        share = ((rows["sum"] + 0.5) / (rows["count"] + 1.0)).to_numpy()
        matrix[x, a, b], matrix[x, b, a] = share, 1.0 - share
        logs[x, : len(own)] = 0.0
    return PreferenceGame.from_matrix(matrix, log_reference=logs)


def test_self_play_on_tournaments_of_arguments(arguments):
    play = self_play(arguments, n_rounds=1000)
    assert np.all(play.exploitability <= play.bound)
    assert play.exploitability[-1].max() < 0.03
    assert arguments.exploitability(arguments.reference_policy).min() > 0.15
    # most topics have no argument that is preferred to each other one, so equilibria mix
    mask = arguments.utilities.mask
    both = mask[:, :, None] & mask[:, None, :] & ~np.eye(mask.shape[1], dtype=bool)
    winners = mask & np.where(both, arguments.preferences > 0.5, True).all(axis=2)
    assert winners.any(axis=1).sum() <= 8
    single = winners.any(axis=1)
    probs = regularised_nash(arguments, beta=0.005).probs
    assert np.all(np.sum(probs * winners, axis=1)[single] > 0.8)
    assert np.median(probs[~single].max(axis=1)) < 0.8


def test_a_falling_price_of_kl_on_tournaments(arguments):
    rarest = np.log(arguments.utilities.mask.sum(axis=1))
    last = arguments.exploitability(arguments.reference_policy)
    for beta in (0.3, 0.1, 0.03):
        policy = regularised_nash(arguments, beta=beta)
        found = arguments.exploitability(policy)
        assert np.all(found <= beta * rarest) and np.all(found < last)
        last = found


@pytest.fixture(scope="module")
def summaries(shared_data):
    """Seven summaries of 60 articles: attributes by two raters to choose by, and by the third to judge the choice."""
    table = pq.read_table(shared_data / "newsroom_human_eval" / "ratings.parquet").to_pandas()
    article = pq.read_table(shared_data / "newsroom_human_eval" / "items.parquet")["article_group"].to_numpy()
    ratings = np.full((len(article), 3, 4), np.nan)
    ratings[table.item_id, table.slot, table.attribute.map(ATTRIBUTES.index)] = table.rating
    seen = ratings[:, :2].mean(axis=1)
    seen = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    chosen_by, judged_by = (Utilities.from_items(each, article, groups=ATTRIBUTES) for each in (seen, ratings[:, 2]))
    return chosen_by, judged_by


def test_directions_bring_what_they_ask_for_by_a_rater_who_was_not_asked(summaries):
    chosen_by, judged_by = summaries
    policy = DirectionalPolicy(attributes=chosen_by, kl=0.5)
    front = policy.front(np.vstack([np.eye(4), -np.eye(4)]), values=judged_by.values)
    towards, away = front.mean[:4], front.mean[4:]
    assert np.all(np.diag(towards) > front.reference + 0.1) and np.all(np.diag(away) < front.reference - 0.1)
    # attributes are rated much alike, so every direction lifts all: no clean trade-off is there to be had
    assert np.all(towards > front.reference)


def test_rejection_sampling_on_rated_summaries(summaries):
    chosen_by, judged_by = summaries
    train, test = np.arange(40), np.arange(40, 60)
    features = chosen_by.values
    run = rejection_sampling(
        chosen_by.take(train),
        n=7,
        n_rounds=2,
        directions_per_prompt=4,
        evaluation=(judged_by.take(test), features[test]),
        penalty=0.05,
    )
    first, last = run.reward[0].mean(), run.reward[-1].mean()
    assert last > first + 0.2
