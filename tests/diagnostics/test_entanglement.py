"""Gradient entanglement: exact quadratic cases, Cauchy-Schwarz, and steps of a language model as predicted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instrument_checks import check_result
from tiny_lm import PROMPTS, RESPONSES

from pluralism.diagnostics import MARGIN_LOSSES, PairTerms, entanglement, entanglement_of_model
from pluralism.diagnostics.margin_losses import margin_loss
from pluralism.errors import DataError, UsageError

VECTOR = st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(np.array)
POSITIVE = st.floats(0.05, 20)


@settings(max_examples=40)
@given(VECTOR, VECTOR, POSITIVE, POSITIVE)
def test_changes_are_those_of_a_linear_model(w, l, d_w, d_l):  # noqa: E741
    found = entanglement([w @ l], [w @ w], [l @ l], d_chosen=d_w, d_rejected=d_l)
    step = d_w * w - d_l * l
    size = 1e-9 * (1 + d_w + d_l) * 75
    np.testing.assert_allclose(found.change_chosen, w @ step, atol=size)
    np.testing.assert_allclose(found.change_rejected, l @ step, atol=size)
    if abs(w @ step) > size and abs(l @ step) > size:
        assert found.chosen_rises[0] == (w @ step > 0)
        assert found.rejected_falls[0] == (l @ step < 0)
        # By Cauchy and Schwarz both cannot fail.
        assert found.chosen_rises[0] or found.rejected_falls[0]


def test_the_two_conditions_by_hand():
    # One direction: the larger gradient carries the smaller one along.
    found = entanglement([2.0, 2.0, -1.0], [1.0, 4.0, 1.0], [4.0, 1.0, 1.0])
    np.testing.assert_array_equal(found.chosen_rises, [False, True, True])
    np.testing.assert_array_equal(found.rejected_falls, [True, False, True])
    np.testing.assert_allclose(found.ratio, [2, 2, -1])
    np.testing.assert_allclose(found.cosine, [1, 1, -1])
    # With a larger pull on the chosen response it rises, and takes the rejected one along.
    pulled = entanglement([2.0], [1.0], [4.0], d_chosen=5.0)
    assert pulled.chosen_rises[0] and not pulled.rejected_falls[0]
    table = entanglement([2.0, -1.0], [1.0, 1.0], [4.0, 1.0], groups=["a", "b"]).by_group().to_pydict()
    assert table["entangled"] == [0.5, 1.0, 0.0]
    check_result(found, rows=3)


def test_a_loss_that_pulls_back_is_drawn_beyond_the_lines():
    # Without any entanglement the chosen response falls and the rejected one rises.
    back = entanglement([0.0, 0.1], [1.0, 1.0], [1.0, 1.0], d_chosen=[-1.0, 1.0], d_rejected=[-1.0, 1.0])
    assert back.chosen_rises.tolist() == [False, True] and back.rejected_falls.tolist() == [False, True]
    places = {line.get_label(): line.get_xydata() for line in back.plot().lines}
    assert (places["chosen falls"] > 1).all() and (places["rejected rises"] > 1).all()
    np.testing.assert_allclose(places["as wanted"], [[0.1, 0.1]])


def test_pulls_of_losses_by_hand():
    def pulls(name, **options):
        w, r = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (-4.0, -6.0))
        base = torch.tensor(-5.0, dtype=torch.float64), torch.tensor(-5.5, dtype=torch.float64)
        form = margin_loss(name, **({"beta": 0.5, "margin": 3.0, "sft_weight": 0.2} | options))
        slopes = torch.autograd.grad(form(PairTerms(w, r, *base, 4, 2)), [w, r])
        return -float(slopes[0]), float(slopes[1])

    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    hat = (-4 + 5) - (-6 + 5.5)
    expected = {
        "dpo": (0.5 * sigmoid(-0.5 * hat),) * 2,
        "cpo": (0.5 * sigmoid(-0.5 * 2),) * 2,
        "ipo": (-2 * (hat - 1),) * 2,
        "slic": (0.5, 0.5),
        "length_normalised": (0.5 / 4 * sigmoid(-0.5 * 0.5), 0.5 / 2 * sigmoid(-0.5 * 0.5)),
        "simpo": (0.5 / 4 * sigmoid(-(0.5 * 2 - 3)), 0.5 / 2 * sigmoid(-(0.5 * 2 - 3))),
        "rpo": (0.5 * sigmoid(-0.5 * hat) + 0.2 / 4, 0.5 * sigmoid(-0.5 * hat)),
    }
    assert set(expected) == set(MARGIN_LOSSES)
    for name, values in expected.items():
        np.testing.assert_allclose(pulls(name), values, err_msg=name)
    assert pulls("slic", margin=0.5) == (0.0, 0.0)


PLAIN, WARM = RESPONSES["plain"], RESPONSES["warm"]


@pytest.mark.parametrize("loss", ["dpo", "length_normalised", "rpo"])
def test_a_tiny_step_moves_both_as_predicted(tiny_lm, loss):
    before = {name: weight.clone() for name, weight in tiny_lm.network.named_parameters()}
    found = entanglement_of_model(tiny_lm, PROMPTS, WARM, PLAIN, loss=loss, beta=0.1, groups=["a", "a", "b", "b"])
    predicted = found.rate * np.stack([found.change_chosen, found.change_rejected])
    observed = np.stack([found.observed_chosen, found.observed_rejected])
    np.testing.assert_allclose(np.abs(predicted).max(axis=0), 0.01)
    np.testing.assert_allclose(observed, predicted, atol=0.003)
    assert found.signs_agree(resolution=0.003) == 1.0
    assert (found.chosen_rises | found.rejected_falls).all()
    assert all(torch.equal(weight, before[name]) for name, weight in tiny_lm.network.named_parameters())
    check_result(found, rows=4)


@pytest.mark.parametrize("loss", ["dpo", "rpo"])
def test_signs_are_as_predicted_where_answers_are_entangled(tiny_lm, loss):
    """Answers that begin alike: which of the two conditions fails is predicted pair by pair, in other models too."""
    twice, falls, rises = [f"{text} {text}" for text in PLAIN], 0, 0
    for seed in range(2):
        model, noise = tiny_lm.copy(), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in model.network.parameters():
                weight.add_(0.03 * torch.randn(weight.shape, generator=noise))
        for chosen, rejected in ((PLAIN, twice), (twice, PLAIN)):
            found = entanglement_of_model(model, PROMPTS, chosen, rejected, loss=loss, reference=tiny_lm)
            # As sums in float32 allow.
            assert found.signs_agree(resolution=5e-4) == 1.0
            predicted = found.rate * np.stack([found.change_chosen, found.change_rejected])
            np.testing.assert_allclose([found.observed_chosen, found.observed_rejected], predicted, atol=5e-4)
            falls, rises = falls + (found.observed_chosen < -5e-4).sum(), rises + (found.observed_rejected > 5e-4).sum()
    # A loss that pulls more at the chosen response does not let it fall.
    assert rises > 2 and (falls > 2 or loss == "rpo")


def test_the_same_answer_twice_is_entangled_and_does_not_move(tiny_lm):
    found = entanglement_of_model(tiny_lm, PROMPTS[:1], PLAIN[:1], PLAIN[:1])
    np.testing.assert_allclose(found.inner, found.chosen, rtol=1e-6)
    np.testing.assert_allclose(found.cosine, 1, rtol=1e-6)


def test_gradients_are_those_of_the_whole_loss(tiny_lm):
    """Both backward passes against one through torch's own loss, on the network itself."""
    network = tiny_lm.copy().network
    found = entanglement_of_model(tiny_lm, PROMPTS[:1], WARM[:1], PLAIN[:1], loss="cpo", beta=0.3)
    asked, logs = tiny_lm.prompt_tokens(PROMPTS[0]), []
    for text in (WARM[0], PLAIN[0]):
        answer = tiny_lm.response_tokens(text)
        ids = torch.tensor([[*asked, *answer]])
        labels = torch.tensor([[-100] * len(asked) + answer])
        logs.append(-network(input_ids=ids, labels=labels).loss * len(answer))
    loss = -torch.nn.functional.logsigmoid(0.3 * (logs[0] - logs[1]))
    network.zero_grad()
    loss.backward()
    squared = sum(float((weight.grad.double() ** 2).sum()) for weight in network.parameters())
    d, mixed = found.d_chosen[0], found.d_rejected[0]
    whole = d**2 * found.chosen[0] + mixed**2 * found.rejected[0] - 2 * d * mixed * found.inner[0]
    np.testing.assert_allclose(whole, squared, rtol=1e-4)


