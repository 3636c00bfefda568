"""
MaxMin against the mean: what the worst-off group gains, and what it costs the others
=====================================================================================

The built-in corpus has four groups of raters who want different things, one of them a minority of 8 % that wants the
opposite of what the others share. A model that is trained on the mean of all rewards chooses what the minority likes
least. MaxMin raises the group that has least, Nash welfare and the worst-off share of people lie between, and votes on
every prompt compare nothing between groups at all. How much does each bring to whom, at the same distance from the
reference policy?
"""

# %%
# Groups and candidates
# ---------------------
# The raters' judgements, and the groups found in them. Every prompt has four answers, from which the reference policy
# draws with the same chance.
import matplotlib.pyplot as plt
import numpy as np

import pluralism as pl
from pluralism.data.demo import demo_axes, demo_comparisons
from pluralism.policy import compare_policies, maxmin, policy_by_rule
from pluralism.reports import WelfareDisplay, WelfareFrontDisplay

axes = np.stack(list(demo_axes().values()), axis=1).astype(float)
judgements = demo_comparisons(rng=0).comparisons.with_features(axes, "axes")
model = pl.models.MixtureBradleyTerry(n_groups=4, ridge=1.0, item_effects=False, rng=0).fit(judgements)
utilities = model.utilities(judgements.items)
utilities

# %%
# One budget for all
# ------------------
# Every rule that has a price of KL may go half a nat away from the reference. MaxMin comes with its proof: the weight
# that each group has at the optimum, and how much better any policy could be.
BUDGET = 0.5
settings = {"utilitarian": {}, "cvar": {"alpha": 0.3}, "nash": {}, "maxmin": {}, "sample-minimum": {}}
policies = {name: policy_by_rule(utilities, name, kl=BUDGET, **given) for name, given in settings.items()}
policies["schulze"] = policy_by_rule(utilities, "schulze")
policies["maximal-lottery"] = policy_by_rule(utilities, "maximal-lottery")
print(policies["maxmin"])

# %%
# Who gains, who loses
# --------------------
found = compare_policies(policies)
print(found)
gain = found.worst[list(policies).index("maxmin")] - found.worst[0]
price = found.mean[0] - found.mean[list(policies).index("maxmin")]
print(f"MaxMin gives the group that has least {gain:.2f} more than the mean does, and costs {price:.2f} on average.")

_, (left, right) = plt.subplots(ncols=2, figsize=(11, 3.8), layout="constrained")
WelfareDisplay.from_comparison(found).plot(left)
WelfareFrontDisplay.from_comparison(found).plot(right)
plt.show()

# %%
# On average, or on every prompt
# ------------------------------
# MaxMin of the means lets a group lose on one prompt what it gains on another. Raising the least on every prompt by
# itself is stricter, and leaves less for everybody.
strict = maxmin(utilities, beta=0.1, scope="per_prompt")
mild = maxmin(utilities, beta=0.1)
print("least, MaxMin of the means:", mild.group_utilities.min().round(3))
print("least, every prompt by itself:", strict.group_utilities.min().round(3))

# %%
# A page to pass on
# -----------------
report = pl.reports.build_choice_report(found, items=judgements.items)
report
