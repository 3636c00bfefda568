"""What `pluralism fit` says of the model it made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.cli.output import clean_text
from pluralism.cli.tables import heading, number, percent, percent_span, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.data import Comparisons, Rankings
    from pluralism.models.recipes import Recipe

__all__ = ["fit_document", "render_fit"]

_PLAIN = (
    "n_groups_",
    "group_weights_",
    "effective_n_",
    "ridge_",
    "item_precision_",
    "tie_",
    "covariate_names_",
    "covariate_effects_",
    "converged_",
    "n_iter_",
    "objective_",
    "gradient_norm_",
    "log_likelihood_",
    "bic_",
    "icl_",
    "restart_agreement_",
    "n_components_",
    "separable_",
    "feature_space_",
    "selection_",
)


def fit_document(
    run: Path, recipe: Recipe, model: Any, comparisons: Comparisons | Rankings, seconds: float
) -> dict[str, Any]:
    """The result of a fit as plain values."""
    membership = model.membership()
    learned = {name.rstrip("_"): getattr(model, name) for name in _PLAIN if hasattr(model, name)}
    return {
        "run": str(run),
        "recipe": recipe.name,
        "title": recipe.title,
        "model": type(model).__name__,
        "n": len(comparisons),
        "users": comparisons.n_users,
        "items": comparisons.n_items,
        "dim": comparisons.dim,
        **learned,
        "group_weight_intervals": model.group_weight_intervals() if hasattr(model, "group_weight_intervals") else None,
        "item_effects": len(getattr(model, "item_ids_", None) or ()),
        "placed_with_90_percent": float((membership.certainty >= 0.9).mean()) if len(membership) else None,
        "seconds": round(seconds, 3),
    }


def render_fit(console: Console, found: dict[str, Any]) -> None:
    """Print what `fit_document` holds."""
    from pluralism.reports import group_name

    heading(console, clean_text(found["title"]))
    features = f"{found['dim']} features" if found["dim"] else "no features"
    effects = f" and {found['item_effects']:,} items' own effects" if found["item_effects"] else ""
    console.print(
        f"{found['n']:,} judgements by {found['users']:,} users of {found['items']:,} items, {features}{effects}; "
        f"{found['seconds']:.1f} s\n"
    )
    groups = [group_name(k) for k in range(found["n_groups"])] if found["n_groups"] > 1 else ["everybody"]
    if found["n_groups"] > 1 and (found["group_weight_intervals"] is None or "effective_n" not in found):
        shares = [[name, percent(share)] for name, share in zip(groups, found["group_weights"], strict=True)]
        print_table(console, ["", "share of users"], shares)
    elif found["n_groups"] > 1:
        print_table(
            console,
            ["", "share of users", "95 % interval", "users' worth"],
            [
                [name, percent(share), percent_span(bounds), f"{worth:.1f}"]
                for name, share, bounds, worth in zip(
                    groups,
                    found["group_weights"],
                    found["group_weight_intervals"],
                    found["effective_n"],
                    strict=True,
                )
            ],
        )
        console.print(f"{percent(found['placed_with_90_percent'])} of the users are placed with 90 % certainty.\n")
    if found.get("selection"):
        _render_selection(console, found["selection"])
    if found.get("covariate_names") and "covariate_effects" in found:
        names = [clean_text(name, 30) for name in found["covariate_names"]]
        print_table(
            console,
            ["logits a unit of", *groups],
            [
                [name, *(number(effects[j], sign=True) for effects in found["covariate_effects"])]
                for j, name in enumerate(names)
            ],
        )
    state = "converged" if found["converged"] else "NOT converged: raise max_iter with --set max_iter=2000"
    ridge = f"ridge {found['ridge']:.4g}, " if isinstance(found.get("ridge"), float) else ""
    console.print(f"{ridge}{found['n_iter']} iterations, {state}", soft_wrap=True)
    console.print(f"saved as {found['run']}; next: pluralism evaluate {found['run']} TEST", soft_wrap=True)


def _render_selection(console: Console, rows: list[dict[str, Any]]) -> None:
    heading(console, "Number of groups, by the likelihood of held-out users (nats an answer)")
    print_table(
        console,
        ["groups", "held out", "less the best", "its s.e.", "BIC", "ICL", ("", "left")],
        [
            [
                row["n_groups"],
                number(row["held_out"], 4),
                number(-row["difference_to_best"], 4),
                number(row["se_to_best"], 4),
                number(row["bic"], 0),
                number(row["icl"], 0),
                "chosen" if row["chosen"] else "",
            ]
            for row in rows
        ],
    )
