"""Transformer encoders against a computation by hand, one text at a time without padding."""

from __future__ import annotations

import functools
import shutil
import warnings

import numpy as np
import pytest

from pluralism.embeddings import HuggingFaceEncoder, embed, resolve
from pluralism.errors import DataWarning, EncoderError, MissingExtraError, UsageError

TEXTS = [
    "A short one.",
    "A text that is a good deal longer than the others, so that they are padded when they share a batch with it.",
    "",
    "你好 — مرحبا — שלום",
    "👩‍👩‍👧 emoji \u202e and \u200b marks",
    "A short one.",
    "word " * 40,
]


@functools.cache
def loaded(transformers, path, model_class):
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    return tokenizer, getattr(transformers, model_class).from_pretrained(path, dtype=torch.float32).eval()


def by_hand(transformers, path, text, pooling, layer=None, model_class="AutoModel"):
    import torch

    tokenizer, model = loaded(transformers, path, model_class)
    ids = torch.tensor([tokenizer(text, truncation=True, max_length=64)["input_ids"]])
    with torch.no_grad():
        output = model(input_ids=ids, output_hidden_states=True)
    hidden = (output.last_hidden_state if layer is None else output.hidden_states[layer])[0]
    vector = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return vector.numpy()


@pytest.mark.parametrize(
    ("pooling", "layer"), [("mean", None), ("cls", None), ("last", None), ("mean", 0), ("cls", 1), ("last", -2)]
)
@pytest.mark.parametrize("model", ["tiny_bert", "tiny_gpt"])
def test_pooling_and_layer_by_hand(request, transformers, model, pooling, layer):
    path = request.getfixturevalue(model)
    encoder = HuggingFaceEncoder(path, pooling=pooling, layer=layer, normalize=False, dtype="float32", device="cpu")
    features = encoder.encode(TEXTS)
    expected = np.array([by_hand(transformers, path, text, pooling, layer) for text in TEXTS])
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
    encoder.normalize = True
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(TEXTS), unit, atol=1e-5)


def test_padding_and_company_do_not_change_a_vector(tiny_bert, tiny_gpt):
    for path in (tiny_bert, tiny_gpt):
        encoder = HuggingFaceEncoder(path, dtype="float32", batch_tokens=1)
        alone = encoder.encode(TEXTS)
        for encoder.batch_tokens in (50, 10_000):
            np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], alone, atol=1e-6)


def test_the_encoder_half_of_an_encoder_decoder(transformers, tiny_t5):
    encoder = HuggingFaceEncoder(tiny_t5, normalize=False, dtype="float32", pooling="mean")
    expected = [by_hand(transformers, tiny_t5, text, "mean", model_class="T5EncoderModel") for text in TEXTS[:2]]
    np.testing.assert_allclose(encoder.encode(TEXTS[:2]), expected, rtol=1e-4, atol=1e-4)


def test_automatic_pooling_is_in_the_space(tiny_bert, tiny_gpt):
    assert "pooling=mean" in HuggingFaceEncoder(tiny_bert).space
    assert "pooling=last" in HuggingFaceEncoder(tiny_gpt).space


def test_whatever_changes_the_vectors_changes_the_space(tiny_bert, tmp_path):
    variants = [
        {},
        {"pooling": "cls"},
        {"layer": 1},
        {"layer": 2},
        {"normalize": False},
        {"max_length": 32},
        {"dtype": "bfloat16"},
        {"dtype": "float16"},
    ]
    spaces = {HuggingFaceEncoder(tiny_bert, **{"dtype": "float32", **options}).space for options in variants}
    assert len(spaces) == len(variants)
    assert HuggingFaceEncoder(tiny_bert, batch_tokens=7).space == HuggingFaceEncoder(tiny_bert).space
    moved = shutil.copytree(tiny_bert, tmp_path / tiny_bert.name)
    assert HuggingFaceEncoder(moved).space == HuggingFaceEncoder(tiny_bert).space
    weights = moved / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    assert HuggingFaceEncoder(moved).revision != HuggingFaceEncoder(tiny_bert).revision


def test_truncation_is_reported_with_count_and_longest(tiny_bert, tmp_path):
    texts = ["word " * 40, "word " * 6, "word " * 7, "word " * 40, "short"]  # 42, 8, 9, 42 and 3 tokens
    encoder = HuggingFaceEncoder(tiny_bert, max_length=8, dtype="float32")
    for n_cached in (0, 4):
        with pytest.warns(DataWarning, match=r"2 texts are longer than the 8 tokens .* \(the longest has 42\)"):
            result = embed(texts, encoder, cache=tmp_path)
        assert (result.n_truncated, result.max_length, result.longest, result.n_cached) == (2, 8, 42, n_cached)
    with pytest.warns(DataWarning, match="2 texts"):
        encoder.encode(texts[1:])
    assert embed(texts, HuggingFaceEncoder(tiny_bert, dtype="float32")).n_truncated == 0


