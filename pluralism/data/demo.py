"""The built-in data: an original corpus, four groups who want different things of it, and simulated raters.

The corpus has 60 everyday questions with four answers each, written for this project. Every answer takes a side on
each of four declared axes, coded -1 or +1:

============== ================================== ==================================
axis           -1                                 +1
============== ================================== ==================================
``thorough``   concise: one to three sentences    thorough: 70 to 110 words
``warm``       formal and impersonal              warm, spoken to the reader
``direct``     cautious: hedges and options       direct: plain advice
``community``  for oneself                        for and with others
============== ================================== ==================================

Two of each question's answers stand on either side of every axis, all 16 combinations occur 15 times, and the axes
are exactly orthogonal over the corpus: none stands in for another, nor does length for any but the first.

A simulated rater of group k has weights ``utility[k] + spread * standard normal`` on the axes. With d the difference
of the weighted sums of the axes of the left and the right answer, the rater decides as in `pluralism.data.simulate`:

    P(tie) = nu / (nu + exp(d/2) + exp(-d/2)),    P(left | no tie) = 1 / (1 + exp(-d)),    nu = 0.12,

so a rater with weight 1 on the only axis in which two answers differ prefers the one with odds of exp(2) to 1. The
three large groups share a liking for direct answers that look beyond oneself, and split over length and tone; the
smallest wants the opposite of what they share, so that a single reward for all fails it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.data.population import draw_answers, draw_groups
from pluralism.data.questions import draw_questions
from pluralism.data.simulate import Simulation
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = [
    "AXES",
    "DemoGroup",
    "DemoTruth",
    "NewRaters",
    "demo_axes",
    "demo_comparisons",
    "demo_groups",
    "demo_items",
    "demo_new_raters",
]

AXES = ("thorough", "warm", "direct", "community")
TIES = 0.12
SPREAD = 0.2


@dataclass(frozen=True, slots=True)
class DemoGroup:
    """A group of simulated raters.

    Parameters
    ----------
    name : str
        What it wants, in words.
    share : float
        Of all raters.
    utility : tuple of float
        Its weights on `AXES`; an answer's reward is their product with the answer's sides.
    """

    name: str
    share: float
    utility: tuple[float, float, float, float]


_GROUPS = (
    DemoGroup("brief and businesslike", 0.40, (-1.1, -0.7, 1.1, 0.4)),
    DemoGroup("patient and warm", 0.30, (0.8, 1.2, 0.7, 0.3)),
    DemoGroup("neighbours first", 0.22, (-0.4, 0.2, 0.7, 1.4)),
    DemoGroup("careful and private", 0.08, (0.6, 0.3, -1.3, -0.9)),
)


@dataclass(frozen=True, slots=True)
class DemoTruth:
    """What the simulation of the built-in raters knows.

    Parameters
    ----------
    groups : (users,) int
        True group of each rater, in the order of `demo_groups`.
    group_weights : (groups,) float
        Share of each group, before it is rounded to whole raters.
    utilities : (groups, axes) float
        Weights of the groups on `AXES`.
    user_utilities : (users, axes) float
        Weights of each rater.
    item_rewards : (items, groups) float
        Reward of each answer for a rater who stands exactly where the group does.
    probability : (pairs,) float
        P(left preferred, given a decision) of each row, by its rater's own weights.
    tie_probability : (pairs,) float
    """

    groups: Int[np.ndarray, " users"]
    group_weights: Float[np.ndarray, " groups"]
    utilities: Float[np.ndarray, "groups axes"]
    user_utilities: Float[np.ndarray, "users axes"]
    item_rewards: Float[np.ndarray, "items groups"]
    probability: Float[np.ndarray, " pairs"]
    tie_probability: Float[np.ndarray, " pairs"]


@dataclass(frozen=True, slots=True)
class NewRaters:
    """Unseen raters, in two parts that share the raters and no judgement.

    Parameters
    ----------
    support : Simulation
        What a model may see of them; a rater's rows come in the order they were answered.
    scored : Simulation
        What its predictions for them are scored on.
    """

    support: Simulation[DemoTruth]
    scored: Simulation[DemoTruth]


def demo_items() -> Items:
    """The 240 answers of the built-in corpus with their questions as prompts, not embedded.

    Ids are such as "p07-r2": the second answer to the seventh question. The axes are no covariates, so that no model
    reads them by accident; `demo_axes` has them.

    Examples
    --------
    >>> items = demo_items()
    >>> items
    Items(240 items with texts, prompts)
    >>> items.prompts[0].as_py()
    'How do I start exercising again after a long break?'
    """
    rows = [
        (f"{entry['prompt_id']}-r{number}", response["text"], entry["prompt"])
        for entry in _corpus()
        for number, response in enumerate(entry["responses"], start=1)
    ]
    ids, texts, prompts = (pa.array(column, pa.large_string()) for column in zip(*rows, strict=True))
    return Items(ids=ids, texts=texts, prompts=prompts)


def demo_axes() -> dict[str, Int[np.ndarray, " items"]]:
    """The side of each item of `demo_items` on each of `AXES`, -1 or +1."""
    answers = [response for entry in _corpus() for response in entry["responses"]]
    return {axis: np.array([answer[axis] for answer in answers], dtype=np.int8) for axis in AXES}


def demo_groups() -> tuple[DemoGroup, ...]:
    """The four groups of simulated raters, the largest first.

    Examples
    --------
    >>> [(group.name, group.share) for group in demo_groups()][-1]
    ('careful and private', 0.08)
    """
    return _GROUPS


def demo_comparisons(n_users: int = 240, pairs_per_user: int = 30, rng: RNG = 0) -> Simulation[DemoTruth]:
    """Judgements of the built-in answers by simulated raters.

    Parameters
    ----------
    n_users : int
        Enough for each group to have a rater (6 or more); shares are met by largest remainders.
    pairs_per_user : int
        Each rater judges this many pairs of answers to the same question, drawn without repetition from the 360
        there are, in random order.
    rng : int, Generator or None

    Returns
    -------
    Simulation
        Comparisons whose `group` is the rater's true group, for reports (models never see it), and the truth.

    Examples
    --------
    >>> demo_comparisons(n_users=25, pairs_per_user=8).comparisons
    Comparisons(200 judgements by 25 users of 240 items, 9 ties, 4 known groups, not embedded)
    """
    return _simulate(n_users, pairs_per_user, rng, "rater")


def demo_new_raters(
    n_users: int = 100, support_per_user: int = 20, scored_per_user: int = 20, rng: RNG = 1
) -> NewRaters:
    """Raters of the same population for cold starts: unseen people, the same questions.

    Their labels ("new-007") are none of `demo_comparisons`, and nobody is asked about the same two answers twice, so
    that no scored judgement is in the support.

    Parameters
    ----------
    n_users : int
    support_per_user, scored_per_user : int
        Judgements by each rater in either part.
    rng : int, Generator or None
    """
    if min(support_per_user, scored_per_user) < 1:
        raise UsageError("Both parts need judgements.", fix="Pass support_per_user=20 and scored_per_user=20.")
    whole = _simulate(n_users, support_per_user + scored_per_user, rng, "new")
    number = np.arange(len(whole.comparisons)) % (support_per_user + scored_per_user)
    return NewRaters(_rows(whole, number < support_per_user), _rows(whole, number >= support_per_user))


def _simulate(n_users: int, pairs_per_user: int, rng: RNG, label: str) -> Simulation[DemoTruth]:
    items, generator = demo_items(), as_generator(rng, "demo")
    sides = np.column_stack([demo_axes()[axis] for axis in AXES]).astype(np.float64)
    n_pairs = 6 * len(_corpus())
    if not 1 <= pairs_per_user <= n_pairs:
        raise UsageError(
            f"A rater can judge 1 to {n_pairs} pairs of the built-in corpus, not {pairs_per_user}.",
            fix="Pass pairs_per_user=30.",
        )
    utilities = np.array([group.utility for group in _GROUPS])
    groups, shares = draw_groups(generator, n_users, len(_GROUPS), [group.share for group in _GROUPS])
    own = utilities[groups] + SPREAD * generator.standard_normal((n_users, len(AXES)))
    user, left, right = draw_questions(generator, np.full(n_users, pairs_per_user), items.prompt_codes())
    difference = np.sum((sides[left] - sides[right]) * own[user], axis=1)
    answers = draw_answers(generator, difference, scale=1.0, ties=TIES, position_bias=0.0, noise=0.0)
    comparisons = Comparisons(
        items=items,
        users=_labels(label, n_users),
        user=user,
        left=left,
        right=right,
        outcome=answers.outcome,
        group=groups[user].astype(np.int32),
        groups=pa.array([group.name for group in _GROUPS], pa.large_string()),
    )
    truth = DemoTruth(
        groups=groups,
        group_weights=shares,
        utilities=utilities,
        user_utilities=own,
        item_rewards=sides @ utilities.T,
        probability=answers.probability,
        tie_probability=answers.tie_probability,
    )
    return Simulation(comparisons, truth)


def _rows(whole: Simulation[DemoTruth], mask: np.ndarray) -> Simulation[DemoTruth]:
    truth = replace(
        whole.truth, probability=whole.truth.probability[mask], tie_probability=whole.truth.tie_probability[mask]
    )
    return Simulation(whole.comparisons.take(mask), truth)


def _labels(label: str, n: int) -> pa.LargeStringArray:
    return pa.array([f"{label}-{code:03d}" for code in range(1, n + 1)], pa.large_string())


@cache
def _corpus() -> Sequence[dict[str, Any]]:
    text = files("pluralism.data").joinpath("demo_corpus.jsonl").read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.splitlines())
