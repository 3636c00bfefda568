"""Separation of clusters: scikit-learn's indices, brute force, the identity of two clusters, nulls, planted layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instrument_checks import check_result
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score
from tiny_lm import PROMPTS, RESPONSES

from pluralism.diagnostics import alignment_quality, cluster_indices, fit_layer_pool, hidden_states
from pluralism.diagnostics.blocks import Blocks
from pluralism.errors import DataError, UsageError


def points_of(seed, sizes, dim=3, apart=2.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centres = apart * rng.normal(size=(len(sizes), dim))
    return centres[labels] + rng.normal(size=(len(labels), dim)), labels


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(2, 12), min_size=2, max_size=5))
def test_indices_against_scikit_learn_and_brute_force(seed, sizes):
    z, labels = points_of(seed, sizes)
    found = cluster_indices(z, labels)
    np.testing.assert_allclose(found.davies_bouldin, davies_bouldin_score(z, labels))
    if len(z) > len(sizes):
        np.testing.assert_allclose(found.calinski_harabasz, calinski_harabasz_score(z, labels))
    distance = np.linalg.norm(z[:, None] - z, axis=2)
    same = labels[:, None] == labels
    np.testing.assert_allclose(found.dunn, distance[~same].min() / distance[same].max())
    centres = np.stack([z[labels == k].mean(axis=0) for k in range(len(sizes))])
    nearest = min(np.sum((a - b) ** 2) for i, a in enumerate(centres) for b in centres[:i])
    np.testing.assert_allclose(found.xie_beni, np.sum((z - centres[labels]) ** 2) / (len(z) * nearest))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 20), st.integers(2, 20), st.integers(1, 6))
def test_two_indices_of_two_clusters_are_one_quantity(seed, n0, n1, dim):
    found = cluster_indices(*points_of(seed, [n0, n1], dim))
    n = n0 + n1
    np.testing.assert_allclose(found.calinski_harabasz * found.xie_beni, (n - 2) * n0 * n1 / n**2)


def test_the_indices_ignore_place_and_scale():
    z, labels = points_of(0, [10, 14, 8])
    first, second = cluster_indices(z, labels), cluster_indices(7 - 3 * z, labels)
    for name in ("davies_bouldin", "dunn", "xie_beni", "calinski_harabasz"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name))
    check_result(first, rows=3)


def test_clusters_of_one_place_are_not_told_apart():
    points, labels = [[0.0], [0.0], [0.0], [0.0], [1.0], [1.0]], list("aabbcc")
    found = cluster_indices(points, labels)
    assert (found.davies_bouldin, found.dunn, found.xie_beni) == (np.inf, 0.0, np.inf)
    # Not a number would be larger than no permutation, and so look significant.
    quality = alignment_quality(points, labels, folds=2, permutations=20, n_bootstrap=5)
    assert quality.value == 0 and quality.p == 1


def test_quality_by_hand():
    # On standardised columns the second one is a constant, which is dropped.
    z = np.array([[-3.0, 1.0], [-1.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    found = alignment_quality(z, list("aabb"), folds=2, permutations=20, n_bootstrap=20, weight=0.25)
    # Scatter 1 of both at distance 4: 1/2; the clusters are 2 apart, and 2 wide: 1.
    assert (found.indices.davies_bouldin, found.indices.dunn) == pytest.approx((0.5, 1.0))
    assert found.value == pytest.approx(0.25 / 1.5 + 0.75 / 2)


def test_labels_that_mean_something_stand_out_from_chance():
    z, labels = points_of(1, [40, 40], dim=6, apart=1.5)
    blocks = np.arange(80) % 20
    found = alignment_quality(z, labels, blocks=blocks, permutations=100, n_bootstrap=100, rng=0)
    assert found.z > 3 and found.p == 1 / 101 and found.probe_auc > 0.9
    assert 0 < found.low < found.value < found.high < 1
    first, same = (alignment_quality(z, labels, blocks=blocks, permutations=5, n_bootstrap=2, rng=0) for _ in range(2))
    np.testing.assert_array_equal(first.null, same.null)
    for scaled in (z * np.arange(1, 7) + 5, 1e-14 * z, 1e200 * z):
        again = alignment_quality(scaled, labels, permutations=2, n_bootstrap=2)
        np.testing.assert_allclose(again.value, found.value)
    check_result(found, rows=1)


def test_labels_at_random_do_not():
    p, auc = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        points, labels = rng.normal(size=(30, 4)), rng.permutation(np.repeat([0, 1], 15))
        found = alignment_quality(points, labels, permutations=39, n_bootstrap=2, folds=3, rng=seed)
        p.append(found.p)
        auc.append(found.probe_auc)
        assert found.low <= found.value <= found.high
    # p-values of no effect are uniform on 1/40, ..., 1.
    assert 0.3 < np.mean(p) < 0.75 and min(p) >= 1 / 40
    assert 0.3 < np.mean(auc) < 0.7


@pytest.mark.parametrize("within", [False, True], ids=["blocks of one label", "labels within blocks"])
def test_labels_at_random_within_and_between_blocks(within):
    """Rows of a block are alike; a null that ignores it is right for neither way of labelling them."""
    p = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        blocks = np.repeat(np.arange(8), 4)
        labels = np.tile([0, 1, 0, 1], 8) if within else rng.permutation(np.repeat([0, 1], 4))[blocks]
        points = 3 * rng.normal(size=(8, 3))[blocks] + rng.normal(size=(32, 3))
        order = rng.permutation(32)
        options = {"permutations": 19, "n_bootstrap": 2, "folds": 2, "rng": seed}
        p.append(alignment_quality(points[order], labels[order], blocks=blocks[order], **options).p)
    assert 0.3 < np.mean(p) < 0.75 and np.mean(np.array(p) <= 0.1) < 0.4


def test_few_blocks_cannot_be_significant():
    # Two blocks of each label: of their six labellings two make the clusters observed, so no p-value is below a third.
    points = np.repeat([[0.0, 0.3], [0.1, 0.7], [5.0, 0.1], [5.1, 0.9]], 4, axis=0)
    points += 0.01 * np.random.default_rng(0).normal(size=(16, 2))
    options = {"permutations": 200, "n_bootstrap": 2, "folds": 2}
    found = alignment_quality(points, np.repeat([0, 1], 8), blocks=np.repeat(np.arange(4), 4), **options)
    assert 0.25 < found.p < 0.45
    assert alignment_quality(points, np.repeat([0, 1], 8), **options).p < 0.01


def test_blocks_are_drawn_as_wholes():
    labels, blocks = np.array([0, 0, 1, 1, 0, 1, 0, 1]), list("aabbcdcd")
    found = Blocks(labels, blocks)
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = found.drawn(rng)
        assert len(rows) == 8 and np.bincount(labels[rows]).tolist() == [4, 4]
        assert all(np.ptp(np.bincount(rows, minlength=8)[[i, i + 1]]) == 0 for i in (0, 2))
        # Blocks of one label change labels as wholes.
        swapped = found.permuted(rng)
        assert all(len(set(swapped[np.array(blocks) == name])) == 1 for name in "abcd")
    # Where a block has both labels, they change places within it.
    mixed = Blocks(np.array([0, 1, 1, 0, 1, 1]), [0, 0, 0, 1, 1, 1]).permuted(rng)
    assert mixed[:3].sum() == mixed[3:].sum() == 2


def test_components_are_directions_of_most_variance():
    z, labels = points_of(2, [20, 20], dim=5)
    whole = alignment_quality(z, labels, permutations=2, n_bootstrap=2)
    turned = alignment_quality(z, labels, components=5, permutations=2, n_bootstrap=2)
    np.testing.assert_allclose(whole.value, turned.value)
    assert alignment_quality(z, labels, components=1, permutations=2, n_bootstrap=2).value != whole.value


def planted(seed, n=60):
    """Five layers, of which the fourth alone tells the labels apart; others are loud."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    states = rng.normal(size=(n, 5, 6)) * np.array([1, 20, 1, 3, 1])[:, None]
    states[:, 3] += 12 * labels[:, None]
    return states, labels


