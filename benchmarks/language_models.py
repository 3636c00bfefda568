"""Generation and scoring of a language model in tokens a second, against transformers called by hand.

The model has random weights: speed and memory do not depend on what it has learnt. On a GPU::

    python benchmarks/language_models.py --device cuda --params 1b --dtype bfloat16 --prompts 256 --max-tokens 256
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import psutil
import torch
import transformers
from _timing import compare, machine, markdown_table

from pluralism.data.demo import demo_items
from pluralism.llm.device import DTYPES
from pluralism.policy.lm import LanguageModel, train_from_scratch

# width, depth, width of the feed-forward part, heads, heads of keys and values, vocabulary
SIZES = {
    "tiny": (128, 2, 384, 4, 4, 1024),
    "125m": (768, 12, 2048, 12, 12, 32000),
    "350m": (1024, 24, 2816, 16, 16, 32000),
    "1b": (2048, 16, 8192, 32, 8, 32000),
}


def random_model(params: str, dtype: str, device: str) -> LanguageModel:
    """A Llama of a size, with the tokenizer of a model trained on the demo corpus."""
    items = demo_items()
    texts = items.texts.to_pylist(), items.prompts.to_pylist()
    tokenizer = train_from_scratch(
        texts[1], texts[0], vocabulary=1024, hidden=16, layers=1, steps=1, device="cpu"
    ).tokenizer
    width, depth, inner, heads, shared, vocabulary = SIZES[params]
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=depth,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        torch.set_default_dtype(DTYPES[dtype])
        network = transformers.LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    return LanguageModel(network.eval(), tokenizer, params)


class NeverEnding(transformers.LogitsProcessor):
    """No answer ends before the most tokens allowed, so that all write as much."""

    def __init__(self, ends: Sequence[int]) -> None:
        self.ends = list(ends)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        scores[:, self.ends] = -torch.inf
        return scores


def generation_runs(model: LanguageModel, prompts: list[str], most: int) -> dict[str, Callable[[], Any]]:
    """The same amount of writing by this library, by one batch of transformers, and by a loop over prompts."""
    processor = NeverEnding(sorted(model.ends))
    rows = [model.prompt_tokens(prompt) for prompt in prompts]
    options = {
        "do_sample": True,
        "top_k": 0,
        "max_new_tokens": most,
        "logits_processor": transformers.LogitsProcessorList([processor]),
    }

    def batch(some: list[list[int]]) -> Any:
        longest = max(map(len, some))
        ids = [[model.pad] * (longest - len(row)) + row for row in some]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in some]
        inputs = {"input_ids": ids, "attention_mask": mask}
        with torch.inference_mode():
            return model.network.generate(
                **{name: torch.tensor(value, device=model.device) for name, value in inputs.items()}, **options
            )

    return {
        "pluralism": lambda: model.generate(prompts, max_tokens=most, processors=[processor]),
        "one batch": lambda: batch(rows).tolist(),
        "loop": lambda: [batch([row]).tolist() for row in rows],
    }


def scoring_runs(model: LanguageModel, prompts: list[str], answers: list[str]) -> dict[str, Callable[[], Any]]:
    """Log-probabilities by this library, and by a loop of forward passes."""

    def loop() -> list[float]:
        found = []
        for prompt, answer in zip(prompts, answers, strict=True):
            asked, said = model.prompt_tokens(prompt), model.response_tokens(answer)
            ids = torch.tensor([[*asked, *said]], device=model.device)
            with torch.inference_mode():
                logits = model.network(ids).logits[0, len(asked) - 1 : -1].float()
            logs = torch.log_softmax(logits, dim=-1)
            found.append(float(logs.gather(1, ids[0, len(asked) :, None]).sum()))
        return found

    return {"pluralism": lambda: model.log_probs(prompts, answers).total, "loop": loop}


def memory(device: str) -> str:
    """The most memory that was in use."""
    if device.startswith("cuda"):
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB of the device, at most"
    return f"{psutil.Process().memory_info().rss / 2**30:.2f} GiB of the process, now"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--params", default="tiny", choices=list(SIZES))
    parser.add_argument("--dtype", default="float32", choices=list(DTYPES))
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    model = random_model(given.params, given.dtype, given.device)
    items = demo_items()
    rows = [k % len(items) for k in range(given.prompts)]
    prompts = [items.prompts[k].as_py() for k in rows]
    answers = [items.texts[k].as_py() for k in rows]
    print(model)
    written = given.prompts * given.max_tokens
    scored = sum(len(model.response_tokens(answer)) for answer in answers)
    table = []
    for name, tokens, runs in (
        ("generate", written, generation_runs(model, prompts, given.max_tokens)),
        ("log_probs", scored, scoring_runs(model, prompts, answers)),
    ):
        seconds = compare(runs, repeats=given.repeats)
        speed = {by: tokens / value for by, value in seconds.items()}
        table += [[name, by, tokens, speed[by], speed["pluralism"] / speed[by]] for by in runs]
    print(markdown_table(["work", "by", "tokens", "tokens a second", "pluralism faster by"], table))
    print(f"\nMemory: {memory(given.device)}.")
    if given.device.startswith("cuda"):
        print(torch.cuda.get_device_name(given.device))
    print(machine())


if __name__ == "__main__":
    main()
