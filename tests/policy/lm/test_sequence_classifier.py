"""A fitted reward as a network of transformers: the same rewards, saved, loaded, with and without this library."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from tiny_lm import PROMPTS

from pluralism.data.demo import demo_comparisons, demo_items
from pluralism.embeddings.huggingface import HuggingFaceEncoder
from pluralism.errors import ConvergenceWarning, UsageError
from pluralism.models import IdealPoint, MixtureBradleyTerry
from pluralism.policy.lm import ConditionedPairs, SequenceClassifier, TextReward, reward_function

# Most of the corpus is longer than the small encoders here read; one test sees that they cut alike.
pytestmark = pytest.mark.filterwarnings("ignore:.* texts are longer than:pluralism.errors.DataWarning")

NAMES = ("brisk", "warm", "careful")


def save_encoder(folder: Path, kind: str) -> Path:
    """A small random encoder with a tokenizer of words, which puts marks around a text."""
    import tokenizers
    import torch
    import transformers

    texts = demo_items().encoded_texts()
    words = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    words.normalizer = tokenizers.normalizers.Lowercase()
    words.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words.train_from_iterator(texts, tokenizers.trainers.WordPieceTrainer(vocab_size=600, special_tokens=specials))
    if kind == "bert":
        words.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=48,
    ).save_pretrained(folder)  # fmt: skip
    shape = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "bert":
            config = transformers.BertConfig(
                vocab_size=600, max_position_embeddings=64, initializer_range=0.3, pad_token_id=0, **shape
            )
            network = transformers.BertModel(config)
        else:
            config = transformers.LlamaConfig(
                vocab_size=600, max_position_embeddings=64, initializer_range=0.3, pad_token_id=0, **shape
            )
            network = transformers.LlamaForCausalLM(config)
    network.eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["bert", "llama"])
def encoder(request, tmp_path_factory):
    folder = save_encoder(tmp_path_factory.mktemp(request.param), request.param)
    return HuggingFaceEncoder(folder, device="cpu", dtype="float32", max_length=40)


@pytest.fixture(scope="module")
def reward(encoder):
    data = demo_comparisons(n_users=40, pairs_per_user=15).comparisons.embed(encoder)
    model = MixtureBradleyTerry(n_groups=3, ridge=1.0, n_init=1, rng=0).fit(data)
    return TextReward.of_groups(model, encoder, names=NAMES)


@pytest.fixture(scope="module")
def corpus():
    items = demo_items()
    short = [k for k, text in enumerate(items.texts.to_pylist()) if len(text) < 130][:12]
    return [items.prompts[k].as_py() for k in short], [items.texts[k].as_py() for k in short]


def logits(network, tokenizer, texts, padding_side="right"):
    import torch

    inputs = tokenizer(
        text=texts, return_tensors="pt", padding=True, padding_side=padding_side, add_special_tokens=False
    )
    with torch.inference_mode():
        return network(**inputs).logits.numpy()


@pytest.fixture(scope="module")
def expected(reward, corpus):
    return reward.matrix(*corpus)


@pytest.mark.parametrize("side", ["right", "left"])
def test_logits_are_the_rewards_however_texts_are_padded_or_cut(reward, corpus, expected, side):
    made = SequenceClassifier.from_reward(reward)
    found = logits(made.network, made.tokenizer, made.texts(*corpus), side)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert made.names == NAMES and made.network.config.num_labels == 3
    assert made.network.config.id2label == dict(enumerate(NAMES))


def test_saved_and_loaded_by_the_auto_class_it_rewards_alike(reward, corpus, expected, tmp_path):
    import transformers

    made = SequenceClassifier.from_reward(reward.only("warm"))
    folder = made.save(tmp_path / "warm")
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in folder.iterdir()}
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    found = logits(network, tokenizer, made.texts(*corpus))
    assert found.shape == (len(corpus[0]), 1) and network.config.num_labels == 1
    np.testing.assert_allclose(found[:, 0], expected[:, 1], atol=1e-4)


@pytest.mark.slow
def test_it_loads_without_this_library(reward, corpus, expected, tmp_path):
    made = SequenceClassifier.from_reward(reward)
    made.save(tmp_path / "saved")
    code = f"""
