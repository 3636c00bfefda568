"""
Language models as judges: position bias, and what makes their verdicts usable
==============================================================================

Six language models judged 326 pairs of responses with several prompts, each pair in both orders; which response follows
its instruction is known. How much do they prefer what they see first? What does balancing positions gain? How far does
a fifth of the labels carry, and which pairs should people judge?

Data: Zeng et al., LLMBar, ICLR 2024 (MIT). Run with ``python examples/discretion_judges.py``; the data folder is
``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# Trials
# ------
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from pluralism.discretion import (
    JudgeTrials,
    balanced_judgement,
    balancing_gain,
    bpde,
    judge_reliability,
    position_bias,
    route_to_people,
)

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "llmbar"
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)

table = pq.read_table(DATA / "judgements.parquet").to_pandas()
table["pair"] = table["subset"] + "/" + table["pair_id"].astype(str)
table["judge"] = table["evaluator"]
table["verdict"] = table["winner"].map({"1": "left", "2": "right"})
labels = pq.read_table(DATA / "pairs.parquet").to_pandas()
gold = dict(zip(labels["subset"] + "/" + labels["pair_id"].astype(str), labels["label"] == "a", strict=True))
# the second answers of the prompts called Swap were asked for on some pairs alone
table = table[~table["mode"].str.startswith("Swap")]


def trials(part):
    return JudgeTrials.from_frame(part[["pair", "judge", "swapped", "verdict"]])


def right(left, truth):
    return float(np.mean(np.where(np.abs(left - 0.5) < 1e-9, 0.5, (left > 0.5) == truth)))


# %%
# Position bias
# -------------
vanilla = trials(table[table["mode"] == "Vanilla"])
print(f"{vanilla}\n{position_bias(vanilla)}")

# %%
# What balancing gains, at the same number of verdicts
# ----------------------------------------------------
# Where judges see something, averaging both orders lets it through; where most are deceived, it lets that through.
for name, part in (
    ("natural pairs", table[table["subset"] == "Natural"]),
    ("adversarial pairs", table[table["subset"] != "Natural"]),
):
    made = trials(part)
    truth = np.array([gold[pair] for pair in made.pairs], dtype=float)
    print(f"\n{name}\n{balancing_gain(made, truth, evidence=part['mode'].tolist())}")

# %%
# Judges in common, and judges by what is known
# ---------------------------------------------
everything = trials(table)
truth = np.array([gold[pair] for pair in everything.pairs], dtype=float)
known = np.where(np.random.default_rng(1).random(len(truth)) < 0.2, truth, np.nan)
rest = np.isnan(known)
averaged = balanced_judgement(everything).left
blind, taught = judge_reliability(everything), judge_reliability(everything, known=known)
print(f"\njudges, by {np.sum(~rest)} pairs whose answer is known\n{taught}")
print("\nright on the other pairs")
for name, left in (
    ("mean of all judges, balanced", averaged),
    ("what judges have in common", blind.left),
    ("reliabilities from the pairs known", taught.left),
):
    print(f"  {name:<36} {right(left[rest], truth[rest]):.3f}")

# %%
# Which pairs should people judge?
# --------------------------------
entropy = bpde(everything)
print(f"\n{entropy}\nright after people judged 65 of 326 pairs")
for name, left in (
    ("by the mean", averaged),
    ("by smoothed entropy", entropy.left),
    ("by reliability, with 70 known before", taught.left),
):
    asked = route_to_people(everything.pairs, left, most=65)
    print(f"  {name:<36} {right(np.where(asked.ask, truth, left), truth):.3f}")
