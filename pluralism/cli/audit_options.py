"""Options of `pluralism audit` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pluralism.cli.options import MODEL

__all__ = [
    "AnnotatorOption",
    "ByOption",
    "ExamplesOption",
    "FactorOption",
    "GradedOption",
    "GraphOption",
    "LevelOption",
    "MarginOption",
    "MethodOption",
    "MostCallsOption",
    "MostCostOption",
    "OrderOption",
    "OutOption",
    "PooledOption",
    "PriceOption",
    "PrinciplesOption",
    "RecordOption",
    "ResamplesOption",
    "RidgeOption",
    "SamplesOption",
    "ScenarioOption",
    "ThresholdOption",
    "TiesOption",
    "VerdictsOption",
    "WhyOption",
    "WorkersOption",
]

_ORACLE = "Principles"
_WHY = "Reasons"

PrinciplesOption = Annotated[
    str | None,
    typer.Option(
        "--principles", metavar="NAME|FILE", help="A shipped set by name, or a .toml file. Left out: factors."
    ),
]
GraphOption = Annotated[
    Path | None,
    typer.Option(
        "--graph",
        metavar="FILE",
        help="A moral graph: its values are the principles, and priorities are held against its order.",
    ),
]
AnnotatorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--annotator",
        metavar="WHO",
        help="human, human:groups, a run, RUN:groups, RUN:users, judge, judge:MODEL (another one of the server), "
        "likelihood, or reward:MODEL; may be repeated. Left out: human.",
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder for report.html, audit.json and tables.")
]
PooledOption = Annotated[
    str | None,
    typer.Option("--pooled", metavar="WHO", help="Whom groups are held against; else the first but human."),
]
RidgeOption = Annotated[
    float, typer.Option("--ridge", min=0.0, help="Precision of the prior of priorities; 0: no prior, no intervals.")
]
ByOption = Annotated[
    str, typer.Option("--by", help="What resamples draw again: comparison, or annotator (people by name).")
]
ResamplesOption = Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples for intervals.")]
LevelOption = Annotated[float, typer.Option("--level", help="Of the intervals.")]
ExamplesOption = Annotated[int, typer.Option("--examples", min=0, help="Comparisons that the report lists.")]

VerdictsOption = Annotated[
    Path | None,
    typer.Option(
        "--verdicts",
        metavar="FILE",
        help="Verdicts of the principles: a row for each comparison and a column for each principle.",
        rich_help_panel=_ORACLE,
    ),
]
MarginOption = Annotated[
    float,
    typer.Option(
        "--margin",
        min=0.0,
        help="A counted principle decides by more than so many standard deviations.",
        rich_help_panel=_ORACLE,
    ),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        help="A principle decides if its probability of not applying is at most this; left out, unless likeliest.",
        rich_help_panel=_ORACLE,
    ),
]
GradedOption = Annotated[
    bool, typer.Option("--graded", help="Count probabilities, not decisions.", rich_help_panel=_ORACLE)
]

WhyOption = Annotated[
    bool,
    typer.Option(
        "--why",
        help="Also say which factors of the responses verdicts go with, and what each adds to the others.",
        rich_help_panel=_WHY,
    ),
]
FactorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--factor",
        metavar="NAME",
        help="A factor for --why: length, hedging, formatting, readability, repetition, sentiment, or a covariate of "
        "the data; may be repeated. Left out: all but sentiment.",
        rich_help_panel=_WHY,
    ),
]
TiesOption = Annotated[
    str | None,
    typer.Option(
        "--ties",
        help="How --why counts ties: factor (equal factors count against), none, or b (Kendall's tau-b). Left out: "
        "factor.",
        rich_help_panel=_WHY,
    ),
]
ScenarioOption = Annotated[
    str | None,
    typer.Option(
        "--scenario",
        help="Let the weights of --why differ by group, source or prompt, around common ones.",
        rich_help_panel=_WHY,
    ),
]

OrderOption = Annotated[
    str,
    typer.Option("--order", help="both, or random: in which order responses are shown.", rich_help_panel=MODEL),
]
MethodOption = Annotated[
    str, typer.Option("--method", help="auto, logprobs or sampled verdicts.", rich_help_panel=MODEL)
]
SamplesOption = Annotated[int, typer.Option("--samples", min=1, help="Verdicts to sample.", rich_help_panel=MODEL)]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Calls at a time.", rich_help_panel=MODEL)]
RecordOption = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="FILE.jsonl",
        help="Keeps answers, so that none is paid for twice; else judge.jsonl in --out.",
        rich_help_panel=MODEL,
    ),
]
PriceOption = Annotated[
    str | None,
    typer.Option(
        "--price", metavar="READ,WRITTEN", help="Of a million tokens, in any currency.", rich_help_panel=MODEL
    ),
]
MostCostOption = Annotated[
    float | None, typer.Option("--most-cost", min=0.0, help="Stop before it costs more.", rich_help_panel=MODEL)
]
MostCallsOption = Annotated[
    int | None, typer.Option("--most-calls", min=0, help="Stop before more calls.", rich_help_panel=MODEL)
]
