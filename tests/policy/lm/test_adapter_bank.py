"""An adapter for each group on one base: trained, switched off, saved and read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_lm as models
import torch

from pluralism.errors import DataError, ModelFileError, UsageError
from pluralism.policy.lm.adapter_bank import AdapterBank
from pluralism.policy.lm.adapter_settings import Lora, PromptTuning
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.conditioning.conditioner import Conditioner
from pluralism.policy.lm.recipes import DPO, CurryDPO, SupervisedTuning, train_per_group
from pluralism.policy.lm.recipes.training_rows import groups_of
from pluralism.policy.lm.shared_weights import weights_of

GROUPS = {"plain": "plain", "warm/kind": "warm"}


@pytest.fixture(scope="module")
def answers():
    return [
        {"prompt": prompt, "completion": models.RESPONSES[style][k], "group": group}
        for group, style in GROUPS.items()
        for k, prompt in enumerate(models.PROMPTS)
    ]


@pytest.fixture(scope="module", params=[Lora(rank=4), PromptTuning(tokens=4)], ids=["lora", "prompt"])
def bank(request, tiny_lm, answers, tmp_path_factory):
    rate = 1e-2 if isinstance(request.param, Lora) else 0.1
    quick = SupervisedTuning(learning_rate=rate, max_steps=16, batch_size=4, adapter=request.param)
    return AdapterBank.train(quick, tiny_lm, answers, tmp_path_factory.mktemp("bank"))


def total(model, style):
    return model.log_probs(models.PROMPTS, models.RESPONSES[style]).total.sum()


def test_each_group_prefers_its_answers(bank, tiny_lm):
    assert bank.groups == ("plain", "warm/kind") and isinstance(bank, Conditioner)
    plain, warm = (bank.model(group) for group in bank.groups)
    gap = {model.name: total(model, "plain") - total(model, "warm") for model in (plain, warm, tiny_lm)}
    assert gap[plain.name] > gap[tiny_lm.name] > gap[warm.name]
    found = bank.generate(models.PROMPTS, "warm/kind", n=2, max_tokens=20, temperature=0.5, rng=3)
    assert found.texts == warm.generate(models.PROMPTS, n=2, max_tokens=20, temperature=0.5, rng=3).texts
    with pytest.raises(UsageError, match="no group 'cold'"):
        bank.model("cold")


def test_the_base_is_shared_and_is_the_reference(bank, tiny_lm):
    base = {weight.data_ptr() for weight in tiny_lm.network.parameters()}
    plain, warm = (bank.model(group) for group in bank.groups)
    for model in (plain, warm):
        assert {weight.data_ptr() for weight in model.network.parameters()} > base
        with model.network.disable_adapter():
            assert total(model, "warm") == pytest.approx(total(tiny_lm, "warm"), rel=1e-6)
        assert total(model, "warm") != pytest.approx(total(tiny_lm, "warm"), rel=1e-3)
    assert not any(hasattr(layer, "lora_A") for layer in tiny_lm.network.modules())
    assert not Adapter.is_on(tiny_lm.network) and not Adapter.is_on(Adapter.base_of(plain.network))
    assert total(bank.base, "plain") == total(tiny_lm, "plain")


def test_callbacks_see_every_stage_of_every_group(tiny_lm, tmp_path):
    from transformers import TrainerCallback

    class Counted(TrainerCallback):
        steps = 0

        def on_step_end(self, args, state, control, **rest):
            self.steps += 1

    rows = {"prompt": ["a", "b"] * 2, "chosen": ["c"] * 4, "rejected": ["d"] * 4}
    # Groups may be numbers, as clusters are.
    rows |= {"group": [1, 1, 2, 2], "stage": [0, 1, 0, 1]}
    assert groups_of(rows) == ("1", "2")
    counted = Counted()
    stage = DPO(max_steps=1, batch_size=1, adapter=Lora(rank=1, layers=("q_proj",)))
    made = AdapterBank.train(CurryDPO(stage=stage), tiny_lm, rows, tmp_path, groups=("2",), callbacks=[counted])
    assert made.groups == ("2",) and counted.steps == 2


def test_random_numbers_of_others_are_left_alone(bank):
    state = torch.random.get_rng_state()
    AdapterBank(bank.base, bank.adapters).model("plain")
    assert torch.equal(state, torch.random.get_rng_state())


def test_saved_and_read_back(bank, tiny_lm, other_base, tmp_path):
    place = bank.save(tmp_path / "bank")
    again = AdapterBank.load(place, tiny_lm)
    assert again.groups == bank.groups
    for group in bank.groups:
        for name, weight in weights_of(bank.model(group).network).items():
            assert torch.equal(weight, weights_of(again.model(group).network)[name])
    assert bank.save(place) == place
    assert not list(place.rglob("*.bin")) and not list(place.rglob("*.pt"))
    with pytest.raises(UsageError, match="whose weights are not those of"):
        AdapterBank.load(place, other_base)
    with pytest.raises(ModelFileError, match="no bank of adapters"):
        AdapterBank.load(tmp_path, tiny_lm)
    record = json.loads((place / "bank.json").read_text())
    record["groups"]["plain"] = "../../elsewhere"
    (place / "bank.json").write_text(json.dumps(record))
    with pytest.raises(ModelFileError, match="record of the bank is damaged"):
        AdapterBank.load(place, tiny_lm)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="files of something else"):
        bank.save(tmp_path / "full")


@pytest.fixture(scope="module")
def other_base(tiny_lm):
    other = tiny_lm.copy(name="other")
    with torch.no_grad():
        next(other.network.parameters()).add_(0.01)
    return other


def test_peft_reads_an_adapter_of_the_bank(bank, tiny_lm, tmp_path):
    import peft

    place = bank.save(tmp_path / "bank")
    network = peft.PeftModel.from_pretrained(tiny_lm.copy().network, str(place / "group-plain"))
    theirs = type(tiny_lm)(network.eval(), tiny_lm.tokenizer, "theirs")
    assert total(theirs, "warm") == pytest.approx(total(bank.model("plain"), "warm"), rel=1e-6)


def test_what_cannot_be_a_bank(tiny_lm, bank, answers, tmp_path):
    with pytest.raises(UsageError, match="trains all weights"):
        AdapterBank.train(SupervisedTuning(), tiny_lm, answers, tmp_path)
    with pytest.raises(UsageError, match="has no adapter"):
        AdapterBank.of(tiny_lm, {"a": tiny_lm})
    with pytest.raises(UsageError, match=r"The base .* has an adapter"):
        AdapterBank(bank.model("plain"), bank.adapters)
    with pytest.raises(UsageError, match=r"The base .* has an adapter"):
        AdapterBank.train(SupervisedTuning(adapter=Lora()), bank.model("plain"), answers, tmp_path)
    with pytest.raises(DataError, match="'group' is missing"):
        train_per_group(DPO(), tiny_lm, [{"prompt": "a", "chosen": "b", "rejected": "c"}], tmp_path)
    with pytest.raises(DataError, match="group 'cold' has no rows"):
        train_per_group(SupervisedTuning(), tiny_lm, answers, tmp_path, groups=("plain", "cold"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ModelFileError, match="There is no adapter here"):
        Adapter.load(tmp_path)
    place = Adapter.of(bank.model("plain").network).save(tmp_path / "damaged")
    (place / "adapter_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelFileError, match="adapter cannot be read"):
        Adapter.load(place)


def test_an_adapter_of_another_kind_is_refused(bank, tiny_lm, answers, tmp_path):
    held = bank.model("plain")
    other = PromptTuning() if isinstance(Adapter.of(held.network).config.to_dict().get("r"), int) else Lora()
    with pytest.raises(UsageError, match="another adapter"):
        SupervisedTuning(adapter=other, max_steps=1).train(held, answers, tmp_path)
    config = Adapter.of(held.network)
    small = type(tiny_lm)(tiny_lm.copy().network, tiny_lm.tokenizer, "small")
    wrong = Adapter(config.config, {name: weight[..., :-1] for name, weight in config.weights.items()})
    with pytest.raises(UsageError, match="does not fit"):
        wrong.on(small.network)
    fewer = Adapter(config.config, dict(list(config.weights.items())[1:]))
    with pytest.raises(UsageError, match="does not fit"):
        fewer.on(small.network)
    assert np.isfinite(total(tiny_lm, "plain"))
