"""
A circle of majorities, in which no reward can win
==================================================

Three groups of equal size want three things in the orders tea > milk > gin, milk > gin > tea and gin > tea > milk. Two
thirds prefer tea to milk, two thirds milk to gin, and two thirds gin to tea. Whatever a single reward says is best, two
thirds of the people would rather have something else; a lottery over the three is the only choice that nobody can beat.
"""

# %%
# The people
# ----------
# Each of 300 people answers 12 comparisons by the order of the group, with a little noise: so 63 % of all answers, and
# not quite two thirds, prefer tea to milk.
import matplotlib.pyplot as plt
import numpy as np

import pluralism as pl
from pluralism.policy import PreferenceGame, by_voting
from pluralism.social_choice import Profile, borda, find_rule, maximal_lottery

names = ["tea", "milk", "gin"]
orders = [["tea", "milk", "gin"], ["milk", "gin", "tea"], ["gin", "tea", "milk"]]
worth = np.array([[2.0 - order.index(name) for name in names] for order in orders])

rng = np.random.default_rng(0)
user = np.repeat(np.arange(300), 12)
left = rng.integers(0, 3, len(user))
right = (left + rng.integers(1, 3, len(user))) % 3
logit = 3.0 * (worth[user % 3, left] - worth[user % 3, right])
items = pl.Items(names).with_features(np.eye(3))
votes = pl.Comparisons.from_arrays(
    left, right, user=user, outcome=(rng.random(len(user)) < 1 / (1 + np.exp(-logit))).astype(float), items=items
)
votes

# %%
# One reward for everybody
# ------------------------
# The best that a single reward can say is that all three are worth nearly the same. Were it to choose, two thirds would
# prefer something else to whatever it chose.
pooled = pl.models.BradleyTerry(ridge=0.1, item_effects=False, rng=0).fit(votes)
reward = pooled.reward(items)[:, 0]
print("pooled reward:", {name: round(float(r), 2) for name, r in zip(names, reward, strict=True)})

# %%
# A preference that may run in circles
# ------------------------------------
# A skew-symmetric model has no reward, and predicts the majorities as they are. The share of people who prefer the row
# to the column:
general = pl.models.GeneralPreference(rng=0).fit(votes)
shares = general.preference_matrix(items)
print(np.round(shares, 2))

# %%
# What can be chosen
# ------------------
# As a game: somebody picks a candidate (or a lottery over them), somebody else picks what to put up against it. How
# much more than half of the people the challenger wins is the exploitability of a choice.
game = PreferenceGame.from_matrix(shares)
utilities = pl.social_choice.Utilities.from_matrix(worth, candidates=names)
profile = Profile.from_utilities(worth, candidates=names)
lottery = maximal_lottery(profile)
choices = {f"always {name}": np.eye(3)[i] for i, name in enumerate(names)}
choices["the lottery"] = lottery.probabilities
print(lottery)


def exploitability(p):
    with np.errstate(divide="ignore"):
        policy = pl.policy.FinitePolicy(np.log(p)[None], game.utilities, "a choice")
    return float(game.exploitability(policy)[0])


beaten_by = {name: exploitability(p) for name, p in choices.items()}
_, ax = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
ax.barh(list(beaten_by), [0.5 + e for e in beaten_by.values()], color="#4477aa")
ax.axvline(0.5, color="black", linewidth=1, linestyle="--")
ax.set(xlim=(0, 1), xlabel="share of people who prefer the best challenger")
ax.invert_yaxis()
plt.show()

# %%
# What the rules say
# ------------------
# Rules that must name a winner see a tie of all three; the explanation says why.
print(borda.explain(profile))
print(find_rule("schulze").explain(profile))
print("by voting, as a policy:", by_voting(utilities, "maximal-lottery").probs.round(3))
