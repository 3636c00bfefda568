"""
The frontier of co-evolution
============================

A model that people listen to changes what they want. Serve the people who are there, let them go where history would
have taken them, and move them little: the three aims are at odds. Which policies are on the frontier, and where are
those that lead, freeze, or follow?

Run with ``python examples/plot_progress_frontier.py``, and with the name of a file to keep the picture.
"""

# %%
import sys

import matplotlib.pyplot as plt

from pluralism.progress import SimulatedDrift, Task, coevolution_frontier

task = Task(kind="coevolve", process=SimulatedDrift.preset("damped_trend", start_trend=0.2))
frontier = coevolution_frontier(task)
print(frontier)
print("dominated:", ", ".join(frontier.dominated()))

# %%
# Each aim is a mean squared distance per dimension: down and to the left is better, small circles move people least.
figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
for name, (serve, stay, influence), optimal in zip(frontier.names, frontier.aims, frontier.optimal, strict=True):
    axes.scatter(serve, stay, s=40 + 1500 * influence, alpha=0.6, color="tab:blue" if optimal else "tab:orange")
    axes.annotate(name.removeprefix("optimum "), (serve, stay), xytext=(6, 4), textcoords="offset points", fontsize=8)
axes.set(xlabel="distance of the policy from present people", ylabel="distance of people from history")
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1])