def test_only_the_weights_of_an_adapter_are_looked_at(tiny_lm):
    import peft

    adapted = tiny_lm.copy()
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    network = peft.get_peft_model(adapted.network, config).eval()
    model = type(tiny_lm)(network, tiny_lm.tokenizer, "adapted")
    lora = entanglement_of_model(model, PROMPTS[:2], WARM[:2], PLAIN[:2])
    named = entanglement_of_model(model, PROMPTS[:2], WARM[:2], PLAIN[:2], parameters=lambda name: "lora_" in name)
    whole = entanglement_of_model(model, PROMPTS[:2], WARM[:2], PLAIN[:2], parameters=lambda name: True)
    np.testing.assert_allclose(lora.inner, named.inner)
    assert (whole.chosen > lora.chosen).all()
    assert lora.signs_agree(resolution=0.003) == 1.0


def test_a_reference_enters_the_pull_of_dpo(tiny_lm):
    start = tiny_lm.copy()
    with torch.no_grad():
        for weight in start.network.parameters():
            weight.mul_(0.9)
    found = entanglement_of_model(tiny_lm, PROMPTS[:1], WARM[:1], PLAIN[:1], beta=0.1, reference=start)
    rows = [model.log_probs(PROMPTS[:1] * 2, [WARM[0], PLAIN[0]]).total for model in (tiny_lm, start)]
    margin = rows[0][0] - rows[1][0] - (rows[0][1] - rows[1][1])
    np.testing.assert_allclose(found.d_chosen[0], 0.1 / (1 + np.exp(0.1 * margin)), rtol=1e-4)
    own = entanglement_of_model(tiny_lm, PROMPTS[:1], WARM[:1], PLAIN[:1], beta=0.1)
    np.testing.assert_allclose(own.d_chosen, 0.05)


