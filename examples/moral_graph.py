"""
Which values are wiser, and how sure is that?
=============================================

A moral graph is made of votes: is this value wiser than that one, in this context? The usual way to read it (cuts on
counts, then PageRank) names a winner whatever the evidence. Here people are simulated, so that the truth is known: how
much of it do ways to count find, what do they say of too little evidence, and which questions teach most?

Run with ``python examples/moral_graph.py``; ``SEEDS=20`` averages over more populations.
"""

# %%
# A study
# -------
# Eighty people vote eight times each, on twelve values in two contexts. One in seven answers is "not sure"; of the
# others, one in five is yes whatever the story.
import os

import numpy as np

from pluralism.elicitation import (
    aggregate,
    edge_posteriors,
    feedback_arcs,
    graph_shape,
    response_styles,
    select_questions,
    simulate_people,
    simulate_study,
    transitivity,
    votes_needed,
    voting_curve,
)
from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.simulation.recovery import recovery

SEEDS = int(os.environ.get("SEEDS", "6"))
contexts = ("When a friend is in distress", "When a child will not listen")
people = simulate_people(80, 12, contexts=contexts, drift=0.4, acquiescence=0.2, unsure=1 / 7, rng=0)
graph = simulate_study(people, 8, rng=0)
print(graph)
print(response_styles(graph))

# %%
# The original's rule, and what it does not say
# ---------------------------------------------
print(aggregate(graph, "reference"))

# %%
# With intervals over participants
# --------------------------------
# Tiers instead of a winner: a value is in the first tier if its interval of ranks overlaps with that of the best.
ranking = aggregate(graph, "bradley-terry", n_bootstrap=500, rng=0)
print(ranking)
print(f"people say yes more readily than they mean it by {ranking.details['acquiescence']:.2f} in log-odds")

# %%
# By context
# ----------
# Contexts with few votes borrow from each other.
for context in contexts:
    print(aggregate(graph, "hierarchical-bradley-terry", context=context, n_bootstrap=200, rng=0))

# %%
# Do the answers fit together?
# ----------------------------
print(edge_posteriors(graph))
print(votes_needed(graph))
print(graph_shape(graph))
print(feedback_arcs(graph))
print(transitivity(graph))

# %%
# How much of the truth is found
# ------------------------------
# Kendall's tau with the planted wisdoms, at equal votes.
rules = ("reference", "corrected", "pagerank", "schulze", "hodge-rank", "bradley-terry")
print(f"\ntau with the truth, mean of {SEEDS} populations\n{'votes':>6} " + " ".join(f"{rule:>14}" for rule in rules))
for votes in (3, 6, 10):
    found = []
    for seed in range(SEEDS):
        drawn = simulate_people(80, 12, acquiescence=0.2, unsure=1 / 7, rng=seed)
        study = simulate_study(drawn, votes, rng=seed)
        found.append([recovery(aggregate(study, rule, n_bootstrap=0), drawn).tau for rule in rules])
    print(f"{votes:>6} " + " ".join(f"{tau:>14.2f}" for tau in np.mean(found, axis=0)))

# %%
# Which questions teach most
# --------------------------
# The same people and the same number of votes; only the choice of questions differs.
methods = ("random", "sparsest", "lottery", "information-gain")
curve = voting_curve(lambda seed: simulate_people(60, 12, unsure=1 / 7, rng=seed), methods=methods, repeats=SEEDS)
print(f"\ntau by choice of questions\n{'answers':>7} " + " ".join(f"{method:>17}" for method in methods))
for j, answers in enumerate(curve.answers):
    print(f"{answers:>7} " + " ".join(f"{tau:>17.2f}" for tau in curve.value[:, :, j].mean(axis=1)))
print("better than random by " + ", ".join(f"{gain:+.3f} ({name})" for name, gain in curve.gain_over().items()))

# %%
# What to ask the next participant
# --------------------------------
ids = list(graph.values)
hypotheses = [UpgradeHypothesis(a, b, contexts[0]) for a in ids for b in ids if a != b]
for question in select_questions(graph, "somebody new", n=3, hypotheses=hypotheses, rng=0):
    names = [graph.values[name].title for name in (question.hypothesis.source, question.hypothesis.wiser)]
    print(f"{question.reason}: is {names[1]!r} wiser than {names[0]!r}?")
