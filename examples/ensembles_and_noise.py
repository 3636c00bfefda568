"""
Many rewards or fewer judgements? Ensembles and noise filters on arguments
==========================================================================

Two ways in which reward models are made robust, on judgements of which argument is more convincing. An *ensemble* helps
where its members err apart: what do bootstrapped people bring, and what a second encoder? A *noise filter* drops what
it finds hardest to predict: what does that cost, and whom?

Data: Habernal & Gurevych, ACL 2016 (CC BY 4.0). Run with ``python examples/ensembles_and_noise.py``; the data folder is
``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# Judgements, and two encoders
# ----------------------------
# A sentence encoder and hashed words: one knows what a text means, the other which words it uses.
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.calibration import calibration_table, paired_bootstrap
from pluralism.errors import PluralismWarning
from pluralism.models import BradleyTerry, CollaborativeReward, RewardEnsemble
from pluralism.models.members import stack_spaces

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "ukp_convarg"
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
# debates are not compared with each other, and the filters below do single people out: both are the subject here
warnings.simplefilter("ignore", PluralismWarning)

arguments = pq.read_table(DATA / "arguments.parquet")
ids = [f"{t}/{a}" for t, a in zip(arguments["topic"].to_pylist(), arguments["arg_id"].to_pylist(), strict=True)]
texts, debates = arguments["text"].to_pylist(), arguments["debate"].to_pylist()
plain = pl.Items.from_texts(texts, ids=ids)
meaning, words = plain.embed("minilm", cache=pl.embeddings.default_cache()), plain.embed("hash:256")
items = pl.Items(ids=ids, texts=texts, prompts=debates)
both = stack_spaces(items, {meaning.feature_space: meaning.features, words.feature_space: words.features})
widths = (meaning.dim, words.dim)

pairs = pq.read_table(DATA / "pairs.parquet", columns=["pair_id", "topic", "arg_a", "arg_b"])
judged = pq.read_table(DATA / "comparisons.parquet", columns=["pair_id", "user_id", "choice"]).join(pairs, "pair_id")
judged = judged.filter(pc.not_equal(judged["choice"], "equal"))
counts = judged["user_id"].value_counts()
busy = pc.struct_field(counts, "values").filter(pc.greater_equal(pc.struct_field(counts, "counts"), 20))
judged = judged.filter(pc.is_in(judged["user_id"], busy)).sort_by([("user_id", "ascending"), ("pair_id", "ascending")])
slash = pa.scalar("/", judged["topic"].type)
frame = pa.table(
    {
        "user": judged["user_id"],
        "left": pc.binary_join_element_wise(judged["topic"], judged["arg_a"], slash),
        "right": pc.binary_join_element_wise(judged["topic"], judged["arg_b"], slash),
        "outcome": pc.cast(pc.equal(judged["choice"], "a1"), pa.float64()),
    }
)
data = pl.Comparisons.from_frame(frame, items=both)
train, test = data.split(test=0.25, by="prompt", rng=0)
pair = np.minimum(test.left, test.right).astype(np.int64) * len(ids) + np.maximum(test.left, test.right)
left_out = len(set(np.array(debates)[test.left]))
print(f"{len(train):,} judgements to learn from; {len(test):,} of {left_out} debates left out\n")

# %%
# Ensembles: who errs with whom
# -----------------------------
# The interval is of the difference to the single model on both encoders. Pairs of arguments are drawn again, each with
# all that was said of it; what other debates would bring, three of them cannot tell.
base = BradleyTerry(item_effects=False, uncertainty=False)
single = base.fit(train).predict_proba(test)
ensembles = {
    "8 draws of people": RewardEnsemble(base=base, n_members=8),
    "2 encoders": RewardEnsemble(base=base, n_members=2, resample=None, feature_blocks=widths),
    "8: encoders and people": RewardEnsemble(base=base, n_members=8, feature_blocks=widths),
    "8: the same, minimum": RewardEnsemble(base=base, n_members=8, feature_blocks=widths, aggregate="min"),
}
row = calibration_table(single, test.outcome).row("all")
print(f"{'debates left out':<24}accuracy    NLL    ECE   errors' correlation   all wrong (if independent)")
print(f"{'one model':<24}{row['accuracy']:8.3f} {row['nll']:6.3f} {row['ece']:6.3f}")
for name, ensemble in ensembles.items():
    p = ensemble.fit(train).predict_proba(test)
    row, report = calibration_table(p, test.outcome).row("all"), ensemble.report(test)
    change = paired_bootstrap(p, single, test.outcome, cluster=pair)["nll"]
    print(
        f"{name:<24}{row['accuracy']:8.3f} {row['nll']:6.3f} {row['ece']:6.3f} {report.mean_error_correlation:14.2f} "
        f"{report.shared_failure:18.3f} ({report.independent_failure:.3f})"
        f"   NLL {change.difference:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
    )

# %%
# Noise filters: what they cost
# -----------------------------
# A fifth of the training judgements are turned round. Both heads, or the likelihood of flips, are told that share.
flips = np.random.default_rng(0).random(len(train)) < 0.2
noisy = pl.Comparisons(**{**vars(train), "outcome": np.where(flips, 1 - train.outcome, train.outcome)})
print(f"\n{'a fifth turned round':<24}accuracy    NLL    ECE")
models = {
    "all judgements": base,
    "peers, two encoders": CollaborativeReward(item_effects=False, uncertainty=False, feature_blocks=widths),
    "own losses": CollaborativeReward(item_effects=False, uncertainty=False, method="self", feature_share=1.0),
    "likelihood of flips": CollaborativeReward(item_effects=False, uncertainty=False, method="corrected"),
}
for name, model in models.items():
    row = calibration_table(model.fit(noisy).predict_proba(test), test.outcome).row("all")
    print(f"{name:<24}{row['accuracy']:8.3f} {row['nll']:6.3f} {row['ece']:6.3f}")

# %%
# Noise filters: whom they cost
# -----------------------------
# Now nobody errs more than before, but a tenth of the people want the opposite.
few = np.isin(train.user, np.unique(train.user)[::10])
opposed = pl.Comparisons(
    **{
        **vars(train),
        "outcome": np.where(few, 1 - train.outcome, train.outcome),
        "group": few.astype(np.int32),
        "groups": ["nine tenths", "one tenth"],
    }
)
print("\na tenth of the people want the opposite")
for name, model in list(models.items())[1:]:
    print(f"{name}:\n{model.fit(opposed).rejection_}\n")
