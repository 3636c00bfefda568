"""`pluralism directions`: attributes from ratings, people as directions over them, and what candidates can reach."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import (
    CacheOption,
    ColumnOption,
    EncoderOption,
    EncoderSettingOption,
    FeaturesOption,
    ItemsOption,
    JsonOption,
    SeedOption,
    number_or_auto,
    pairs_of,
    settings_of,
)
from pluralism.cli.tables import heading, number, print_table, span, wrapped
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.data import Ratings
    from pluralism.models import DirectionalReward, Membership

__all__ = ["directions"]

SHOWN = 10
_MODEL = "Model"


def directions(
    ratings: Annotated[
        Path, typer.Argument(metavar="RATINGS", help="Ratings on several attributes: user, item, attribute, value.")
    ],
    comparisons: Annotated[
        Path | None,
        typer.Option("--comparisons", help="Judgements whose users are placed as directions over the attributes."),
    ] = None,
    plane: Annotated[
        str | None,
        typer.Option("--front", metavar="A,B", help="The two attributes of the front; the first two by default."),
    ] = None,
    decorrelate: Annotated[
        str | None,
        typer.Option(
            "--decorrelate",
            metavar="NAME",
            help="Take the share of this attribute, such as verbosity, off all others.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    whiten: Annotated[
        bool, typer.Option("--whiten", help="Make all attributes uncorrelated.", rich_help_panel=_MODEL)
    ] = False,
    ridge: Annotated[
        str | None,
        typer.Option("--ridge", metavar="X|auto", help="Penalty of the regressions.", rich_help_panel=_MODEL),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to save the fitted model in.")] = None,
    seed: SeedOption = 0,
    encoder: EncoderOption = None,
    encoder_option: EncoderSettingOption = None,
    cache: CacheOption = None,
    items: ItemsOption = None,
    features: FeaturesOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn attributes from RATINGS, and show users as directions over them and the front of best candidates.

    The candidates are the rated items, those of one prompt together; without prompts all are one pool.
    """
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.output import output
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.cli.run_directory import refuse_foreign
    from pluralism.models.recipes import read_recipe

    if out is not None:
        refuse_foreign(out)
    penalty = {} if ridge is None else {"ridge": number_or_auto(ridge, "--ridge", whole=False)}
    chosen = {} if decorrelate is None else {"decorrelate": decorrelate}
    model: Any = read_recipe("dpa").build(rng=seed, **penalty, **chosen, **({"whiten": True} if whiten else {}))
    encoding = Encoding(encoder, settings_of(encoder_option), cache)
    reading = Reading(None, pairs_of(column, "--column"), None, None, None, items, features)
    with output(as_json) as result:
        with stages() as stage:
            stage(f"reading {ratings.name}")
            rated = reading.read_ratings(ratings)
            judged = None if comparisons is None else reading.read(comparisons)[0]
            stage("embedding")
            embedded, _ = encoding.attach(rated.items, stage.share)
            rated = _with_items(rated, embedded)
            if judged is not None:
                judged = judged.with_items(encoding.attach(judged.items, stage.share)[0])
            pair = _plane(plane, rated.attributes.to_pylist())
            with naming(ratings):
                model.fit(rated, comparisons=judged, callback=lambda piece, iteration, objective: stage(piece))
            stage("fronts")
            found = model.front(rated.items, attributes=pair, rng=seed) if pair is not None else None
            if out is not None:
                model.save(out)
        document = {
            "model": type(model).__name__,
            "out": None if out is None else str(out),
            "n_ratings": model.n_ratings_,
            "items": len(rated.items),
            "n_comparisons": model.n_comparisons_,
            "attributes": [
                {"name": name, "r2": r2, "ridge": float(penalty)}
                for name, r2, penalty in zip(model.attributes_, model.r2_, model.ridge_, strict=True)
            ],
            "population": {
                "direction": model.direction_,
                "concentration": model.concentration_,
                "temperature": model.temperature_,
            },
            "users": _users(model, model.membership()),
            "converged": model.converged_,
            "front": None if found is None else found.to_dict(),
        }
        result.show(document, lambda console: _render(console, document))


