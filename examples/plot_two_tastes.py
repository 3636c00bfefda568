"""
A minority that the average hides
=================================

Two groups of simulated people judge the same items and want different things; the smaller group is one fifth. We fit
one reward for everybody and one for each group, and look at whom either predicts well.
"""

# %%
# The population
# --------------
# Everyone answers 20 comparisons. What is true of the population comes along and is used for the labels only.
import matplotlib.pyplot as plt

import pluralism as pl
from pluralism.data.simulate import simulate_mixture

drawn = simulate_mixture(
    n_users=100, n_groups=2, n_items=120, dim=8, pairs_per_user=20, group_weights=[0.8, 0.2], rng=0
)
train, test = drawn.comparisons.split(test=0.25, by="pair", rng=0)
drawn.comparisons

# %%
# One reward, or one for each group
# ---------------------------------
pooled = pl.models.BradleyTerry(rng=0).fit(train)
groups = pl.models.MixtureBradleyTerry(n_groups=2, rng=0).fit(train)
evaluations = {"pooled": pl.evaluate(pooled, test), "two groups": pl.evaluate(groups, test)}
for name, result in evaluations.items():
    print(f"{name:12s} accuracy {result.accuracy:.2f}, worst group {result.worst_group_accuracy:.2f}")

_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
pl.reports.ComparisonDisplay.from_evaluations(evaluations).plot(ax)
plt.show()

# %%
# Who the groups are
# ------------------
# Sizes with intervals, and how sure the model is of each person.
_, (left, right) = plt.subplots(ncols=2, figsize=(9, 3.2), layout="constrained")
pl.reports.GroupsDisplay.from_model(groups).plot(left)
pl.reports.MembershipDisplay.from_model(groups).plot(right)
plt.show()

# %%
# Are the probabilities right?
# ----------------------------
# In each bin of confidence, the share of people who agree should lie on the dashed line; the lines are intervals.
_, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
pl.reports.ReliabilityDisplay.from_model(groups, test).plot(ax)
plt.show()
