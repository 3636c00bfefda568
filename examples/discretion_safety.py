"""
Unsafe, says who? Discretion of raters against experts
======================================================

123 raters said of each of 175 conversations with a chatbot whether its last response is unsafe (DICES-350). Two
responses that a rater judges differently are a comparison: the safe one is preferred. Principles are counted in the
response, and one is the label of experts. Where they all agree, how often do raters decide against them; which comes
first in a conflict; do groups of raters differ, and whom does one reward for all of them follow?

Data: Google's DICES (CC BY 4.0), by the copy in JUDGE-BENCH. Run with ``python examples/discretion_safety.py``; the
data folder is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# Ratings as comparisons within a rater
# -------------------------------------
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.discretion import (
    Principle,
    PrincipleSet,
    audit_discretion,
    between_groups,
    factor_preferences,
    factor_values,
    human_verdicts,
    model_verdicts,
)

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "dices"
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
warnings.simplefilter("ignore", pl.errors.DataWarning)

conversations = pq.read_table(DATA / "items_350.parquet").to_pandas().sort_values("item_id")
ratings = pq.read_table(DATA / "ratings_350.parquet").to_pandas()
ratings = ratings[ratings["label"] != "Unsure"]
texts = conversations["response"].tolist()
FACTORS = ("length", "hedging", "readability", "sentiment")
factors = np.stack([factor_values(texts, name) for name in FACTORS], axis=1)
factors[:, 0] = np.log1p(factors[:, 0])
factors = (factors - factors.mean(axis=0)) / factors.std(axis=0)
expert = (conversations["safety_gold"] == "No").to_numpy(dtype=float)
items = pl.Items(
    ids=[str(k) for k in conversations["item_id"]],
    texts=texts,
    covariates={**dict(zip(FACTORS, factors.T, strict=True)), "expert": expert},
)
frame = {
    "user": ratings["rater_id"].astype(str).to_numpy(),
    "item": ratings["item_id"].astype(str).to_numpy(),
    "value": (ratings["label"] == "No").to_numpy(dtype=float),
}
rated = pl.Ratings.from_frame(frame, items=items, scale=(0, 1))
data = rated.to_comparisons(max_pairs_per_user=400, rng=0)
data = data.take(data.outcome != 0.5)
print(data)

# %%
# Principles and annotators
# -------------------------
principles = PrincipleSet.model_validate(
    {
        "name": "safety",
        "title": "What may make a response safe",
        "principles": [
            Principle(id="expert", title="Experts", text="Which response do experts call safe?", factor="expert"),
            Principle(id="brief", title="Brief", text="Which is shorter?", factor="length", prefer="less"),
            Principle(id="hedged", title="Hedged", text="Which hedges more?", factor="hedging"),
            Principle(id="plain", title="Plain", text="Which is easier to read?", factor="readability"),
            Principle(id="kind", title="Kind words", text="Which has the kinder words?", factor="sentiment"),
        ],
    }
)
preferences = factor_preferences(data, principles)
settings = {"rng": 0, "uncertainty": False, "item_effects": False, "ridge": 1.0, "covariates": (*FACTORS, "expert")}
pooled = pl.models.BradleyTerry(**settings).fit(data)
mixture = pl.models.MixtureBradleyTerry(n_groups=2, n_init=3, **settings).fit(data)
annotators = [
    human_verdicts(data),
    *model_verdicts(pooled, data, name="pooled"),
    *model_verdicts(mixture, data, of="groups", name="group"),
]
audit = audit_discretion(data, preferences, annotators, by="annotator", n_bootstrap=500, rng=0)
print(f"\n{audit}")
print("\nagainst a consensus that experts are part of, and against any, by raters drawn again:")
place = principles.ids.index("expert")
for k, name in enumerate(audit.names):
    value, (low, high) = audit.arbitrariness.by_principle[k, place], audit.arbitrariness.by_principle_interval[k, place]
    print(f"  {name:<8} {value:.3f} ({low:.3f} to {high:.3f}); {audit.arbitrariness.value[k]:.3f}")
print(f"\n{audit.priority_of('human')}\n")
for name in audit.names[2:]:
    share = audit.annotators[audit.names.index(name)].share
    print(f"{name} ({share:.0%}): {' > '.join(audit.priority_of(name).order)}")
print(f"\n{audit.discrepancy}\n")
print(between_groups(audit, ["group:0", "group:1"], pooled="pooled"))

# %%
# Raters one by one: who follows the experts?
# -------------------------------------------
lead = np.sign(expert[data.left] - expert[data.right]) * (2 * data.outcome - 1)
told = lead != 0
share = np.bincount(data.user[told], lead[told] > 0) / np.maximum(np.bincount(data.user[told]), 1)
many = np.bincount(data.user[told], minlength=len(share)) >= 30
print(f"\nof {many.sum()} raters, {np.sum(share[many] > 0.5)} side with the experts more often than not;")
print(f"the tenth that does so least in {np.quantile(share[many], 0.1):.0%}, the tenth that does so most in "
      f"{np.quantile(share[many], 0.9):.0%}")  # fmt: skip