def _with_items(ratings: Ratings, items: Any) -> Ratings:
    if items.features is None:
        return ratings
    return ratings.with_features(items.features, items.feature_space or "user")


def _plane(text: str | None, names: list[str]) -> tuple[str, str] | None:
    """The two attributes of the front; None where there is one attribute alone."""
    if text is None:
        return None if len(names) < 2 else (names[0], names[1])
    given = [name.strip() for name in text.split(",")]
    unknown = [name for name in given if name not in names]
    if unknown or len(given) != 2 or given[0] == given[1]:
        what = f"There is no attribute {unknown[0]!r}." if unknown else "A front has two attributes."
        raise UsageError(what, where=f"--front {text}", fix=f"Name two of {', '.join(names)}.")
    return given[0], given[1]


def _users(model: DirectionalReward, membership: Membership) -> list[dict[str, Any]]:
    import numpy as np

    unit = model.directions(membership)
    sure = np.zeros(0) if membership.position is None else np.linalg.norm(membership.position, axis=1)
    rows = zip(membership.users.to_pylist(), membership.n.tolist(), unit, sure, model.ess_, strict=True)
    return [
        {
            "user": user,
            "n": n,
            "direction": direction,
            "certainty": float(length),
            "ess": float(ess),
            "prompt": model.system_prompt(direction),
        }
        for user, n, direction, length, ess in rows
    ]


def _render(console: Console, found: dict[str, Any]) -> None:
    from pluralism.cli.output import clean_text

    names = [clean_text(row["name"], 14) for row in found["attributes"]]
    heading(console, f"{len(names)} attributes from {found['n_ratings']:,} ratings of {found['items']:,} items")
    console.print()
    print_table(
        console,
        ["attribute", "R² of items left out", "ridge"],
        [[clean_text(row["name"], 40), number(row["r2"]), number(row["ridge"], 1)] for row in found["attributes"]],
    )
    users = found["users"]
    if users:
        population = found["population"]
        heading(console, f"{len(users):,} users as directions, by {found['n_comparisons']:,} comparisons")
        console.print()
        rows = [["everybody", "", *(number(x, 2, sign=True) for x in population["direction"]), "", ""]]
        rows += [
            [
                clean_text(row["user"], 20),
                row["n"],
                *(number(x, 2, sign=True) for x in row["direction"]),
                number(row["certainty"], 2),
                number(row["ess"], 0),
            ]
            for row in users[:SHOWN]
        ]
        print_table(console, ["user", "answers", *names, "certainty", "draws"], rows)
        if len(users) > SHOWN:
            console.print(f"and {len(users) - SHOWN:,} more (--json has all)\n")
        wrapped(
            console,
            "Certainty is the length of the mean direction: 0 is anywhere, 1 is known exactly. "
            f"Concentration around everybody's direction {number(population['concentration'], 1)}, temperature "
            f"{number(population['temperature'], 2)}.",
        )
        console.print()
    if found["front"] is not None:
        _render_front(console, found["front"])
    if found["out"] is not None:
        console.print(f"saved to {found['out']}", soft_wrap=True)


def _render_front(console: Console, front: dict[str, Any]) -> None:
    from pluralism.cli.output import clean_text

    first, second = (clean_text(name, 20) for name in front["attributes"])
    pools = front["pools"]
    heading(console, f"Best of each of {pools:,} pools by direction" if pools > 1 else "Best item by direction")
    console.print()
    kept = [point for point in front["points"] if point["on_front"]]
    print_table(
        console,
        [("direction", "left"), first, "95 %", second, "95 %"],
        [
            [
                " ".join(number(x, 2, sign=True) for x in point["direction"] if x) or "0",
                number(point["mean"][0], 2),
                span((point["low"][0], point["high"][0]), 2),
                number(point["mean"][1], 2),
                span((point["low"][1], point["high"][1]), 2),
            ]
            for point in kept
        ],
    )
    wrapped(
        console,
        f"Hypervolume above a random pick {number(front['hypervolume'], 3)} "
        f"({span(front['hypervolume_interval'], 3)}), on predicted attributes: "
        "an upper bound of what people would see.",
    )