def test_the_layer_that_tells_labels_apart_gets_the_weight():
    for seed in range(2):
        states, labels = planted(seed)
        pool = fit_layer_pool(states[:30], labels[:30], rng=0)
        assert int(np.argmax(pool.weights)) == 3 and pool.weights[3] > 0.5
        np.testing.assert_allclose(pool.weights.sum(), 1)
        assert pool.loss < pool.even_loss
        options = {"permutations": 20, "n_bootstrap": 20, "rng": 0}
        pooled = alignment_quality(pool.transform(states[30:]), labels[30:], **options)
        mean = alignment_quality(states[30:].mean(axis=1), labels[30:], **options)
        assert pooled.value > mean.value
    check_result(pool, rows=5)


def test_pairs_are_compared_a_few_at_a_time(monkeypatch):
    states, labels = planted(1, n=12)
    whole = fit_layer_pool(states, labels)
    monkeypatch.setattr("pluralism.diagnostics.layer_pooling.DIFFERENCES", 7 * states[0].size)
    parts = fit_layer_pool(states, labels)
    np.testing.assert_allclose(parts.weights, whole.weights)


def test_weights_are_the_minimum_of_the_loss():
    states, labels = planted(4, n=12)
    pool = fit_layer_pool(states, labels, margin=2.0)
    z = (states - states.mean(axis=0)) / pool.scale[:, None]
    first, second = np.triu_indices(12, 1)
    same = labels[first] == labels[second]

    def loss(weights):
        pooled = np.einsum("l,ild->id", weights, z)
        distance = np.linalg.norm(pooled[first] - pooled[second], axis=1)
        return 0.5 * np.mean(distance[same] ** 2) + 0.5 * np.mean(np.maximum(2.0 - distance[~same], 0) ** 2)

    np.testing.assert_allclose(loss(pool.weights), pool.loss)
    np.testing.assert_allclose(loss(np.full(5, 0.2)), pool.even_loss)
    rng = np.random.default_rng(0)
    near = [0.99 * pool.weights + 0.01 * rng.dirichlet(np.ones(5)) for _ in range(50)]
    assert min(map(loss, near)) >= pool.loss - 1e-6


