import numpy as np
import pytest

from pluralism.data import Comparisons, Items, Ratings
from pluralism.data.folds import default_blocks, folds
from pluralism.errors import DataError, UsageError

FRAME = {
    "user": ["ann", "ann", "ann", "bob", "bob"],
    "item": ["tea", "milk", "gin", "tea", "gin"],
    "value": [1, 0, -1, 1, 1],
}


def test_each_rating_becomes_one_comparison_with_the_threshold():
    votes = Ratings.from_frame(FRAME).to_votes()
    assert votes.origin == "votes"
    ids = votes.items.ids.to_pylist()
    assert ids[-1] == "(threshold)"
    assert np.all(votes.right == len(ids) - 1)
    np.testing.assert_array_equal(votes.outcome, [1.0, 0.5, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(votes.covariate_difference(["threshold"])[:, 0], -1.0)


def test_undecided_votes_can_be_left_out():
    votes = Ratings.from_frame(FRAME).to_votes(undecided="drop")
    np.testing.assert_array_equal(votes.outcome, [1.0, 0.0, 1.0, 1.0])
    assert votes.n_users == 2


def test_the_threshold_is_the_middle_of_the_scale_or_given():
    frame = {"user": ["a"] * 3, "item": ["x", "y", "z"], "value": [3, 4, 5]}
    np.testing.assert_array_equal(Ratings.from_frame(frame).to_votes().outcome, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(Ratings.from_frame(frame, scale=(1, 5)).to_votes().outcome, [0.5, 1.0, 1.0])
    np.testing.assert_array_equal(Ratings.from_frame(frame).to_votes(threshold=4.5).outcome, [0.0, 0.0, 1.0])


def test_features_of_the_threshold_are_the_mean():
    ratings = Ratings.from_frame(FRAME).with_features(np.array([[1, 2], [3, 2], [2, 5]], np.float32))
    votes = ratings.to_votes()
    np.testing.assert_array_equal(votes.items.features[-1], [2.0, 3.0])
    assert votes.items.feature_space == ratings.items.feature_space


def test_votes_survive_a_file(tmp_path):
    votes = Ratings.from_frame(FRAME).to_votes()
    votes.write(tmp_path / "votes.parquet")
    back = Comparisons.read(tmp_path / "votes.parquet")
    assert back.origin == "votes"
    np.testing.assert_array_equal(back.outcome, votes.outcome)


@pytest.mark.parametrize("by", ["prompt", "item"])
def test_folds_hold_out_the_items_voted_on(by):
    rng = np.random.default_rng(0)
    frame = {"user": rng.integers(0, 9, 300), "item": rng.integers(0, 20, 300), "value": rng.integers(0, 2, 300)}
    votes = Ratings.from_frame(frame).to_votes()
    assert default_blocks(votes) in ("prompt", "item")
    made = folds(votes, 4, by=by)
    assert np.all(np.sum([held for _, held in made], axis=0) == 1)
    for train, held in made:
        assert not set(votes.left[train]) & set(votes.left[held])


def test_what_cannot_be_a_vote_is_refused():
    with pytest.raises(UsageError, match="several attributes"):
        Ratings.from_frame(FRAME | {"attribute": ["a", "b", "a", "a", "b"]}).to_votes()
    with pytest.raises(UsageError, match="undecided"):
        Ratings.from_frame(FRAME).to_votes(undecided="half")
    with pytest.raises(DataError, match="All ratings have the value"):
        Ratings.from_frame(FRAME | {"value": [1] * 5}).to_votes()
    with pytest.raises(DataError, match="stands for the threshold"):
        taken = Items(ids=["(threshold)", "b"])
        Ratings.from_frame({"user": [1, 1], "item": ["(threshold)", "b"], "value": [0, 1]}, items=taken).to_votes()
    with pytest.raises(DataError, match="covariate"):
        items = Items(ids=["tea", "milk", "gin"], covariates={"threshold": np.zeros(3)})
        Ratings.from_frame(FRAME, items=items).to_votes()
