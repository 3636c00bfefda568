"""`pluralism adapt`: place new users in the groups of a run by a few answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import (
    AttributeOption,
    CacheOption,
    ColumnOption,
    EncoderOption,
    EncoderSettingOption,
    FeaturesOption,
    ItemsOption,
    JsonOption,
    KindOption,
    MaxPairsOption,
    RunArgument,
    UserOption,
    pairs_of,
    settings_of,
)
from pluralism.cli.tables import heading, number, percent, print_table
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["adapt"]

SHOWN = 10


def adapt(
    run: RunArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Answers of the users to be placed.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file for user, n, group_0, ...")],
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
    """Place the users of DATA in the groups of RUN, by these answers alone."""
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.loading import RunData
    from pluralism.cli.output import clean_text, output
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.cli.run_directory import load_run

    if out.suffix.lower() not in (".parquet", ".pq") or out.is_dir():
        raise UsageError("The memberships are written as Parquet.", where=f"--out {out}", fix="Name a .parquet file.")
    if out.resolve() == data.resolve():
        raise UsageError("DATA would be overwritten.", where=f"--out {out}", fix="Name another file.")
    loaded = load_run(run)
    model: Any = loaded.model
    reading = Reading(kind, pairs_of(column, "--column"), user, attribute, max_pairs, items, features)
    source = RunData(loaded, reading, Encoding(encoder, settings_of(encoder_option), cache))
    with output(as_json) as result:
        with stages() as stage:
            stage("reading and embedding")
            answers = source.read_answers(data, stage.share)
            stage("placing")
            with naming(data):
                membership = model.adapt(answers)
            out.parent.mkdir(parents=True, exist_ok=True)
            membership.write(out)
        first = membership.users[:SHOWN].to_pylist()
        # weights and vectors have no group to be certain of
        grouped = model.places == "groups" and membership.n_groups > 1
        document = {
            "run": str(run),
            "out": str(out),
            "users": len(membership),
            "n": int(membership.n.sum()),
            "n_groups": membership.n_groups,
            "group_shares": membership.posterior.mean(axis=0) if len(membership) else [],
            "placed_with_90_percent": float((membership.certainty >= 0.9).mean())
            if len(membership) and grouped
            else None,
        }
        shown = [
            [clean_text(name, 24), int(n), *(number(p, 2) for p in posterior)]
            for name, n, posterior in zip(first, membership.n, membership.posterior, strict=False)
        ]
        result.show(document, lambda console: _render(console, document, shown))


def _render(console: Console, found: dict[str, Any], shown: list[list[Any]]) -> None:
    from pluralism.reports import group_name

    sure = found["placed_with_90_percent"]
    where = f" in {found['n_groups']} groups" if sure is not None else ""
    heading(console, f"{found['users']:,} users placed by {found['n']:,} answers{where}")
    console.print("" if sure is None else f"{percent(sure)} with 90 % certainty\n")
    print_table(console, ["user", "answers", *map(group_name, range(found["n_groups"]))], shown)
    if found["users"] > len(shown):
        console.print(f"and {found['users'] - len(shown):,} more")
    console.print(f"written to {found['out']}, where Group A is group_0, and so on", soft_wrap=True)
