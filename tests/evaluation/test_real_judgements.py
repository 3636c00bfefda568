"""Evaluation on the judgements of real people: 3,768 users of the UKP convincing-arguments data."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pluralism as pl
from pluralism.data import Comparisons
from pluralism.errors import DataWarning
from pluralism.evaluation import few_shot_curve
from pluralism.models import BradleyTerry


@pytest.fixture(scope="module")
def judgements(shared_data: Path) -> Comparisons:
    """Users with at least 20 judgements, a quarter of which are ties."""
    folder = shared_data / "ukp_convarg"
    table = pq.read_table(folder / "comparisons.parquet", columns=["pair_id", "user_id", "choice"])
    pairs = pq.read_table(folder / "pairs.parquet", columns=["pair_id", "topic", "arg_a", "arg_b"])
    table = table.join(pairs, "pair_id")
    table = table.sort_by([("user_id", "ascending"), ("pair_id", "ascending")])

    def ids(side: str) -> pa.Array:
        return pc.binary_join_element_wise(table["topic"], table[side], pa.scalar("/", pa.large_string())).cast(
            pa.large_string()
        )

    first = pc.equal(table["choice"], "a1")
    frame = pa.table(
        {
            "user": table["user_id"],
            "left": ids("arg_a"),
            "right": ids("arg_b"),
            "outcome": pc.if_else(pc.equal(table["choice"], "equal"), 0.5, pc.cast(first, pa.float64())),
        }
    )
    data = Comparisons.from_frame(frame)
    rows = np.bincount(data.user)
    return data.take(rows[data.user] >= 20).compact()


def _fit(train: Comparisons) -> BradleyTerry:
    # Arguments are compared within a topic only, and a few never win.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return BradleyTerry(uncertainty=False).fit(train)


def test_item_effects_reach_what_a_plain_prototype_reached(judgements) -> None:
    train, test = judgements.split(test=0.2, by="row", rng=0)
    model = _fit(train)
    found = pl.evaluate(model, test, n_bootstrap=200)
    assert found.n_users_seen == found.users > 300
    # A plain prototype: .780 without ties, NLL .545 with ties as half a win for either side.
    assert found.accuracy == pytest.approx(0.78, abs=0.012)
    assert found.nll == pytest.approx(0.545, abs=0.012)
    low, high = found.intervals["accuracy"]
    assert low < found.accuracy < high < low + 0.03
    assert found.p10_user_accuracy < found.accuracy - 0.1


def test_one_reward_cannot_be_moved_by_answers(judgements) -> None:
    few = judgements.take(judgements.user < 200)
    new = judgements.take(judgements.user >= 200)
    model = _fit(few.compact())
    curve = few_shot_curve(model, new, shots=(0, 5, 10), repeats=1, n_bootstrap=20)
    assert curve.users > 100
    assert np.ptp(curve.nll) == 0
