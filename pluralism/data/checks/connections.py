"""Which items the answers tie together, and which rewards they leave without bounds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from pluralism.data.checks.view import SHOWN, View, item_label, not_tested
from pluralism.data.graph import components, strong_components, undefeated_and_winless, win_edges
from pluralism.data.report import Check, tell
from pluralism.data.separation import find_separation
from pluralism.data.units import prompt_nodes

__all__ = ["connectedness", "one_sided_items", "separability_by_features", "separability_by_items", "unused_items"]

WIDEST = 1024
"""Most features for which separability is tested."""


def connectedness(view: View) -> Check:
    """Connected components of the graph of comparisons, against what the prompts let expect."""
    data = view.data
    left, right = data.left[view.counted], data.right[view.counted]
    label = components(left, right, data.n_items)
    used = _used(view)
    sizes = np.bincount(label[used]) if used.any() else np.empty(0, dtype=np.int64)
    sizes = sizes[sizes > 0]
    n = len(sizes)
    left_prompt, right_prompt, n_nodes = prompt_nodes(data)
    expected = 1
    if data.items.prompts is not None and n:
        block = components(left_prompt[view.counted], right_prompt[view.counted], n_nodes)
        expected = len(np.unique(block[left_prompt[view.counted]]))
    split = n > expected
    if n <= 1:
        found = f"All {int(used.sum()):,} compared items hang together."
    else:
        found = f"The {int(used.sum()):,} compared items fall into {n:,} components "
        found += (
            f"of {sizes[0]:,} items each."
            if sizes.min() == sizes.max()
            else f"of {sizes.min():,} to {sizes[0]:,} items."
        )
        found += " There is no comparison between prompts, as usual." if not split else ""
        found += f" Prompts alone would make {expected:,}." if split and expected > 1 else ""
    examples = [int(np.flatnonzero(used & (label == k))[0]) for k in range(min(n, SHOWN))]
    return Check(
        "connectedness",
        "warning",
        not split,
        found,
        count=n if split else 0,
        share=1 - float(sizes.max()) / float(sizes.sum()) if n else 0.0,
        samples=tuple(
            {"component": k + 1, "items": int(sizes[k]), "such as": item_label(data.items, item)}
            for k, item in enumerate(examples)
        )
        if split
        else (),
        fix="Compare rewards only within a component, embed the texts so that features tie them together, or ask for "
        "comparisons between components.",
        measures={"components": n, "expected": expected, "largest": int(sizes.max(initial=0))},
    )


def unused_items(view: View) -> Check:
    """Items that no row compares."""
    data = view.data
    rest = np.flatnonzero(~_used(view))
    n = len(rest)
    return Check(
        "items never compared",
        "warning",
        n == 0,
        f"{n:,} of {tell(data.n_items, 'item', 'are')} in no comparison."
        if n
        else f"All {data.n_items:,} items are compared.",
        count=n,
        share=n / data.n_items if data.n_items else 0.0,
        samples=tuple({"item": item_label(data.items, int(code))} for code in rest[:SHOWN]),
        fix="Their rewards rest on their features, or on the prior alone; comparisons.compact() drops them.",
    )


def one_sided_items(view: View) -> Check:
    """Items that always win, and items that always lose."""
    data = view.data
    winner, loser = _edges(view)
    best, worst = undefeated_and_winless(winner, loser, data.n_items)
    games = np.bincount(np.concatenate([data.left[view.counted], data.right[view.counted]]), minlength=data.n_items)
    order = np.lexsort((np.arange(data.n_items), -games))
    rows = [int(code) for code in order if best[code] or worst[code]]
    n, used = len(rows), int(_used(view).sum())
    return Check(
        "items always or never preferred",
        "warning",
        n == 0,
        f"{tell(int(best.sum()), 'item', 'are')} preferred in every comparison and {int(worst.sum()):,} in none."
        if n
        else "Every item is preferred at least once and not always.",
        count=n,
        share=n / used if used else 0.0,
        samples=tuple(
            {
                "item": item_label(data.items, code),
                "preferred": "always" if best[code] else "never",
                "comparisons": int(games[code]),
            }
            for code in rows[:SHOWN]
        ),
        fix="Keep the default ridge: without a prior the rewards of these items are infinite.",
        measures={"always": int(best.sum()), "never": int(worst.sum())},
    )


def separability_by_items(view: View) -> Check:
    """Ford's condition: within a component, a chain of wins leads from every item to every other."""
    data = view.data
    winner, loser = _edges(view)
    used = _used(view)
    strong = strong_components(winner, loser, data.n_items)
    weak = components(winner, loser, data.n_items)
    n_strong, n_weak = len(np.unique(strong[used])), len(np.unique(weak[used]))
    apart = n_strong > n_weak
    # Ranks among strong components follow their size; the largest is the core that the others beat or lose to.
    core = np.bincount(strong[used]).max() if used.any() else 0
    outside = np.flatnonzero(used & (np.bincount(strong)[strong] < core)) if apart else np.empty(0, dtype=np.int64)
    return Check(
        "separability by items",
        "warning",
        not apart,
        f"Wins do not lead from every item to every other: the items fall into {n_strong:,} strongly connected sets "
        f"(one to a component would be {n_weak:,}), so rewards per item have no finite best fit without a prior."
        if apart
        else "A chain of wins leads from every item to every other of its component: rewards per item have a finite "
        "best fit even without a prior.",
        count=n_strong - n_weak,
        share=len(outside) / int(used.sum()) if used.any() else 0.0,
        samples=tuple({"item": item_label(data.items, int(code))} for code in outside[:SHOWN]),
        fix="Keep the default ridge, which makes them finite, and read rewards at the ends with their uncertainty.",
        measures={"strong_components": n_strong, "components": n_weak},
    )


def separability_by_features(view: View) -> Check:
    """Whether a direction in feature space agrees with every decided answer."""
    name = "separability by features"
    data = view.data
    if data.items.features is None:
        return not_tested(name, "the items have no features")
    if data.dim > WIDEST:
        return not_tested(name, f"{data.dim:,} features are more than {WIDEST:,}")
    counted = view.counted
    answer = find_separation(data.items.features, data.left[counted], data.right[counted], data.outcome[counted])
    part = (
        f" ({answer.n_tested:,} of {answer.n_pairs:,} pairs were looked at)" if answer.n_tested < answer.n_pairs else ""
    )
    if answer.separable is None:
        return not_tested(name, f"the question was too large to settle{part}")
    return Check(
        name,
        "warning",
        not answer.separable,
        f"Some direction of the {data.dim:,} features agrees with every decided answer, and strictly with "
        f"{answer.n_strict:,} pairs: a linear reward has no finite best fit without a ridge."
        if answer.separable
        else f"No direction of the {data.dim:,} features agrees with every decided answer{part}.",
        count=answer.n_strict,
        share=answer.n_strict / answer.n_pairs if answer.n_pairs else 0.0,
        fix="Keep the ridge (chosen by validation by default), use fewer features, or collect more answers.",
        measures={"pairs": answer.n_pairs, "dim": data.dim},
    )


def _edges(view: View) -> tuple[Int[np.ndarray, " edges"], Int[np.ndarray, " edges"]]:
    data = view.data
    return win_edges(data.left[view.counted], data.right[view.counted], data.outcome[view.counted])


def _used(view: View) -> Bool[np.ndarray, " items"]:
    used = np.zeros(view.data.n_items, dtype=bool)
    used[view.data.left[view.counted]] = True
    used[view.data.right[view.counted]] = True
    return used
