"""`pluralism condition`: answer each group in its own way, and let held-out judges say whom that served."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    settings_of,
)
from pluralism.cli.tables import heading, number, percent, print_table, span, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.policy.lm import ConditioningExperiment

__all__ = ["condition"]

_MODEL = "Language model"
_METHOD = "Methods"
_JUDGE = "Judges"
_TEXT = "Responses"


def condition(
    run: RunArgument,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="PATH|NAME",
            help="A causal language model: a folder, or a name on the hub.",
            rich_help_panel=_MODEL,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for responses, tables and report.html.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="system, examples, best-of-n, guided, steering, adapters (a LoRA for each group), contrastive "
            "(decoding beyond these), or soup (of these, for everybody); may be repeated. Left out: best-of-n.",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    groups: Annotated[
        str, typer.Option("--groups", metavar="A,B|all", help="For whom; rules for everybody count all groups.")
    ] = "all",
    single: Annotated[
        str,
        typer.Option(
            "--single",
            metavar="RULES|none",
            help="Policies that answer everybody alike, to be held against.",
            rich_help_panel=_METHOD,
        ),
    ] = "utilitarian,maxmin,nash",
    n: Annotated[
        int, typer.Option("--n", min=2, help="Draws of best-of-n and of single policies.", rich_help_panel=_METHOD)
    ] = 8,
    messages: Annotated[
        Path | None,
        typer.Option(
            "--messages",
            metavar="FILE",
            help="System messages: a JSON or TOML file from group to text; else what the group likes is quoted.",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    shots: Annotated[
        int, typer.Option("--shots", min=1, help="Examples before a prompt.", rich_help_panel=_METHOD)
    ] = 3,
    guidance: Annotated[
        float, typer.Option("--guidance", help="Of guided: nats for a unit of reward.", rich_help_panel=_METHOD)
    ] = 1.0,
    lookahead: Annotated[
        int, typer.Option("--lookahead", min=0, help="Tokens that guided looks ahead.", rich_help_panel=_METHOD)
    ] = 8,
    steering: Annotated[
        float,
        typer.Option("--steering", help="Of steering: how many mean differences are added.", rich_help_panel=_METHOD),
    ] = 1.0,
    contrast: Annotated[
        float,
        typer.Option(
            "--contrast",
            help="Of contrastive: 0 is the model, 1 the adapter, more goes beyond it.",
            rich_help_panel=_METHOD,
        ),
    ] = 2.0,
    loss: Annotated[
        str, typer.Option("--loss", help="Of adapters: dpo, ipo, rpo, kto, supervised, ... ", rich_help_panel=_METHOD)
    ] = "dpo",
    beta: Annotated[
        float | None, typer.Option("--beta", min=0.0, help="Of that loss.", rich_help_panel=_METHOD)
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of training.", rich_help_panel=_METHOD)] = 200,
    rank: Annotated[int, typer.Option("--rank", min=1, help="Of a LoRA.", rich_help_panel=_METHOD)] = 8,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", min=0.0, help="Of training.", rich_help_panel=_METHOD)
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Pairs of a step.", rich_help_panel=_METHOD)
    ] = 8,
    judge: Annotated[
        Path | None,
        typer.Option(
            "--judge",
            metavar="RUN",
            help="A run of other people that judges; left out, the people of RUN are split in halves.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    judge_encoder: Annotated[
        str | None,
        typer.Option("--judge-encoder", help="Another encoder for the judges of the halves.", rich_help_panel=_JUDGE),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="What RUN was fitted to, if it is no longer there.", rich_help_panel=_JUDGE),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="Prompts to judge on: a .txt file with one a line, or a table with a column prompt; left out, some of "
            "RUN, which are then not trained on.",
            rich_help_panel=_TEXT,
        ),
    ] = None,
    n_prompts: Annotated[
        int, typer.Option("--n-prompts", min=2, help="The most prompts to judge on.", rich_help_panel=_TEXT)
    ] = 32,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Responses of a condition to a prompt.", rich_help_panel=_TEXT)
    ] = 4,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="The most tokens of a response.", rich_help_panel=_TEXT)
    ] = 128,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, rich_help_panel=_TEXT)] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0, rich_help_panel=_TEXT)] = 1.0,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=_MODEL)
    ] = "auto",
    dtype: Annotated[
        str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.", rich_help_panel=_MODEL)
    ] = "auto",
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch, tag or commit of a hub model.", rich_help_panel=_MODEL)
    ] = None,
    base: Annotated[
        bool,
        typer.Option("--base", help="A base model without a chat template: roles by name.", rich_help_panel=_MODEL),
    ] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=0, help="Draws over prompts for intervals.")] = 2000,
    examples: Annotated[int, typer.Option("--examples", min=0, help="Prompts whose responses the report shows.")] = 6,
    seed: SeedOption = 0,
    encoder: EncoderOption = None,
    encoder_option: EncoderSettingOption = None,
    cache: CacheOption = None,
    items: ItemsOption = None,
    features: FeaturesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Condition a language model for the groups of RUN, and let judges who were not followed say whom it served.

    One half of the people of RUN is followed, the other half judges. Prints who prefers what was made for whom, with
    p-values, who gains and who loses beside single policies for everybody, and how far each condition is from the
    model. What was stopped goes on with the same command; other methods can be added to its folder.
    """
    from pluralism.cli.condition_methods import Methods, build_methods, check_methods, check_study, read_messages
    from pluralism.cli.condition_reading import Judges, choose_prompts, read_prompts, read_study
    from pluralism.cli.condition_writing import write_experiment
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.output import output
    from pluralism.cli.progress import stages
    from pluralism.policy.lm import BASE_TEMPLATE, LanguageModel
    from pluralism.policy.lm import condition as run_experiment
    from pluralism.policy.lm.batched_generation import Sampling
    from pluralism.policy.lm.experiment_cells import CellStore
    from pluralism.policy.lm.experiment_run import setting_facts
    from pluralism.policy.lm.model_place import check_place

    wanted = Methods(
        names=tuple(method or ["best-of-n"]),
        single=single,
        n=n,
        messages=None if messages is None else read_messages(messages),
        shots=shots,
        guidance=guidance,
        lookahead=lookahead,
        steering=steering,
        contrast=contrast,
        loss=loss,
        beta=beta,
        steps=steps,
        rank=rank,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    check_methods(wanted)
    check_place(model)
    sampling: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
    Sampling(**sampling)
    given = None if prompts is None else read_prompts(prompts)
    judges = Judges(judge, judge_encoder, data, Encoding(encoder, settings_of(encoder_option), cache), items, features)
    with output(as_json) as result:
        with stages() as stage:
            stage("reading and embedding")
            study = read_study(run, judges, out, groups, seed, stage)
            asked, others = choose_prompts(given, study, n_prompts, seed)
            check_study(wanted, study, others)
            # Refused before anything is trained for it.
            CellStore(out, setting_facts(asked, samples=samples, **sampling))
            stage("loading the language model")
            lm = LanguageModel.load(
                model, revision=revision, device=device, dtype=dtype, chat_template=BASE_TEMPLATE if base else None
            )
            made = build_methods(wanted, lm, study, others, out, max_tokens=max_tokens, seed=seed, stage=stage)

            def told(text: str, done: int, total: int) -> None:
                stage(text)
                stage.share(done, total)

            found = run_experiment(
                lm,
                made.conditioners,
                study.judge,
                asked,
                folder=out,
                optimised=[study.followed],
                singles=made.singles,
                shares=study.shares,
                samples=samples,
                **sampling,
                bootstrap=bootstrap,
                said=study.said,
                rng=seed,
                progress=told,
            )
            stage("report")
            settings = {"model": repr(lm), "run": run, **study.facts, **made.facts}
            command = shlex.join(["pluralism", *sys.argv[1:]])
            document = found.to_dict() | {
                "run": str(run),
                "model": lm.name,
                "weights": made.weights,
                "settings": {name: str(value) for name, value in settings.items()},
            }
            written = write_experiment(out, found, document, settings=settings, examples=examples, command=command)
        document |= {"out": str(out), "files": written}
        result.show(document, lambda console: _render(console, found, document))


def _render(console: Console, found: ConditioningExperiment, document: dict[str, Any]) -> None:
    from pluralism.cli.output import clean_text
    from pluralism.reports.conditioning import p_text, policy_rows

    scores = found.scores
    groups = [clean_text(name, 24) for name in scores.groups]
    prompts = f"{len(found.prompts):,} prompts, {scores.n_samples:,} response{'s' * (scores.n_samples != 1)} each"
    heading(console, f"{clean_text(document['model'])} for {len(groups)} groups, on {prompts}")
    wrapped(console, f"Win rates against the model without conditioning, judged by {found.judge}.")
    console.print()
    if not scores.diagonals:
        wrapped(console, "No method made something for every group: nobody's own is held against what others have.")
        console.print()
    # Short names leave room for the numbers of many groups.
    short = [name.removeprefix("Group ") for name in groups]
    for test in scores.diagonals:
        columns = scores.columns(test.method)
        columns = columns[scores.made_for[columns].argsort()]
        # Without draws there is no interval.
        interval = f" ({span(test.interval, 2)})" if test.interval[0] == test.interval[0] else ""
        over = f"own over others {number(test.statistic, 2, sign=True)}{interval}, p {p_text(test.p)}"
        heading(console, f"{clean_text(test.method)}: {over}")
        print_table(
            console,
            ["judge", *(f"for {name}" for name in short), "own over others", "p"],
            [
                [
                    groups[g],
                    *(percent(float(scores.win_rate[g, c])) for c in columns),
                    number(float(test.group_statistic[g]), 2, sign=True),
                    p_text(float(test.group_p[g])),
                ]
                for g in range(len(groups))
            ],
        )
    print_table(
        console,
        ["policy", *(groups if len(groups) <= 4 else short), "mean", "least", ("who", "left")],
        [
            [
                clean_text(row["name"]) + (" (own)" if not row["single"] else ""),
                *(percent(cell["value"]) if cell else "–" for cell in row["cells"]),
                percent(row["mean"]),
                percent(row["worst"]),
                clean_text(row["worst_group"], 24),
            ]
            for row in policy_rows(found)
        ],
    )
    print_table(
        console,
        ["condition", "KL", "tokens", "ended", "distinct-2", "self-BLEU"],
        [
            [
                clean_text(facts.condition),
                _kl(facts),
                number(facts.n_tokens, 1),
                percent(facts.finished),
                number(facts.distinct_2, 2),
                number(facts.self_bleu, 2),
            ]
            for facts in found.facts
        ],
    )
    for note in found.notes:
        wrapped(console, note)
    console.print(f"written to {document['out']}: {', '.join(document['files'])}", soft_wrap=True)


def _kl(facts: Any) -> str:
    if facts.kl is not None:
        error = facts.kl.standard_error
        return number(facts.kl.value, 2) + (f" ± {number(error, 2)}" if error == error and error > 0 else "")
    return "–" if facts.kl_bound is None else f"≤ {number(facts.kl_bound, 2)}"
