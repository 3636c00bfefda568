"""`pluralism evaluate`: how well a run predicts comparisons, for whom it fails, and how sure that is."""

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
    RunArgument,
    SeedOption,
    SupportOption,
    UserOption,
    pairs_of,
    settings_of,
)
from pluralism.cli.output import clean_text, output
from pluralism.cli.tables import heading, number, print_table, span, wrapped

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["evaluate", "render_evaluation"]


def evaluate(
    run: RunArgument,
    data: DataArgument,
    support: SupportOption = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Other answers, to fit a temperature on; scores after it are added."),
    ] = None,
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
    """Score RUN on the comparisons in DATA, which it was not fitted to.

    Users of the fit keep their place, others are placed by --support alone; the scored answers place nobody.
    """
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.loading import RunData
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.cli.run_directory import load_run
    from pluralism.evaluation import evaluate as score

    loaded = load_run(run)
    reading = Reading(kind, pairs_of(column, "--column"), user, attribute, max_pairs, items, features)
    source = RunData(loaded, reading, Encoding(encoder, settings_of(encoder_option), cache))
    with output(as_json) as result:
        with stages() as stage:
            stage("reading and embedding")
            test = source.read(data, stage.share)
            others = {
                "support": None if support is None else source.read(support, stage.share),
                "calibration": None if calibration is None else source.read(calibration, stage.share),
            }
            stage("scoring")
            with naming(data):
                evaluation = score(
                    loaded.model, test, support=others["support"], calibration=others["calibration"], rng=seed
                )
        document = {"run": str(run), "model": type(loaded.model).__name__, **evaluation.to_dict()}
        result.show(document, lambda console: render_evaluation(console, document))


def render_evaluation(console: Console, found: dict[str, Any]) -> None:
    """Print an evaluation in its plain form."""
    placed = [
        f"{found[key]:,} {how}"
        for key, how in (
            ("n_users_seen", "known from the fit"),
            ("n_users_supported", "placed by support"),
            ("n_users_prior", "known to nobody"),
        )
        if found[key]
    ]
    ties = f", {found['n_ties']:,} of them ties" if found["n_ties"] else ""
    heading(console, f"{found['model']} on {found['n']:,} comparisons{ties}")
    console.print(f"by {found['users']:,} users: {'; '.join(placed)}\n")
    interval = found["intervals"]
    of_model = "model" in found["group_source"]
    band = span((found["ece_null_low"], found["ece_null_high"]))
    rows: list[list[Any]] = [
        ["accuracy", number(found["accuracy"]), span(interval.get("accuracy")), "share of decisions predicted"],
        ["NLL", number(found["nll"]), span(interval.get("nll")), "nats a comparison; a coin has 0.693"],
        ["Brier", number(found["brier"]), span(interval.get("brier")), "a coin has 0.250"],
        ["ECE", number(found["ece"]), span(interval.get("ece")), f"calibrated would be {band}"],
        [
            "worst group",
            number(found["worst_group_accuracy"]),
            span(interval.get("worst_group_accuracy")),
            _shown(found["worst_group"] or "", of_model) if len(found["groups"]) > 1 else "all are one group",
        ],
        [
            "tenth user",
            number(found["p10_user_accuracy"]),
            span(interval.get("p10_user_accuracy")),
            "accuracy that nine in ten users exceed",
        ],
    ]
    if found["calibrated"]:
        after = found["calibrated"]
        note = f"then NLL {number(after['nll'])}, ECE {number(after['ece'])}"
        rows.append(["temperature", number(after["temperature"]), "", note])
    print_table(console, ["", "value", f"{100 * found['level']:.0f} % interval", ("", "left")], rows)
    if len(found["groups"]) > 1:
        wrapped(console, f"By group: {found['group_source']}")
        print_table(
            console,
            ["group", "rows", "users", "accuracy", "interval", "NLL", "ECE", "chance ECE"],
            [
                [
                    _shown(row["name"], of_model),
                    f"{row['n']:,}",
                    f"{row['users']:,}",
                    number(row["accuracy"]),
                    span(row["intervals"].get("accuracy")),
                    number(row["nll"]),
                    number(row["ece"]),
                    span((row["ece_null_low"], row["ece_null_high"])),
                ]
                for row in found["groups"]
            ],
        )
    verdict = _verdict(found)
    if verdict:
        wrapped(console, verdict)


def _shown(name: str, of_model: bool) -> str:
    """The name of a group for people: a group of the model is lettered, as in reports."""
    from pluralism.reports import group_name

    number_of = name.removeprefix("group ")
    return group_name(int(number_of)) if of_model and number_of.isdecimal() else clean_text(name, 40)


def _verdict(found: dict[str, Any]) -> str:
    ece, high = found["ece"], found["ece_null_high"]
    if ece is None or high is None:
        return ""
    if ece <= high:
        return "Calibration: what is wrong with the probabilities is no more than chance at this number of rows."
    way = "too sure" if (found["signed_confidence_gap"] or 0.0) < 0 else "not sure enough"
    return f"Calibration: the probabilities are {way}; a temperature (--calibration DATA) may mend that."
