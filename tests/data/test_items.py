"""Items: ids, merging of equal texts, features and their refusal, covariates."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data.items import Items, content_ids
from pluralism.errors import DataError, UsageError


def test_equal_prompt_and_text_become_one_item_in_order_of_first_appearance():
    items = Items.from_texts(["b", "a", "b", "b", "a"], prompts=["p", "p", "p", None, ""])
    assert items.texts.to_pylist() == ["b", "a", "b", "a"]
    assert items.prompts.to_pylist() == ["p", "p", None, None]
    assert items.encoded_texts() == ["p\n\nb", "p\n\na", "b", "a"]
    assert items.prompt_codes().tolist() == [0, 0, -1, -1]


def test_content_id_is_the_documented_hash():
    prompt, text = b"Wie geht's?", "Gut \U0001f469‍\U0001f680".encode()
    layout = len(prompt).to_bytes(8, "little") + prompt + len(text).to_bytes(8, "little") + text
    items = Items.from_texts([text.decode()], prompts=[prompt.decode()])
    assert items.ids.to_pylist() == [hashlib.sha256(layout).hexdigest()[:32]]
    assert content_ids(pa.array(["a"], pa.large_string())) == content_ids(
        pa.array(["a"], pa.large_string()), pa.array([None], pa.large_string())
    )


def test_length_prefix_keeps_prompt_and_text_apart():
    ids = Items.from_texts(["bc", "c"], prompts=["a", "ab"]).ids.to_pylist()
    assert ids[0] != ids[1]


def test_given_ids_keep_equal_texts_apart():
    items = Items.from_texts(["same", "same"], ids=[7, 8])
    assert len(items) == 2
    assert items.index(["8", "7", "9"]).tolist() == [1, 0, -1]
    assert items.index([8]).tolist() == [1]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a", "a"], "occurs more than once"),
        (["a", ""], "empty"),
        (["a", None], "empty"),
        ([1, "1"], "both the number 1 and the string '1'"),
        (["a", "\ud800"], "lone surrogate"),
        ([1.5, 2.0], "strings or integers"),
        ([True, 2], "strings or integers"),
        ([b"a", "b"], "strings or integers"),
        ([2.0**60, 1.0], "strings or integers"),
    ],
)
def test_bad_ids_are_refused(ids, said):
    with pytest.raises(DataError, match=said):
        Items(ids)


def test_numbers_become_decimal_strings():
    assert Items([1, -2, 10**30]).ids.to_pylist() == ["1", "-2", str(10**30)]
    assert Items(np.array([3.0, -0.0])).ids.to_pylist() == ["3", "0"]
    assert Items(np.array([2**63 + 1], dtype=np.uint64)).ids.to_pylist() == [str(2**63 + 1)]


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_any_distinct_strings_are_ids_byte_for_byte(ids):
    items = Items(ids)
    assert [i.encode() for i in items.ids.to_pylist()] == [i.encode() for i in ids]
    assert items.index(ids).tolist() == list(range(len(ids)))


def test_normal_forms_are_different_ids():
    assert len(Items(["\u00e9", "e\u0301"])) == 2


@pytest.mark.parametrize("text", ["", None, " \n\t", "\u00a0"])
def test_empty_texts_are_refused(text):
    with pytest.raises(DataError, match=r"(empty|white space)"):
        Items.from_texts(["fine", text])


def test_texts_ids_and_prompts_must_fit():
    with pytest.raises(DataError, match="2 ids"):
        Items(["a", "b"], texts=["one"])
    with pytest.raises(DataError, match="no texts"):
        Items(["a"], prompts=["one"])
    with pytest.raises(DataError, match="2 prompts but 1 texts"):
        Items.from_texts(["a"], prompts=["p", "q"])


def test_builtin_length_counts_characters_and_gives_way_to_the_users_own():
    items = Items.from_texts(["äö\U0001f469‍\U0001f680", "abc"])
    assert items.covariate("length") == pytest.approx(np.log1p([5, 3]))
    mine = Items.from_texts(["a", "b"], covariates={"length": [3, 4]})
    assert mine.covariate("length").tolist() == [3, 4]
    assert mine.covariate_names() == ["length"]
    with pytest.raises(UsageError, match="no covariate 'lenght'"):
        items.covariate("lenght")
    with pytest.raises(UsageError, match="no covariate 'length'"):
        Items(["a"]).covariate("length")


def test_merged_texts_must_agree_in_their_covariates():
    items = Items.from_texts(["a", "b", "a"], covariates={"score": [1, 2, 1]})
    assert items.covariates["score"].tolist() == [1, 2]
    with pytest.raises(DataError, match="different values of the covariate 'score'"):
        Items.from_texts(["a", "b", "a"], covariates={"score": [1, 2, 3]})
    with pytest.raises(DataError, match="NaN"):
        Items.from_texts(["a"], covariates={"score": [np.nan]})


def test_columns_cannot_be_written_to():
    items = Items.from_texts(["a", "b"], covariates={"score": [1, 2]}).with_features(np.ones((2, 3), np.float32))
    for array in (items.features, items.covariates["score"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
    with pytest.raises(AttributeError):
        items.ids = None


def test_take_keeps_rows_together():
    items = Items.from_texts(["a", "b", "c"], prompts=["p", None, "q"], covariates={"n": [1, 2, 3]})
    items = items.with_features(np.arange(1, 7, dtype=np.float32).reshape(3, 2), "mine")
    taken = items.take(np.array([2, 0]))
    assert taken.texts.to_pylist() == ["c", "a"]
    assert taken.prompts.to_pylist() == ["q", "p"]
    assert taken.covariates["n"].tolist() == [3, 1]
    assert taken.features.tolist() == [[5, 6], [1, 2]]
    assert taken.feature_space == "mine"
    assert taken.take(np.array([1, 0])).equals(items.take(np.array([0, 2])))
    assert not taken.equals(items)
    with pytest.raises(UsageError, match="taken twice"):
        items.take(np.array([0, 0]))
    with pytest.raises(UsageError, match="not between"):
        items.take(np.array([-1]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-np.inf, "NaN or infinite"), (0, "no non-zero value")],
)
def test_unusable_features_are_refused_with_row_and_id(dtype, value, said):
    features = np.ones((5, 3), dtype)
    features[3] = 0 if value == 0 else features[3]
    features[3, 1] = value
    with pytest.raises(DataError, match=rf"{said}.*\(row 4; id 'd'\)"):
        Items(list("abcde")).with_features(features)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_and_vanishing_features_are_refused(dtype):
    features = np.ones((2, 3), dtype)
    features[1] = 1e-16
    with pytest.raises(DataError, match="no non-zero value"):
        Items(["a", "b"]).with_features(features)
    features[1] = [1, -2e15, 1]
    with pytest.raises(DataError, match="above 1e15"):
        Items(["a", "b"]).with_features(features)
    features[1] = [1e-14, 0, -9e14]
    assert Items(["a", "b"]).with_features(features).dim == 3


def test_overflow_to_half_precision_is_caught_and_its_smallest_number_is_not():
    with np.errstate(over="ignore"):
        overflowed = np.array([[1e5, 1.0]]).astype(np.float16)
    with pytest.raises(DataError, match="NaN or infinite"):
        Items(["a"]).with_features(overflowed)
    assert Items(["a"]).with_features(np.array([[6e-8, -0.0]], np.float16)).dim == 2


@settings(max_examples=50)
@given(st.data())
def test_bit_tests_agree_with_arithmetic(data):
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    width = np.dtype(dtype).itemsize * 8
    rows = data.draw(st.lists(st.lists(st.floats(width=width), min_size=3, max_size=3), min_size=1, max_size=4))
    features = np.array(rows, dtype)
    peak = np.abs(features.astype(np.float64)).max(axis=1)
    fine = np.isfinite(features).all() and (peak <= 1e15).all() and (peak >= dtype(1e-15)).all() and (peak > 0).all()
    items = Items([str(row) for row in range(len(rows))])
    if fine:
        assert items.with_features(features).dim == 3
    else:
        with pytest.raises(DataError):
            items.with_features(features)


def test_all_blocks_of_a_large_matrix_are_looked_at():
    features = np.ones((300_000, 32), np.float16)
    items = Items(np.arange(300_000))
    assert items.with_features(features).dim == 32
    features[299_999, 31] = np.nan
    features[131_072, 0] = np.nan
    with pytest.raises(DataError, match="2 rows with NaN or infinite values \\(row 131073, 300000; id '131072', '2"):
        items.with_features(features)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.ones(3), "matrix"),
        (np.ones((3, 2), np.int64), "float16, float32 or float64"),
        (np.ones((3, 2), ">f4"), "native byte order"),
        (np.ones((2, 2)), "2 rows of features but 3 items"),
        (np.ones((3, 0)), "no columns"),
    ],
)
def test_matrices_of_another_kind_are_refused(features, said):
    with pytest.raises(DataError, match=said):
        Items(["a", "b", "c"], features=features)


def test_features_are_not_copied():
    features = np.ones((3, 4), np.float32)
    assert np.shares_memory(Items(["a", "b", "c"]).with_features(features).features, features)


def test_repr_says_what_is_there():
    items = Items.from_texts(["a", "b"], prompts=["p", None], covariates={"n": [1, 2]})
    assert repr(items) == "Items(2 items with texts, some prompts, covariates n)"
    assert "2 float16 features (mine)" in repr(items.with_features(np.ones((2, 2), np.float16), "mine"))


def test_items_without_texts_cannot_be_encoded():
    with pytest.raises(UsageError, match="no texts"):
        Items(["a"]).encoded_texts()


def test_prompt_features_follow_their_prompts():
    items = Items(["a", "b", "c", "d"], texts=["1", "2", "3", "4"], prompts=["p", None, "q", "p"])
    known = items.with_prompt_features(np.array([[1.0, 2.0], [3.0, 4.0]]))
    part = known.take([2, 1, 0])
    np.testing.assert_array_equal(part.prompt_codes(), [0, -1, 1])
    np.testing.assert_array_equal(part.prompt_features, [[3.0, 4.0], [1.0, 2.0]])
    assert known.take([1]).prompt_features is None
    assert known.equals(items.with_prompt_features(np.array([[1.0, 2.0], [3.0, 4.0]])))
    assert not known.equals(items)
    with pytest.raises(DataError, match="rows"):
        items.with_prompt_features(np.ones((3, 2)))
    with pytest.raises(DataError, match="no prompts"):
        Items(["a"], texts=["1"]).with_prompt_features(np.ones((1, 2)))


def test_prompts_are_encoded_by_themselves_on_request():
    items = Items.from_texts(["yes", "no", "so"], prompts=["really?", "really?", "how?"])
    embedded = items.embed("hash:16", prompts=True)
    alone = Items.from_texts(["really?", "how?"]).embed("hash:16")
    np.testing.assert_array_equal(embedded.prompt_features, alone.features)
    np.testing.assert_array_equal(embedded.features, items.embed("hash:16").features)
    assert items.embed("hash:16").prompt_features is None