import sys
sys.modules["pluralism"] = None
import torch, transformers
saved = {str(tmp_path / "saved")!r}
network = transformers.AutoModelForSequenceClassification.from_pretrained(saved, trust_remote_code=True)
tokenizer = transformers.AutoTokenizer.from_pretrained(saved)
inputs = tokenizer({made.texts(*corpus)!r}, return_tensors="pt", padding=True, add_special_tokens=False)
print(network.eval()(**inputs).logits.tolist())
"""
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.array(eval(done.stdout)), expected, atol=1e-4)


def test_conversations_are_written_as_the_encoder_read_them(reward):
    made = SequenceClassifier.from_reward(reward)
    write = made.tokenizer.apply_chat_template
    asked, said = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}
    marks = ("[CLS]", "[SEP]") if made.network.config.encoder["model_type"] == "bert" else ("", "")
    assert write([asked, said], tokenize=False) == f"{marks[0]}Why?\n\nBecause.{marks[1]}"
    system = {"role": "system", "content": "Be kind."}
    assert write([system, asked, said], tokenize=False) == f"{marks[0]}Why?\n\nBecause.{marks[1]}"
    assert write([asked], tokenize=False, add_generation_prompt=True) == f"{marks[0]}Why?\n\n"
    longer = write([asked, said, asked, said], tokenize=False)
    assert longer == f"{marks[0]}User: Why?\n\nAssistant: Because.\n\nUser: Why?\n\nBecause.{marks[1]}"
    prefix = write([asked, said, asked], tokenize=False, add_generation_prompt=True)
    assert longer.startswith(prefix)


def test_combined_rewards_are_one_label(reward, corpus, expected):
    weights = [0.5, -1.0, 2.0]
    made = SequenceClassifier.from_reward(reward.weighted(weights))
    found = logits(made.network, made.tokenizer, made.texts(*corpus))
    np.testing.assert_allclose(found[:, 0], expected @ weights, atol=1e-4)


def test_a_zero_of_each_prompt_is_left_out_and_units_are_kept(reward, corpus, expected):
    prompts, responses = corpus
    measured = reward.in_unit("normalised", prompts, responses)
    made = SequenceClassifier.from_reward(measured)
    found = logits(made.network, made.tokenizer, made.texts(prompts, responses))
    difference = found - measured.matrix(prompts, responses)
    for prompt in set(prompts):
        own = difference[[one == prompt for one in prompts]]
        np.testing.assert_allclose(own, own[:1].repeat(len(own), 0), atol=1e-3)


def test_labels_make_a_loss_whose_gradient_reaches_the_encoder(reward, corpus):
    import torch

    made = SequenceClassifier.from_reward(reward.only("warm"))
    inputs = made.tokenizer(made.texts(*corpus)[:3], return_tensors="pt", padding=True, add_special_tokens=False)
    output = made.network(**inputs, labels=torch.zeros(3), use_cache=False)
    assert float(output.loss.detach()) == pytest.approx(float((output.logits.detach() ** 2).mean()))
    output.loss.backward()
    assert all(float(weights.grad.abs().sum()) > 0 for weights in made.network.score.parameters())
    assert any(
        weights.grad is not None and float(weights.grad.abs().sum()) > 0
        for weights in made.network.encoder.parameters()
    )


def test_what_is_no_linear_network_is_refused(reward, encoder, corpus):
    with pytest.raises(UsageError, match="least of several"):
        SequenceClassifier.from_reward(reward.in_unit("gain", *corpus).least())
    with pytest.raises(UsageError, match="share of reference responses beaten"):
        SequenceClassifier.from_reward(reward.in_unit("cdf", *corpus).only("warm"))
    data = demo_comparisons(n_users=30, pairs_per_user=10).comparisons.embed("hash:16")
    with pytest.raises(UsageError, match="no transformers encoder"):
        SequenceClassifier.from_reward(
            TextReward.of_groups(MixtureBradleyTerry(n_groups=2, ridge=1.0, n_init=1, rng=0).fit(data), "hash:16")
        )


def test_rewards_that_are_not_linear_are_refused(encoder):
    data = demo_comparisons(n_users=30, pairs_per_user=10).comparisons.embed(encoder)
    model = IdealPoint(n_prototypes=2, latent_dim=2, ridge=1.0, concentration=1.0, n_init=1, max_iter=20, rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data)
    with pytest.raises(UsageError, match="not linear"):
        SequenceClassifier.from_reward(TextReward.of_groups(model, encoder))


@pytest.mark.slow
def test_trainers_of_trl_train_it_and_are_rewarded_by_it(reward, corpus, tiny_lm, tmp_path):
    """RewardTrainer moves its head; GRPO logs the same rewards by the network as by the function."""
    import datasets
    import trl

    settings = {"max_steps": 2, "bf16": False, "activation_checkpointing": False, "report_to": [], "use_cpu": True}
    settings |= {"per_device_train_batch_size": 4, "logging_steps": 1, "disable_tqdm": True}
    warm = reward.only("warm")
    made = SequenceClassifier.from_reward(warm)
    pairs = ConditionedPairs.from_rewards(warm, *corpus, pairing="all").to_dataset()
    before = made.network.score.weight.detach().clone()
    trl.RewardTrainer(
        model=made.network,
        args=trl.RewardConfig(output_dir=str(tmp_path / "reward"), max_length=None, learning_rate=1e-3, **settings),
        train_dataset=pairs.remove_columns(["group", "stage"]),
        processing_class=made.tokenizer,
    ).train()
    assert float((made.network.score.weight - before).detach().abs().max()) > 1e-4
    fresh = SequenceClassifier.from_reward(warm)
    prompts = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
    trainer = trl.GRPOTrainer(
        model=tiny_lm.copy().network,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path / "policy"), num_generations=2, max_completion_length=8, temperature=2.0, **settings
        ),
        train_dataset=datasets.Dataset.from_dict({"prompt": prompts}),
        processing_class=tiny_lm.tokenizer,
        reward_funcs=[reward_function(warm, name="by function"), fresh.network],
        reward_processing_classes=[None, fresh.tokenizer],
    )
    trainer.train()
    for row in trainer.state.log_history[:2]:
        assert row["rewards/warm/mean"] == pytest.approx(row["rewards/by_function/mean"], abs=1e-4)
        assert row["rewards/warm/std"] == pytest.approx(row["rewards/by_function/std"], abs=1e-4)
