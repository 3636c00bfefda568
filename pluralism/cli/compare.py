"""`pluralism compare`: several models fitted to the same data and scored on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import (
    AttributeOption,
    CacheOption,
    ColumnOption,
    DataArgument,
    EncoderOption,
    EncoderSettingOption,
    FeaturesOption,
    ItemsOption,
    JsonOption,
    KindOption,
    MaxPairsOption,
    SeedOption,
    SupportOption,
    UserOption,
    pairs_of,
    settings_of,
)
from pluralism.cli.tables import heading, number, print_table, span, wrapped
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.models import PreferenceModel

__all__ = ["compare"]


def compare(
    data: DataArgument,
    test: Annotated[Path, typer.Option("--test", help="Comparisons to score, none of them in DATA.")],
    models: Annotated[
        str, typer.Option("--models", metavar="A,B,...", help="Recipes, by name or path; the first is the reference.")
    ] = "bt,maxmin",
    support: SupportOption = None,
    seed: SeedOption = 0,
    encoder: EncoderOption = None,
    encoder_option: EncoderSettingOption = None,
    cache: CacheOption = None,
    items: ItemsOption = None,
    features: FeaturesOption = None,
    kind: KindOption = None,
    column: ColumnOption = None,
    user: UserOption = None,
    attribute: AttributeOption = None,
    max_pairs: MaxPairsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit several models to DATA and score them on the same comparisons."""
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.output import output
    from pluralism.cli.progress import piece_in_words, stages
    from pluralism.cli.reading import Reading
    from pluralism.evaluation import compare as fit_and_score

    estimators = _estimators(models, seed)
    encoding = Encoding(encoder, settings_of(encoder_option), cache)
    reading = Reading(kind, pairs_of(column, "--column"), user, attribute, max_pairs, items, features)
    reading = reading.of_votes(estimators.values())
    with output(as_json) as result:
        with stages() as stage:
            stage("reading and embedding")
            parts = []
            for path in (data, test, support):
                if path is None:
                    continue
                comparisons, _ = reading.read(path)
                embedded, _ = encoding.attach(comparisons.items, stage.share)
                parts.append(comparisons.with_items(embedded))
            comparison = fit_and_score(
                estimators,
                parts[0],
                parts[1],
                support=parts[2] if len(parts) > 2 else None,
                callback=lambda name, piece, iteration, objective: stage(f"{name}: {piece_in_words(piece)}"),
                rng=seed,
            )
        document = comparison.to_dict()
        result.show(document, lambda console: _render(console, document))


def _estimators(models: str, seed: int) -> dict[str, PreferenceModel]:
    from pluralism.models.recipes import read_recipe

    names = [name.strip() for name in models.split(",") if name.strip()]
    if not names:
        raise UsageError("No model is named.", where="--models", fix="Give --models bt,maxmin, for example.")
    if len(set(names)) < len(names):
        raise UsageError("A model is named twice.", where=f"--models {models}", fix="Name each once.")
    return {name: read_recipe(name).build(rng=seed) for name in names}


def _render(console: Console, found: dict[str, Any]) -> None:
    rows = found["models"]
    heading(console, f"{len(rows)} models on {rows[0]['n']:,} comparisons by {rows[0]['users']:,} users")
    console.print()
    print_table(
        console,
        ["model", "groups", "accuracy", "NLL", "ECE", "chance\nECE", "worst\ngroup", "tenth\nuser", "fit\ns"],
        [
            [
                _shown(row["model"]) + ("" if row["converged"] else " (not converged)"),
                row["n_groups"],
                number(row["accuracy"]) + ("*" if "accuracy" in row["best"] else ""),
                number(row["nll"]) + ("*" if "nll" in row["best"] else ""),
                number(row["ece"]),
                span((row["ece_null_low"], row["ece_null_high"])),
                number(row["worst_group_accuracy"]),
                number(row["p10_user_accuracy"]),
                f"{row['fit_seconds']:.1f}",
            ]
            for row in rows
        ],
    )
    interval = f"{100 * found['level']:.0f} % interval"
    differences = [
        [
            f"{_shown(row['model'])} less {_shown(found['reference'])}",
            row["differences"]["accuracy"],
            row["differences"]["nll"],
        ]
        for row in rows
        if row["model"] != found["reference"]
    ]
    differences += [
        [f"{_shown(row['model'])} less its one group", row["control"]["accuracy_gain"], row["control"]["nll_gain"]]
        for row in rows
        if row["control"]
    ]
    print_table(
        console,
        ["difference", "accuracy", interval, "NLL", interval],
        [[name, *_difference(accuracy), *_difference(nll)] for name, accuracy, nll in differences],
    )
    curves = [(row["model"], row["unseen_users"]) for row in rows if row["unseen_users"]]
    if curves:
        first = curves[0][1]
        heading(console, f"{first['users']:,} users that nobody knew: accuracy and NLL after so many answers")
        print_table(
            console,
            ["model", *(str(shots) for shots in first["shots"])],
            [
                [
                    _shown(name),
                    *(f"{number(a)} {number(n)}" for a, n in zip(curve["accuracy"], curve["nll"], strict=True)),
                ]
                for name, curve in curves
            ],
        )
    if found["found"]:
        wrapped(console, found["found"])
    if any(row["best"] for row in rows):
        wrapped(console, "* better than every other model by more than chance")
    wrapped(console, f"Groups: {found['group_source']}")


def _shown(model: str) -> str:
    """A recipe given by its path is shown by its file name: the folder would take the table's width."""
    return Path(model).name


def _difference(values: Any) -> list[str]:
    value, low, high = values
    return [number(value, sign=True), span((low, high))]