def test_truncated_texts_keep_their_closing_token(transformers, tiny_bert):
    with pytest.warns(DataWarning):
        cut = HuggingFaceEncoder(tiny_bert, pooling="last", dtype="float32", max_length=10).encode(["word " * 40])
    short = HuggingFaceEncoder(tiny_bert, pooling="last", dtype="float32", max_length=10).encode(["word " * 8])
    np.testing.assert_allclose(cut, short, atol=1e-6)


def test_limits_of_models(tiny_bert, tiny_roberta):
    encoder = HuggingFaceEncoder(tiny_roberta, dtype="float32")
    assert encoder.max_length == 33
    with pytest.warns(DataWarning):
        assert np.isfinite(encoder.encode(["word " * 100])).all()
    with pytest.raises(UsageError, match="at most 64"):
        HuggingFaceEncoder(tiny_bert, max_length=65).encode(["a"])


def test_half_precision_stays_close_and_survives_half_storage(tiny_bert, tmp_path):
    full = HuggingFaceEncoder(tiny_bert, dtype="float32").encode(TEXTS)
    for dtype in ("bfloat16", "float16"):
        encoder = HuggingFaceEncoder(tiny_bert, dtype=dtype, device="cpu")
        fresh = embed(TEXTS, encoder, cache=tmp_path / dtype)
        assert (fresh.features * full).sum(1).min() > 0.999
        again = embed(TEXTS, encoder, cache=tmp_path / dtype)
        assert again.n_cached == again.n_unique
        np.testing.assert_array_equal(again.features, fresh.features)


def test_what_cannot_be_loaded_is_an_encoder_error(tiny_bert, tmp_path):
    with pytest.raises(EncoderError, match="neither here nor on the hub"):
        embed(["a"], "hf:nobody/has-this-model")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EncoderError, match="cannot be loaded"):
        embed(["a"], f"hf:{empty}")
    without = shutil.copytree(tiny_bert, tmp_path / "without")
    (without / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="cannot be loaded"):
        embed(["a"], f"hf:{without}")


def test_pickled_weights_are_not_read(transformers, tiny_bert, tmp_path):
    import torch

    folder = shutil.copytree(tiny_bert, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    trace = tmp_path / "was-here"

    class Harm:
        def __reduce__(self):
            return (open, (str(trace), "w"))

    torch.save({"x": Harm()}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        embed(["a"], f"hf:{folder}")
    assert not trace.exists()


def test_code_of_the_model_is_not_run(tiny_bert, tmp_path):
    import json

    folder = shutil.copytree(tiny_bert, tmp_path / "own-code")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModel": "mine.Model", "AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')\nclass Config: ...\nclass Model: ...\n")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        embed(["a"], f"hf:{folder}")
    assert not (tmp_path / "was-here").exists()


def test_missing_weights_are_not_made_up(transformers, tiny_bert, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(tiny_bert, tmp_path / "holes")
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if "layer.1.attention.self.query.weight" in name)]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match="would be random"):
        embed(["a"], f"hf:{folder}")


def test_weights_with_nan_are_noticed_by_row(tiny_bert, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(tiny_bert, tmp_path / "nan")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    import transformers

    token = transformers.AutoTokenizer.from_pretrained(folder)("cat", add_special_tokens=False)["input_ids"][0]
    weights[name][token] = np.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    texts = ["dog", "a cat", "bird", "cat", "a cat"]
    with pytest.raises(EncoderError, match="NaN") as caught:
        embed(texts, f"hf:{folder}", dtype="float32", cache=tmp_path / "cache", batch_tokens=1)
    # The batch that met the NaN is named; what came before it was kept.
    assert "texts[1]" in str(caught.value) and "texts[0]" not in str(caught.value)
    with pytest.raises(EncoderError):
        embed(texts, f"hf:{folder}", dtype="float32", cache=tmp_path / "cache")
    assert embed(["dog"], f"hf:{folder}", dtype="float32", cache=tmp_path / "cache").features.shape == (1, 16)


def test_bad_options_are_usage_errors(tiny_bert):
    for options in (
        {"pooling": "median"},
        {"dtype": "int8"},
        {"device": "tpu9"},
        {"device": "cuda"},
        {"max_length": 0},
        {"batch_tokens": 0},
        {"layer": 9},
        {"colour": "red"},
        {"model": "x"},
    ):
        if options == {"device": "cuda"} and __import__("torch").cuda.is_available():
            continue
        with pytest.raises(UsageError):
            resolve(f"hf:{tiny_bert}", **options).encode(["a"])


def test_a_missing_library_is_named_with_the_line_that_installs_it(tiny_bert, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="transformers") as caught:
        HuggingFaceEncoder(tiny_bert).encode(["a"])
    assert "pip install 'pluralism[embed]'" in str(caught.value)


def test_loading_is_silent_and_leaves_the_library_as_it_was(transformers, tiny_bert, capfd):
    transformers.utils.logging.enable_progress_bar()
    before = transformers.utils.logging.get_verbosity()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            HuggingFaceEncoder(tiny_bert).encode(["a"])
        assert transformers.utils.logging.is_progress_bar_enabled()
        assert transformers.utils.logging.get_verbosity() == before
    finally:
        transformers.utils.logging.disable_progress_bar()
    out, err = capfd.readouterr()
    assert out == "" and err == ""
