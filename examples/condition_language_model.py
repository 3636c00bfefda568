"""
Conditioning a language model for four groups
=============================================

From judgements to a language model that answers each group in its own way, and to the question whom that serves. Half
of the raters are followed; the other half, who were never optimised for, judge. Beside it stand three policies that
answer everybody alike: utilitarian, MaxMin and Nash.

Run with ``python examples/condition_language_model.py``. It takes three to four minutes on two cores, writes the folder
``conditioned`` with a page and two figures, and, run again, goes on with what is there.
"""

# %%
# Who wants what
# --------------
# The demo's raters fall into four groups. They are split in halves, group by group, and the model is fitted anew to
# either half: one reward to follow, and one to judge by.
from pathlib import Path

import numpy as np

import pluralism as pl
from pluralism.data.demo import demo_comparisons, demo_groups
from pluralism.policy.lm import (
    ConditionedPairs,
    LanguageModel,
    TextReward,
    condition,
    held_out_pair,
    single_policies,
    train_from_scratch,
)
from pluralism.policy.lm.adapter_bank import AdapterBank
from pluralism.policy.lm.adapter_settings import Lora
from pluralism.policy.lm.conditioning import BestOfN, SinglePolicy
from pluralism.policy.lm.recipes import SupervisedTuning
from pluralism.reports import build_conditioning_report

OUT = Path("conditioned")
TOKENS, DRAWS = 140, 4

judgements = demo_comparisons(rng=0).comparisons.embed("minilm")
model = pl.models.MixtureBradleyTerry(n_groups=4, rng=0).fit(judgements)
pair = held_out_pair(model, judgements, rng=0)
# Groups come largest first, as those of the demo do.
groups = tuple(group.name for group in demo_groups())


def reward(fit, order):
    """A column for each group, in one order for both halves."""
    names = [groups[k] for k in np.argsort(order)]
    return TextReward.of_groups(fit, "minilm", names=names).only(*groups)


followed, judge = reward(pair.optimised, pair.optimised_groups), reward(pair.judge, pair.judge_groups)
said = f"{pair.judge_users} raters; {pair.optimised_users} others were followed"
print(said, "- their rewards correlate by", ", ".join(f"{r:.2f}" for r in pair.agreement))

# %%
# A language model
# ----------------
# A small Llama, trained here from nothing on the answers of the corpus: to a question it gives one of the styles that
# it has seen, whoever asks. With ``LanguageModel.load("path or name")`` everything below is the same.
items = judgements.items
prompts, texts = items.prompts.to_pylist(), items.texts.to_pylist()
if (OUT / "base" / "config.json").exists():
    lm = LanguageModel.load(OUT / "base", device="cpu", dtype="float32")
else:
    lm = train_from_scratch(prompts, texts, OUT / "base", steps=250, device="cpu", rng=0)
print(lm)

# %%
# Conditioning
# ------------
# Two ways, both for the rewards of the half that is followed: the best of four draws; and an adapter for each group,
# trained on those two of the model's own 48 answers to each of 36 questions that the group likes most. The other 24
# questions are judged on.
asked = np.random.default_rng(1).permutation(list(dict.fromkeys(prompts))).tolist()
tested, learnt = asked[:24], sorted(asked[24:])
drawn = lm.generate(learnt, n=48, max_tokens=TOKENS, rng=1)
liked = ConditionedPairs.from_rewards(followed, drawn.prompt_texts, drawn.texts, pairing="mirrored", max_stages=2)
recipe = SupervisedTuning(adapter=Lora(rank=8), max_steps=100, learning_rate=5e-3, max_tokens=256)
bank = AdapterBank.train(recipe, lm, liked, OUT / "adapters", groups=groups)
best = BestOfN(SinglePolicy(lm, groups), {name: followed.only(name) for name in groups}, DRAWS)

# %%
# Single policies weigh the groups by their rule, on the same answers.
singles, weights = single_policies(lm, followed, drawn.prompt_texts, drawn.texts, n=DRAWS)
for rule, weight in weights.items():
    print(f"{rule:12s} weights", ", ".join(f"{w:.2f}" for w in weight))

# %%
# Whom it serves
# --------------
# Win rates against the model as it was, by held-out judges; p-values permute for whom a response was made.
found = condition(
    lm,
    [bank, best],
    judge,
    tested,
    folder=OUT / "experiment",
    optimised=[followed],
    singles=singles,
    shares=model.group_weights_,
    samples=4,
    max_tokens=TOKENS,
    said=said,
)
print(found)

# %%
# Who gains, who loses: with conditioning each group its own, and everybody the same under single policies.
scores = found.scores
for name in scores.conditions[-3:]:
    column = scores.conditions.index(name)
    for words, where in (("gain", scores.gainers), ("lose", scores.losers)):
        print(f"{name}: {words}:", ", ".join(np.array(groups)[where[:, column]]) or "nobody")

page = build_conditioning_report(found, command="python examples/condition_language_model.py")
page.write(OUT / "report.html")
(OUT / "condition.json").write_text(found.to_json(indent=1))
for name in ("cross_1", "gains"):
    page.displays[name].plot().figure_.savefig(OUT / f"{name}.svg")