def test_a_language_model_tells_its_styles_apart(tiny_lm, monkeypatch):
    prompts, answers = PROMPTS * 2, RESPONSES["plain"] + RESPONSES["warm"]
    labels = ["plain"] * 4 + ["warm"] * 4
    states = hidden_states(tiny_lm, prompts, answers)
    assert states.shape == (8, 3, 64)
    alone = np.concatenate([hidden_states(tiny_lm, [p], [a]) for p, a in zip(prompts, answers, strict=True)])
    np.testing.assert_allclose(states, alone, atol=1e-4)
    found = alignment_quality(states[:, 1], labels, folds=2, permutations=30, n_bootstrap=10)
    assert found.probe_auc == 1.0 and found.p < 0.1
    # However large the vocabulary, logits are computed of one place alone, and of few states at once.
    seen, head = [], tiny_lm.network.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[:2])))
    monkeypatch.setattr("pluralism.diagnostics.answer_states._STATES", 3 * 64 * 80)
    np.testing.assert_allclose(hidden_states(tiny_lm, prompts, answers), states, atol=1e-4)
    handle.remove()
    assert len(seen) > 1 and {places for _, places in seen} == {1}
    last = hidden_states(tiny_lm, prompts, answers, pool="last")
    # All answers end with the same token, whose embedding they share.
    np.testing.assert_allclose(last[:, 0], np.broadcast_to(last[0, 0], (8, 64)), atol=1e-6)


def test_bad_input_is_refused(tiny_lm):
    z, labels = points_of(0, [4, 4])
    with pytest.raises(DataError, match="two clusters"):
        cluster_indices(z, [0] * 8)
    with pytest.raises(DataError, match="two clusters"):
        cluster_indices(z, [0] * 7 + [1])
    with pytest.raises(DataError, match="finite matrix"):
        cluster_indices(z[0], labels)
    with pytest.raises(DataError, match="8 points and 2 labels"):
        cluster_indices(z, [0, 1])
    with pytest.raises(DataError, match="fewer than 5"):
        alignment_quality(z, labels)
    with pytest.raises(DataError, match="fewer than 5 blocks"):
        alignment_quality(*points_of(0, [6, 6]), blocks=np.arange(12) % 4)
    with pytest.raises(DataError, match="blocks do not fit"):
        alignment_quality(*points_of(0, [6, 6]), blocks=[0])
    with pytest.raises(UsageError, match="weight"):
        alignment_quality(z, labels, weight=2.0)
    with pytest.raises(UsageError, match="components"):
        alignment_quality(z, labels, components=9, folds=2)
    with pytest.raises(DataError, match="all the same"):
        fit_layer_pool(np.zeros((4, 2, 2)), [0, 0, 0, 0])
    with pytest.raises(DataError, match="a row, not"):
        fit_layer_pool(*planted(0)).transform(np.zeros((2, 3, 6)))
    with pytest.raises(UsageError, match="pool="):
        hidden_states(tiny_lm, PROMPTS, RESPONSES["plain"], pool="max")
