"""`pluralism report`: a run as one page for a browser."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pluralism.cli.options import (
    CacheOption,
    EncoderOption,
    EncoderSettingOption,
    FeaturesOption,
    ItemsOption,
    JsonOption,
    RunArgument,
    SeedOption,
    SupportOption,
    settings_of,
)
from pluralism.cli.output import clean_text, output
from pluralism.cli.tables import wrapped
from pluralism.errors import DataWarning, UsageError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["report"]


def report(
    run: RunArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("report.html"),
    data: Annotated[
        Path | None, typer.Option("--data", help="What the run was fitted to, if it is no longer where it was.")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", help="Comparisons to score; without them a part of the data is held out anew."),
    ] = None,
    support: SupportOption = None,
    title: Annotated[str, typer.Option("--title", help="Title of the page.")] = "Who wants what",
    seed: SeedOption = 0,
    encoder: EncoderOption = None,
    encoder_option: EncoderSettingOption = None,
    cache: CacheOption = None,
    items: ItemsOption = None,
    features: FeaturesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a self-contained HTML report on RUN: who the groups are, what each wants, and how sure that is."""
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.loading import RunData, training_data
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.cli.run_directory import file_record, load_run
    from pluralism.reports import build_report

    if out.suffix.lower() not in (".html", ".htm") or out.is_dir():
        raise UsageError("The report is an HTML file.", where=f"--out {out}", fix="Name a .html file.")
    loaded = load_run(run)
    recorded = None if loaded.record is None else loaded.record.data
    fitted_to = training_data(loaded, recorded, data)
    # The data of the fit are read as they were then; other files by what they are.
    manners = (
        {} if recorded is None else recorded.model_dump(include={"kind", "columns", "user", "attribute", "max_pairs"})
    )
    encoding = Encoding(encoder, settings_of(encoder_option), cache)
    then = RunData(loaded, Reading(**manners, items=items, features=features), encoding)
    now = RunData(loaded, Reading(items=items, features=features), encoding)
    with output(as_json) as result:
        with stages() as stage:
            stage("reading and embedding")
            comparisons = then.read(fitted_to, stage.share)
            if recorded is not None and file_record(fitted_to).sha256 != recorded.sha256:
                text = f"{fitted_to} is not the file that the run was fitted to, or has changed since."
                warnings.warn(text, DataWarning, stacklevel=2)
            others = {
                "test": None if test is None else now.read(test, stage.share),
                "support": None if support is None else now.read(support, stage.share),
            }
            with naming(fitted_to):
                page = build_report(
                    loaded.model,
                    comparisons,
                    test=others["test"],
                    support=others["support"],
                    title=title,
                    command=shlex.join(["pluralism", *sys.argv[1:]]),
                    progress=stage,
                    rng=seed,
                )
            out.parent.mkdir(parents=True, exist_ok=True)
            page.write(out)
        document = {"run": str(run), "report": str(out), "content": json.loads(page.to_json())}
        result.show(document, lambda console: _render(console, repr(page), out))


def _render(console: Console, summary: str, out: Path) -> None:
    for line in summary.splitlines():
        wrapped(console, clean_text(line))
    console.print(f"\nreport written to {out}", soft_wrap=True)