def test_bad_input_is_refused(tiny_lm):
    with pytest.raises(DataError, match="larger than the product"):
        entanglement([3.0], [1.0], [1.0])
    with pytest.raises(DataError, match="d_chosen has shape"):
        entanglement([0.0], [1.0], [1.0], d_chosen=[1.0, 2.0])
    with pytest.raises(DataError, match="d_rejected has NaN"):
        entanglement([0.0], [1.0], [1.0], d_rejected=np.nan)
    assert entanglement([1e200], [1e200], [1e201]).cosine[0] == pytest.approx(10**-0.5)
    with pytest.raises(DataError, match="below 0"):
        entanglement([0.0], [-1.0], [1.0])
    with pytest.raises(UsageError, match="no loss 'ppo'"):
        entanglement_of_model(tiny_lm, PROMPTS, WARM, PLAIN, loss="ppo")
    with pytest.raises(UsageError, match="No weight"):
        entanglement_of_model(tiny_lm, PROMPTS, WARM, PLAIN, parameters=lambda name: False)
    with pytest.raises(DataError, match="one of each"):
        entanglement_of_model(tiny_lm, PROMPTS, WARM, PLAIN[:1])
    half = tiny_lm.copy()
    half.network.to(torch.bfloat16)
    with pytest.raises(UsageError, match="lost in the rounding"):
        entanglement_of_model(half, PROMPTS, WARM, PLAIN)
    with pytest.raises(UsageError, match="change"):
        entanglement_of_model(tiny_lm, PROMPTS, WARM, PLAIN, change=0.0)
