from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.data import Comparisons
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, UsageError
from pluralism.evaluation import few_shot, few_shot_curve


@pytest.fixture(scope="module")
def curve(fitted, people):
    return few_shot_curve(fitted, people.comparisons, shots=(5, 0, 1, 20), repeats=4, n_bootstrap=300)


def test_more_answers_place_better_and_none_give_the_prior(curve, fitted, people) -> None:
    assert curve.shots == (0, 1, 5, 20)
    assert (np.diff(curve.nll) < 0).all()
    assert curve.nll_gain[0].tolist() == [0, 0, 0]
    assert curve.nll_gain[-1, 2] < 0
    assert curve.users == 20
    assert curve.users_left_out == 40
    data = people.comparisons.take(people.comparisons.user >= 40)
    prior = fitted.predict_group_proba(data) @ fitted.group_weights_
    everything = -np.mean(data.outcome * np.log(prior) + (1 - data.outcome) * np.log(1 - prior))
    # Held-out rows are a random third of these, four times.
    assert curve.nll[0] == pytest.approx(everything, abs=0.03)
    known = people.truth.probability[people.comparisons.user >= 40]
    assert curve.accuracy[-1] <= np.mean(np.maximum(known, 1 - known)) + 0.05


def test_all_numbers_of_answers_are_scored_on_the_same_rows_never_on_those_that_place(known_mixture, people) -> None:
    calls: list[tuple[str, Comparisons]] = []

    class Watched(known_mixture):
        def adapt(self, comparisons):
            calls.append(("adapt", comparisons))
            return super().adapt(comparisons)

        def predict_proba(self, comparisons, *, membership=None):
            calls.append(("score", comparisons))
            return super().predict_proba(comparisons, membership=membership)

    data = people.comparisons
    model = Watched(heads=people.truth.heads, weights=people.truth.group_weights).fit(data.take(data.user < 40))
    calls.clear()
    few_shot_curve(model, data, shots=(0, 3, 10), repeats=2, n_bootstrap=0)

    def keys(part: Comparisons) -> set[tuple]:
        return set(zip(part.user, np.minimum(part.left, part.right), np.maximum(part.left, part.right), strict=True))

    for repeat in (calls[:6], calls[6:]):
        scored = [keys(part) for kind, part in repeat if kind == "score"]
        placing = [keys(part) for kind, part in repeat if kind == "adapt"]
        assert scored[0] == scored[1] == scored[2]
        assert [len(part) for kind, part in repeat if kind == "adapt"] == [0, 60, 200]
        assert placing[1] <= placing[2]
        assert not scored[0] & placing[2]
    assert keys(calls[2][1]) != keys(calls[8][1])


def test_repeated_pairs_of_a_user_never_stand_on_both_sides(known_mixture) -> None:
    sim = simulate_mixture(n_users=10, n_groups=1, n_items=6, dim=4, pairs_per_user=12, rng=0)
    twice = sim.comparisons.concat(sim.comparisons)
    model = known_mixture(heads=sim.truth.heads, weights=[1.0]).fit(_others(sim.comparisons))
    curve = few_shot_curve(model, twice, shots=(0, 12), repeats=3, min_held_out=1, n_bootstrap=0)
    # Of 24 rows 12 place; rows of the same pair are then left out.
    assert 0 < curve.n < 3 * 10 * 12
    with pytest.raises(DataError, match="No answers are left"):
        same = Comparisons.from_arrays(
            np.zeros(40, int), np.ones(40, int), user=["new"] * 40, items=sim.comparisons.items
        )
        few_shot_curve(model, same, shots=(0, 2), n_bootstrap=0)


def _others(data: Comparisons) -> Comparisons:
    labels = [f"other {k}" for k in range(data.n_users)]
    return Comparisons(**{**vars(data), "users": labels})


def test_the_control_gives_the_line_that_no_answer_moves(known_mixture, people) -> None:
    data = people.comparisons
    model = known_mixture(heads=people.truth.heads, weights=people.truth.group_weights, with_control=True)
    curve = few_shot_curve(model.fit(data.take(data.user < 40)), data, shots=(0, 20), n_bootstrap=50)
    assert curve.nll[-1] < curve.control_nll
    assert "one group" in repr(curve)


def test_json_frame_and_repr(curve) -> None:
    document = json.loads(curve.to_json())
    assert document["shots"] == [0, 1, 5, 20]
    assert document["control_nll"] is None
    assert len(document["nll_interval"]) == 4
    frame = curve.to_frame()
    assert frame.column_names[:3] == ["shots", "accuracy", "nll"]
    assert frame.column("nll_low").to_pylist() == curve.nll_interval[:, 0].tolist()
    assert "20 unseen users" in repr(curve)


def test_same_seed_same_curve(fitted, people, curve) -> None:
    again = few_shot_curve(fitted, people.comparisons, shots=(0, 1, 5, 20), repeats=4, n_bootstrap=300)
    assert again.to_json() == curve.to_json()


def test_ranks_are_a_random_order_within_users(people) -> None:
    rank = few_shot._ranks(people.comparisons, np.random.default_rng(0))
    for user in range(people.comparisons.n_users):
        assert sorted(rank[people.comparisons.user == user]) == list(range(30))
    assert rank[:30].tolist() != sorted(rank[:30].tolist())


def test_nobody_to_place_and_impossible_shots(fitted, people) -> None:
    with pytest.raises(DataError, match=r"(?s)needed.*20 unseen users, with at most 30 answers"):
        few_shot_curve(fitted, people.comparisons, shots=(0, 40))
    seen = people.comparisons.take(people.comparisons.user < 40)
    with pytest.raises(DataError, match="No unseen user"):
        few_shot_curve(fitted, seen)
    for bad in ({"shots": ()}, {"shots": (-1, 2)}, {"repeats": 0}, {"min_held_out": 0}):
        with pytest.raises(UsageError, match="not possible"):
            few_shot_curve(fitted, people.comparisons, **bad)
