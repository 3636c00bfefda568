"""`pluralism demo`: the whole job on the built-in corpus, where the truth is known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import CacheOption, JsonOption, SeedOption
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.models import MixtureBradleyTerry

__all__ = ["demo"]

PAIRS_PER_USER = 30
FOLDS = 5
REPORT, RUN, ITEMS = "report.html", "run", "items.parquet"
PARTS = ("train", "test", "new_support", "new_test")


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the report, the run and the data.")] = Path(
        "pluralism-demo"
    ),
    raters: Annotated[int, typer.Option("--raters", min=24, help="How many people judge.")] = 240,
    seed: SeedOption = 0,
    encoder: Annotated[
        str, typer.Option("--encoder", help="minilm, or another encoder as in pluralism fit.")
    ] = "minilm",
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the whole job on the built-in corpus: who the groups are, what each wants, and how sure that is."""
    from pluralism.cli.demo_findings import findings, oracle
    from pluralism.cli.demo_text import render_demo, render_introduction
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.output import output
    from pluralism.cli.progress import piece_in_words, stages
    from pluralism.data.demo import demo_comparisons, demo_new_raters
    from pluralism.data.folds import folds
    from pluralism.evaluation import evaluate, few_shot_curve
    from pluralism.models import MixtureBradleyTerry
    from pluralism.reports import build_report

    _refuse_foreign(out)
    started = time.monotonic()
    with output(as_json) as result:
        with stages() as stage:
            stage("drawing raters")
            drawn = demo_comparisons(n_users=raters, pairs_per_user=PAIRS_PER_USER, rng=seed)
            new = demo_new_raters(rng=seed + 1)
            train_rows, test_rows = folds(drawn.comparisons, FOLDS, by="pair", rng=seed)[0]
        if not as_json:
            render_introduction(result.console, drawn.comparisons, int(test_rows.sum()))
        with stages() as stage:
            stage(f"reading the answers with {encoder}")
            items, _ = Encoding(encoder, cache=cache).attach(drawn.comparisons.items, stage.share)
            data = drawn.comparisons.with_items(items)
            train, test = data.take(train_rows), data.take(test_rows)
            strangers = [part.comparisons.with_items(items) for part in (new.support, new.scored)]
            model = MixtureBradleyTerry(n_groups="auto", rng=seed)
            model.fit(train, callback=lambda piece, iteration, objective: stage(piece_in_words(piece)))
            stage("scoring held-out judgements")
            evaluations = {
                "pooled": evaluate(model.control_, test, rng=seed),
                "mixture": evaluate(model, test, rng=seed),
            }
            ceiling = oracle(test, drawn.truth.probability[test_rows])
            stage("placing new people")
            curve = few_shot_curve(model, strangers[0].concat(strangers[1]), rng=seed)
            report = build_report(
                model,
                train,
                test=test,
                title="pluralism demo: who wants what",
                command="pluralism demo",
                progress=lambda step: stage(f"report: {step}"),
                rng=seed,
            )
            stage("saving")
            _save(out, model, items, dict(zip(PARTS, (train, test, *strangers), strict=True)), encoder, seed)
            report.write(out / REPORT)
        document = findings(model, train, drawn.truth, evaluations, ceiling, curve)
        document |= {"encoder": encoder, "seconds": time.monotonic() - started}
        document |= {"report": str(out / REPORT), "run": str(out / RUN), "out": str(out)}
        result.show(document, lambda console: render_demo(console, document))


def _refuse_foreign(out: Path) -> None:
    from pluralism.cli.run_directory import refuse_foreign

    if out.exists() and not out.is_dir():
        raise UsageError("This is a file.", where=f"--out {out}", fix="Choose another folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / RUN).is_dir():
        raise UsageError("This folder holds something else.", where=f"--out {out}", fix="Choose another folder.")
    refuse_foreign(out / RUN)


def _save(
    out: Path, model: MixtureBradleyTerry, items: Items, parts: dict[str, Comparisons], encoder: str, seed: int
) -> None:
    """Write the run, and the data as a user would have them: judgements by id, and the items beside them."""
    from pluralism.cli.run_directory import DataRecord, EncoderRecord, RunRecord, file_record, save_run

    (out / RUN).mkdir(parents=True, exist_ok=True)
    items.write(out / ITEMS)
    for name, part in parts.items():
        part.write(out / f"{name}.parquet", as_ids=True)
    facts: dict[str, Any] = file_record(out / "train.parquet").model_dump()
    facts |= {"kind": "comparisons", "rows": len(parts["train"]), "users": parts["train"].n_users}
    record = RunRecord(
        recipe="maxmin",
        seed=seed,
        data=DataRecord(**facts),
        items=file_record(out / ITEMS),
        encoder=EncoderRecord(name=encoder, space=items.feature_space),
    )
    save_run(out / RUN, model, record)
