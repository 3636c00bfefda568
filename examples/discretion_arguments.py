"""
What decides which argument convinces? Discretion of crowd workers
==================================================================

Principles that are counted in the text (longer, easier to read, less hedged, less repetitive, kinder) are held against
the judgements of 3,768 crowd workers on pairs of arguments. Where the principles agree, how often do people decide
against them? Where they conflict, which comes first? Do groups of people, found by a mixture, put other principles
first, and whose discretion does one reward for everybody follow?

Data: Habernal & Gurevych, ACL 2016 (CC BY 4.0). Run with ``python examples/discretion_arguments.py``; the data folder
is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# Judgements, and factors of the arguments
# ----------------------------------------
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.discretion import (
    Principle,
    PrincipleSet,
    audit_discretion,
    between_groups,
    factor_influence,
    factor_preferences,
    factor_values,
    human_verdicts,
    model_verdicts,
    property_weights,
    read_principles,
)

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "ukp_convarg"
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
# debates are not compared with each other, and a few arguments always win: both are as they should be here
warnings.simplefilter("ignore", pl.errors.DataWarning)

arguments = pq.read_table(DATA / "arguments.parquet")
ids = [f"{t}/{a}" for t, a in zip(arguments["topic"].to_pylist(), arguments["arg_id"].to_pylist(), strict=True)]
texts = arguments["text"].to_pylist()
FACTORS = ("length", "readability", "hedging", "repetition", "sentiment")
factors = np.stack([factor_values(texts, name) for name in FACTORS], axis=1)
factors[:, 0] = np.log1p(factors[:, 0])
factors = (factors - factors.mean(axis=0)) / factors.std(axis=0)
covariates = dict(zip(FACTORS, factors.T, strict=True))
items = pl.Items(ids=ids, texts=texts, prompts=arguments["debate"].to_pylist(), covariates=covariates)

pairs = pq.read_table(DATA / "pairs.parquet", columns=["pair_id", "topic", "arg_a", "arg_b"])
judged = pq.read_table(DATA / "comparisons.parquet", columns=["pair_id", "user_id", "choice"]).join(pairs, "pair_id")
judged = judged.sort_by([("user_id", "ascending"), ("pair_id", "ascending")])
slash = pa.scalar("/", judged["topic"].type)
frame = pa.table(
    {
        "user": judged["user_id"],
        "left": pc.binary_join_element_wise(judged["topic"], judged["arg_a"], slash),
        "right": pc.binary_join_element_wise(judged["topic"], judged["arg_b"], slash),
        "outcome": [{"a1": 1.0, "a2": 0.0, "equal": 0.5}[c] for c in judged["choice"].to_pylist()],
    }
)
data = pl.Comparisons.from_frame(frame, items=items)
print(data)

# %%
# Principles: those of the shipped set that apply to plain text, and one more
# ---------------------------------------------------------------------------
kinder = Principle(id="kinder", title="Kinder words", text="Which argument has the kinder words?", factor="sentiment")
shipped = read_principles("factors").only(["longer", "plain", "unhedged", "varied"])
principles = PrincipleSet(
    name="arguments", title="What may make an argument convincing", principles=(*shipped.principles, kinder)
)
preferences = factor_preferences(data, principles)

# %%
# Annotators: people, one reward for everybody, and two groups of a mixture
# -------------------------------------------------------------------------
plain = {"rng": 0, "uncertainty": False, "item_effects": False, "ridge": 1.0, "covariates": FACTORS}
pooled = pl.models.BradleyTerry(**plain).fit(data)
mixture = pl.models.MixtureBradleyTerry(n_groups=2, n_init=3, **plain).fit(data)
annotators = [
    human_verdicts(data),
    *model_verdicts(pooled, data, name="pooled"),
    *model_verdicts(mixture, data, of="groups", name="group"),
]
audit = audit_discretion(data, preferences, annotators, n_bootstrap=500, rng=0)
by_people = audit_discretion(data, preferences, annotators[:1], by="annotator", n_bootstrap=500, rng=0)
print(f"\n{audit}")
low, high = by_people.arbitrariness.interval[0]
print(f"people drawn again instead of pairs: {low:.3f} to {high:.3f}")
print("\nby the number of principles that agree (human):")
for size, (value, mass) in enumerate(
    zip(audit.arbitrariness.by_size[0], audit.arbitrariness.size_mass[0], strict=True), 1
):
    print(f"  {size}: {value:.3f} of {mass:,.0f} verdicts")
print(f"\n{audit.priority_of('human')}\n")
for name in audit.names[2:]:
    share = audit.annotators[audit.names.index(name)].share
    print(f"{name} ({share:.0%}): {' > '.join(audit.priority_of(name).order)}")
print(f"\n{audit.discrepancy}\n")
print(between_groups(audit, ["group:0", "group:1"], pooled="pooled"))

# %%
# Why: each factor by itself, and what it adds to the others
# ----------------------------------------------------------
influence = factor_influence(data, annotators[:2], factors=FACTORS, n_bootstrap=200)
print(f"\ninfluence of factors, ties counted against\n{influence}\n{influence.agreement('human', 'pooled')}")
differences = factors[data.left] - factors[data.right]
weights = property_weights(differences, data.outcome, FACTORS, scenario=judged["topic"].to_pylist())
print(f"\nweights of properties for one standard deviation, debates around a common weight\n{weights}")
print(f"standard deviation between the 32 debates: {weights.level_sd['scenario']:.2f}")
