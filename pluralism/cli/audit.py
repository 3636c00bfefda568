"""`pluralism audit`: where principles leave discretion, and how people, models and judges use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

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
    UserOption,
    pairs_of,
    settings_of,
)
from pluralism.cli.tables import heading, number, percent, percent_span, print_table, span, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.discretion import BetweenGroups, DiscretionAudit, PrincipleSet

__all__ = ["audit"]

_ORACLE = "Principles"
_MODEL = "Language model"


def audit(
    data: DataArgument,
    principles: Annotated[
        str, typer.Option("--principles", metavar="NAME|FILE", help="A shipped set by name, or a .toml file.")
    ] = "factors",
    annotator: Annotated[
        list[str] | None,
        typer.Option(
            "--annotator",
            metavar="WHO",
            help="human, human:groups, a run, RUN:groups, RUN:users, judge, likelihood, or reward:MODEL; may be "
            "repeated. Left out: human.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for report.html, audit.json and tables.")
    ] = None,
    pooled: Annotated[
        str | None,
        typer.Option("--pooled", metavar="WHO", help="Whom groups are held against; else the first but human."),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            "--verdicts",
            metavar="FILE",
            help="Verdicts of the principles: a row for each comparison and a column for each principle.",
            rich_help_panel=_ORACLE,
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            "--margin",
            min=0.0,
            help="A counted principle decides by more than so many standard deviations.",
            rich_help_panel=_ORACLE,
        ),
    ] = 0.25,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            help="A principle decides if its probability of not applying is at most this; left out, unless likeliest.",
            rich_help_panel=_ORACLE,
        ),
    ] = None,
    graded: Annotated[
        bool, typer.Option("--graded", help="Count probabilities, not decisions.", rich_help_panel=_ORACLE)
    ] = False,
    llm: Annotated[
        str | None,
        typer.Option("--llm", metavar="URL", help="An OpenAI-compatible server, up to /v1.", rich_help_panel=_MODEL),
    ] = None,
    llm_model: Annotated[
        str | None, typer.Option("--llm-model", metavar="NAME", help="Its model.", rich_help_panel=_MODEL)
    ] = None,
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", help="Environment variable that holds the key.", rich_help_panel=_MODEL)
    ] = "OPENAI_API_KEY",
    local: Annotated[
        str | None,
        typer.Option(
            "--local", metavar="MODEL", help="A transformers chat model, by folder or name.", rich_help_panel=_MODEL
        ),
    ] = None,
    order: Annotated[
        str,
        typer.Option("--order", help="both, or random: in which order responses are shown.", rich_help_panel=_MODEL),
    ] = "both",
    method: Annotated[
        str, typer.Option("--method", help="auto, logprobs or sampled verdicts.", rich_help_panel=_MODEL)
    ] = "auto",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Verdicts to sample.", rich_help_panel=_MODEL)] = 4,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Calls at a time.", rich_help_panel=_MODEL)] = 1,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE.jsonl",
            help="Keeps answers, so that none is paid for twice; else judge.jsonl in --out.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            "--price", metavar="READ,WRITTEN", help="Of a million tokens, in any currency.", rich_help_panel=_MODEL
        ),
    ] = None,
    most_cost: Annotated[
        float | None, typer.Option("--most-cost", min=0.0, help="Stop before it costs more.", rich_help_panel=_MODEL)
    ] = None,
    most_calls: Annotated[
        int | None, typer.Option("--most-calls", min=0, help="Stop before more calls.", rich_help_panel=_MODEL)
    ] = None,
    ridge: Annotated[float, typer.Option("--ridge", min=0.0, help="Precision of the prior of priorities.")] = 0.25,
    by: Annotated[
        str, typer.Option("--by", help="What resamples draw again: comparison, or annotator (people by name).")
    ] = "comparison",
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples for intervals.")] = 1000,
    level: Annotated[float, typer.Option("--level", help="Of the intervals.")] = 0.95,
    examples: Annotated[int, typer.Option("--examples", min=0, help="Comparisons that the report lists.")] = 10,
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
    """Audit how annotators of DATA use the discretion that principles leave them.

    Where all principles agree, verdicts against them are arbitrary; where they conflict, verdicts say which principle
    comes first. Principles with a factor are counted; others need --verdicts or a language model.
    """
    from pluralism.cli.audit_reading import Judge, groups_of, read_annotators, read_oracle
    from pluralism.cli.audit_writing import check_folder, write_audit
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.output import output
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.discretion import audit_discretion, read_principles

    chosen = read_principles(principles)
    who = list(annotator or ["human"])
    check_folder(out)
    reading = Reading(kind, pairs_of(column, "--column"), user, attribute, max_pairs, items, features)
    encoding = Encoding(encoder, settings_of(encoder_option), cache)
    limits = {"price": price, "most_cost": most_cost, "most_calls": most_calls}
    asking = {"order": order, "method": method, "samples": samples, "workers": workers, "rng": seed}
    with output(as_json) as result, Judge(llm, llm_model, api_key_env, local, record, out, limits, asking) as judge:
        with stages() as stage:
            stage("reading")
            comparisons, _ = reading.read(data)
            with naming(data):
                stage("principles")
                found = read_oracle(comparisons, chosen, judge, verdicts, margin, stage.share)
                stage("annotators")
                people = read_annotators(who, comparisons, data, reading, encoding, judge, stage.share)
                stage(f"{bootstrap:,} resamples" if bootstrap else "counting")
                made = audit_discretion(
                    comparisons,
                    found,
                    people,
                    threshold=threshold,
                    graded=graded,
                    ridge=ridge,
                    by=cast(Literal["comparison", "annotator"], by),
                    n_bootstrap=bootstrap,
                    level=level,
                    rng=seed,
                )
            between = groups_of(made, pooled)
            written: list[str] = []
            if out is not None:
                stage("report")
                written = write_audit(out, made, comparisons, chosen, between, examples)
        document = made.to_dict() | {
            "data": str(data),
            "principle_set": chosen.name,
            "between": [groups.to_dict() for groups in between],
            "judge": judge.spent(),
            "out": None if out is None else str(out),
            "files": written,
        }
        result.show(document, lambda console: _render(console, made, chosen, between, document))


def _render(
    console: Console,
    found: DiscretionAudit,
    principles: PrincipleSet,
    between: list[BetweenGroups],
    document: dict[str, Any],
) -> None:
    n = document["comparisons"]
    heading(console, f"Discretion in {n:,} comparison{'s' * (n != 1)} by {len(principles)} principles")
    console.print(f"principles by {document['oracle']}\n", soft_wrap=True)
    shares = found.categories.to_frame().to_pylist()
    print_table(
        console,
        ["", *(row["category"] for row in shares)],
        [
            ["share", *(percent(row["share"], 1) for row in shares)],
            ["", *(percent_span((row["low"], row["high"]), 1) for row in shares)],
        ],
    )
    print_table(
        console,
        ["annotator", "against a consensus", "", "corrected", "coverage"],
        [
            [
                _plain(row["annotator"]),
                percent(row["arbitrariness"], 1),
                percent_span((row["low"], row["high"]), 1),
                number(row["chance_corrected"], 2),
                percent(row["coverage"]),
            ]
            for row in found.arbitrariness.to_frame().to_pylist()
        ],
    )
    titles = dict(zip(principles.ids, principles.titles, strict=True))
    first = found.priority[0]
    rest = [name for name in principles.ids if name not in first.order]
    places = [principles.ids.index(name) for name in (*first.order, *rest)]
    print_table(
        console,
        ["priority", *(_plain(name) for name in found.names)],
        [
            [_plain(titles[principles.ids[k]]), *(number(p.weight[k], 2, sign=True) for p in found.priority)]
            for k in places
        ],
    )
    if len(found.names) > 1:
        print_table(
            console,
            ["annotators", ("", "left"), "discrepancy", ""],
            [
                [
                    _plain(row["annotator"]),
                    _plain(row["other"]),
                    number(row["discrepancy"], 2),
                    span((row["low"], row["high"]), 2),
                ]
                for row in found.discrepancy.to_frame().to_pylist()
            ],
        )
    for groups in between:
        wrapped(console, _plain(groups.answer))
    spent = document["judge"]
    if spent is not None:
        cost = "" if spent["cost"] is None else f", cost {spent['cost']:,.4g}"
        console.print(f"{spent['name']}: {spent['calls']:,} calls, {spent['tokens']:,} tokens{cost}", soft_wrap=True)
    if document["out"] is not None:
        console.print(f"written to {document['out']}: {', '.join(document['files'])}", soft_wrap=True)


def _plain(text: str) -> str:
    from pluralism.cli.output import clean_text

    return clean_text(text)
