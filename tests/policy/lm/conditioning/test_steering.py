"""Steering vectors: mean differences by hand, completeness of the attributions, what they do, and that they go."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tiny_lm import PROMPTS, RESPONSES

from pluralism.errors import ConvergenceWarning, DataError, ModelFileError, UsageError
from pluralism.files import save_arrays
from pluralism.policy.lm.conditioning import (
    Conditioner,
    Steered,
    SteeringVector,
    attribute_margin,
    attributed_steering,
    integrated_gradients,
)
from pluralism.policy.lm.conditioning.layers import decoder_layers, layer_at

PAIRS = (PROMPTS, RESPONSES["warm"], RESPONSES["plain"])


def logits(model, prompt=PROMPTS[0]):
    with torch.no_grad():
        return model.network(torch.tensor([model.prompt_tokens(prompt)])).logits


def margins(model):
    """Mean over pairs of the mean token log-probability of the warm answer minus that of the plain one."""
    asked, liked, disliked = PAIRS
    return model.log_probs(asked, liked, end=False).mean - model.log_probs(asked, disliked, end=False).mean


@pytest.fixture(scope="module")
def vector(tiny_lm):
    return SteeringVector.from_pairs(tiny_lm, *PAIRS, layer=0)


@pytest.mark.parametrize("layer", [0, 1])
def test_mean_difference_by_hand(tiny_lm, layer):
    kept = []
    handle = decoder_layers(tiny_lm.network)[layer].register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    means = []
    with torch.no_grad():
        for side in (PAIRS[1], PAIRS[2]):
            for prompt, response in zip(PROMPTS, side, strict=True):
                before = tiny_lm.prompt_tokens(prompt)
                answer = tiny_lm.response_tokens(response, end=False)
                tiny_lm.network(torch.tensor([[*before, *answer]]))
                hidden = kept.pop()
                hidden = hidden[0] if isinstance(hidden, tuple) else hidden
                means.append(hidden[0, len(before) :].double().mean(0).numpy())
    handle.remove()
    expected = (np.stack(means[:4]) - np.stack(means[4:])).mean(axis=0)
    found = SteeringVector.from_pairs(tiny_lm, *PAIRS, layer=layer)
    np.testing.assert_allclose(found.vector, expected, atol=1e-5)
    assert (found.layer, found.n_pairs, found.model) == (layer, 4, tiny_lm.name)
    reversed_ = SteeringVector.from_pairs(tiny_lm, PROMPTS, PAIRS[2], PAIRS[1], layer=layer - 2)
    np.testing.assert_allclose(reversed_.vector, -expected, atol=1e-5)


def test_the_vector_is_added_and_then_exactly_gone(tiny_lm, vector):
    before = logits(tiny_lm)
    with vector.applied(tiny_lm, 2.0):
        moved = logits(tiny_lm)
    assert not torch.allclose(before, moved) and torch.equal(before, logits(tiny_lm))
    # By hand: the vector added to what the layer puts out.
    layer = layer_at(tiny_lm.network, 0)[0]
    added = torch.tensor(2.0 * vector.vector, dtype=torch.float32)
    handle = layer.register_forward_hook(
        lambda module, inputs, output: (output[0] + added, *output[1:]) if isinstance(output, tuple) else output + added
    )
    torch.testing.assert_close(moved, logits(tiny_lm))
    handle.remove()
    with pytest.raises(RuntimeError, match="stop"), vector.applied(tiny_lm):
        raise RuntimeError("stop")
    assert torch.equal(before, logits(tiny_lm))
    with vector.applied(tiny_lm, 0.0):
        assert torch.equal(before, logits(tiny_lm))


def test_two_vectors_add_up(tiny_lm, vector):
    with vector.applied(tiny_lm, 1.5):
        whole = logits(tiny_lm)
    with vector.applied(tiny_lm, 0.5), (2 * vector).applied(tiny_lm, 0.5):
        torch.testing.assert_close(whole, logits(tiny_lm), atol=1e-4, rtol=1e-4)


def test_length_is_kept_where_asked(tiny_lm, vector):
    norms = []

    def keep(module, inputs, output):
        norms.append((output[0] if isinstance(output, tuple) else output).norm(dim=-1))

    layer = decoder_layers(tiny_lm.network)[0]
    handle = layer.register_forward_hook(keep)
    logits(tiny_lm)
    handle.remove()
    with vector.applied(tiny_lm, 5.0, keep_norm=True):
        handle = layer.register_forward_hook(keep)
        logits(tiny_lm)
        handle.remove()
    torch.testing.assert_close(norms[0], norms[1], rtol=1e-4, atol=1e-4)


def test_integrated_gradients_of_a_polynomial():
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    start = torch.tensor([0.5, 1.0, 0.0], dtype=torch.float64)
    found = integrated_gradients(lambda v: v[0] ** 3 + v[0] * v[1] + 4 * v[2], x, start, steps=2)
    # The product's change is shared by the path: (x0 - s0) times the mean of v1, and so on.
    expected = [1.0**3 - 0.5**3 + 0.5 * -0.5, -3.0 * 0.75, 2.0]
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert abs(found.residual) < 1e-12
    with pytest.raises(UsageError, match="steps=0"):
        integrated_gradients(lambda v: v.sum(), x, steps=0)


def test_attributions_sum_to_the_change_of_the_margin(tiny_lm, vector):
    found = attribute_margin(tiny_lm, vector, *PAIRS, steps=16)
    assert found.start == pytest.approx(margins(tiny_lm).mean(), abs=1e-5)
    with vector.applied(tiny_lm):
        assert found.end == pytest.approx(margins(tiny_lm).mean(), abs=1e-5)
    assert found.end - found.start > 0.005
    assert abs(found.residual) < 1e-3 * (found.end - found.start)
    crude = attribute_margin(tiny_lm, vector, *PAIRS, steps=1)
    assert abs(found.residual) < abs(crude.residual)
    copy = tiny_lm.copy()
    copy.network.zero_grad()
    apart = attribute_margin(copy, vector, *PAIRS, steps=4, batch_size=1)
    together = attribute_margin(tiny_lm, vector, *PAIRS, steps=4)
    np.testing.assert_allclose(apart.values, together.values, atol=1e-5)
    assert all(weights.grad is None for weights in copy.network.parameters())


def test_few_dimensions_carry_the_preference(tiny_lm, vector, monkeypatch):
    found = attributed_steering(tiny_lm, *PAIRS, layer=0, share=0.8)
    kept = found.vector != 0
    assert 0 < kept.sum() < len(kept) and (found.attributions[kept] > 0).all()
    raised = np.where(found.attributions > 0, found.attributions, 0)
    assert raised[kept].sum() >= 0.8 * raised.sum() > raised[kept].sum() - raised[kept].min()
    assert np.linalg.norm(found.vector) == pytest.approx(np.linalg.norm(vector.vector))
    ratio = found.vector[kept] / vector.vector[kept]
    np.testing.assert_allclose(ratio, ratio[0])
    with found.applied(tiny_lm):
        kept_margin = margins(tiny_lm).mean()
    assert kept_margin > margins(tiny_lm).mean()
    monkeypatch.setattr("pluralism.policy.lm.conditioning.attribution.TOLERANCE", 1e-6)
    with pytest.warns(ConvergenceWarning, match="more steps than 1"):
        attributed_steering(tiny_lm, *PAIRS, layer=0, steps=1)


def test_answers_move_with_the_strength(tiny_lm, vector):
    def warmth(strength):
        steered = Steered(tiny_lm, {"warm": vector}, strength)
        made = steered.generate(PROMPTS, "warm", n=8, max_tokens=40, rng=0)
        return np.mean(["friend" in text for text in made.texts])

    found = [warmth(strength) for strength in (-4.0, 0.0, 4.0)]
    assert found[0] < 0.1 < found[1] < 0.9 < found[2]


def test_what_is_written_has_the_log_probability_of_the_steered_model(tiny_lm, vector):
    steered = Steered(tiny_lm, {"warm": vector, "plain": -1 * vector})
    assert isinstance(steered, Conditioner) and steered.groups == ("warm", "plain")
    made = steered.generate(PROMPTS, "plain", max_tokens=8, rng=1)
    with vector.applied(tiny_lm, -1.0):
        asked = [tiny_lm.prompt_tokens(prompt) for prompt in made.prompt_texts]
        expected = tiny_lm.token_log_probs(asked, made.tokens).total
    np.testing.assert_allclose(made.log_probs, expected, atol=1e-4)


def test_saved_and_loaded(tiny_lm, tmp_path):
    found = attributed_steering(tiny_lm, *PAIRS, layer=0, steps=4)
    again = SteeringVector.load(found.save(tmp_path / "warm.safetensors"))
    np.testing.assert_array_equal(again.vector, found.vector)
    np.testing.assert_array_equal(again.attributions, found.attributions)
    assert repr(again) == repr(found) and again.to_json() == found.to_json()
    assert found.to_frame().column_names == ["dimension", "value", "attribution"]
    assert json.loads(found.to_json())["method"] == "integrated gradients"
    save_arrays(tmp_path / "other.safetensors", {"vector": found.vector})
    with pytest.raises(ModelFileError, match="no steering vector"):
        SteeringVector.load(tmp_path / "other.safetensors")


def test_wrong_inputs(tiny_lm, vector):
    with pytest.raises(UsageError, match="no layer 7"):
        SteeringVector.from_pairs(tiny_lm, *PAIRS, layer=7)
    with pytest.raises(UsageError, match="not as many"):
        SteeringVector.from_pairs(tiny_lm, PROMPTS, PAIRS[1], PAIRS[2][:2])
    with pytest.raises(UsageError, match="answer is empty"):
        SteeringVector.from_pairs(tiny_lm, PROMPTS[:1], [""], ["x"])
    with pytest.raises(UsageError, match="no pair"):
        SteeringVector.from_pairs(tiny_lm, [], [], [])
    with pytest.raises(UsageError, match="share=0"):
        attributed_steering(tiny_lm, *PAIRS, share=0)
    with pytest.raises(UsageError, match="No dimension"):
        attributed_steering(tiny_lm, PROMPTS, PAIRS[1], PAIRS[1])
    with pytest.raises(UsageError, match="cannot steer"), SteeringVector(np.ones(3), 0, "x", "y", 1).applied(tiny_lm):
        pass
    with pytest.raises(UsageError, match="strength=nan"):
        Steered(tiny_lm, {"a": vector}, np.nan)
    with pytest.raises(DataError, match="cannot be used"):
        SteeringVector(np.array([np.inf]), 0, "x", "y", 1)
