"""`pluralism choose`: from the rewards of a run's groups to a policy on candidates, by a declared rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from pluralism.cli.options import (
    CacheOption,
    ColumnOption,
    EncoderOption,
    EncoderSettingOption,
    FeaturesOption,
    JsonOption,
    RunArgument,
    pairs_of,
    settings_of,
)
from pluralism.cli.tables import heading, number, percent, print_table, wrapped
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.data import Items
    from pluralism.policy import FinitePolicy, PolicyComparison

__all__ = ["choose"]

_RULE = "Rule"
DEFAULT_RULE = "maxmin"
BESIDE = ("utilitarian", "maxmin", "nash", "leximin", "schulze", "maximal-lottery")
"""Rules that a report compares with the one chosen."""


def choose(
    run: RunArgument,
    candidates: Annotated[
        Path,
        typer.Argument(
            metavar="CANDIDATES",
            help="Table of candidates: id, text, perhaps prompt and features; a column reference or log_reference has "
            "the probability of each under the reference policy (all alike without).",
        ),
    ],
    rule: Annotated[
        str,
        typer.Option(
            "--rule",
            help="utilitarian, maxmin, nash, leximin, pmean, cvar, robust, minimax-regret, or a vote: borda, schulze, "
            "ranked-pairs, maximal-lottery, ...",
            rich_help_panel=_RULE,
        ),
    ] = DEFAULT_RULE,
    beta: Annotated[
        float | None,
        typer.Option("--beta", min=0.0, help="Price of a nat of KL from the reference; 0.", rich_help_panel=_RULE),
    ] = None,
    kl: Annotated[
        float | None,
        typer.Option("--kl", help="In place of --beta: spend at most this much KL, in nats.", rich_help_panel=_RULE),
    ] = None,
    utility: Annotated[
        str,
        typer.Option(
            "--utility",
            help="In what groups are compared: gain, cdf, normalised, regret or raw.",
            rich_help_panel=_RULE,
        ),
    ] = "gain",
    allow_raw: Annotated[
        bool,
        typer.Option("--allow-raw", help="Compare groups by raw rewards all the same.", rich_help_panel=_RULE),
    ] = False,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope",
            help="global (means over prompts) or per_prompt (every prompt by itself).",
            rich_help_panel=_RULE,
        ),
    ] = None,
    rho: Annotated[
        float | None, typer.Option("--rho", help="Exponent of pmean, at most 1.", rich_help_panel=_RULE)
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Share of people of cvar.", rich_help_panel=_RULE)
    ] = None,
    radius: Annotated[
        float | None, typer.Option("--radius", help="Chi-square radius of robust.", rich_help_panel=_RULE)
    ] = None,
    n: Annotated[float | None, typer.Option("--n", help="Draws of best-of-n.", rich_help_panel=_RULE)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Parquet file for prompt, candidate, reference, probability.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="HTML page that compares the rule with others: who gains, who loses, where."),
    ] = None,
    encoder: EncoderOption = None,
    encoder_option: EncoderSettingOption = None,
    cache: CacheOption = None,
    features: FeaturesOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose among CANDIDATES by a rule, from what the groups of RUN want.

    Prints what each group gets, which has least, what the rule costs the others, and how far from the best it can be.
    """
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.loading import RunData
    from pluralism.cli.output import output
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.cli.run_directory import load_run
    from pluralism.policy import compare_policies, policy_by_rule
    from pluralism.policy.by_rule import WELFARE_RULES
    from pluralism.social_choice.utilities import Unit

    _check_files(candidates, out, report)
    if utility == "raw" and not allow_raw:
        raise UsageError(
            "Raw rewards of groups cannot be compared: their zero is arbitrary for each prompt and group, and their "
            "scale mixes with how noisily a group answers.",
            where="--utility raw",
            fix="Use --utility gain, cdf or normalised; or --allow-raw if the rewards have a common zero and unit.",
        )
    loaded = load_run(run)
    model: Any = loaded.model
    reading = Reading(None, pairs_of(column, "--column"), None, None, None, None, None)
    source = RunData(loaded, reading, Encoding(encoder, settings_of(encoder_option), cache))
    settings = {"scope": scope, "rho": rho, "alpha": alpha, "radius": radius, "n": n}
    with output(as_json) as result:
        with stages() as stage:
            stage("reading and embedding")
            with naming(candidates):
                items, log_reference = source.read_candidates(candidates, features, stage.share)
                utilities = model.utilities(items, log_reference=log_reference, unit=cast(Unit, utility))
            stage(rule)
            policy = policy_by_rule(utilities, rule, beta=beta, kl=kl, **settings)
            price = beta if kl is None else None
            mean_best = policy_by_rule(utilities, "utilitarian", beta=price, kl=kl if kl else None)
            comparison = compare_policies({rule: policy, "utilitarian": mean_best})
            if out is not None:
                out.parent.mkdir(parents=True, exist_ok=True)
                policy.write(out)
            if report is not None:
                stage("report")
                policies = {rule: policy}
                for other in BESIDE:
                    takes = WELFARE_RULES.get(other, (None, ()))[1]
                    paid = {"beta": price, "kl": kl} if "beta" in takes else {}
                    policies.setdefault(other, policy_by_rule(utilities, other, **paid))
                _write_report(compare_policies(policies), items, report)
        document = _document(run, rule, policy, comparison, items, out, report)
        result.show(document, lambda console: _render(console, document))


def _check_files(candidates: Path, out: Path | None, report: Path | None) -> None:
    for path, option, suffixes in ((out, "--out", (".parquet", ".pq")), (report, "--report", (".html", ".htm"))):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes or path.is_dir():
            raise UsageError(
                f"{option} writes a {suffixes[0]} file.", where=f"{option} {path}", fix=f"Name a {suffixes[0]} file."
            )
        if path.resolve() == candidates.resolve():
            raise UsageError("CANDIDATES would be overwritten.", where=f"{option} {path}", fix="Name another file.")


def _write_report(comparison: PolicyComparison, items: Items, path: Path) -> None:
    from pluralism.reports import build_choice_report

    path.parent.mkdir(parents=True, exist_ok=True)
    build_choice_report(comparison, items=items, command="pluralism choose").write(path)


def _document(
    run: Path,
    rule: str,
    policy: FinitePolicy,
    comparison: PolicyComparison,
    items: Items,
    out: Path | None,
    report: Path | None,
) -> dict[str, Any]:
    import numpy as np

    by = policy.utilities
    mean = comparison.mean
    certificate = policy.certificate
    return {
        "run": str(run),
        "rule": rule,
        "method": policy.method,
        "unit": by.unit,
        "prompts": by.n_prompts,
        "candidates": len(items),
        "groups": [
            {
                "group": name,
                "share": float(share),
                "utility": float(policy.group_utilities[k]),
                "reference": float(policy.reference_utilities[k]),
                "utilitarian": float(comparison.group_utilities[-1, k]),
            }
            for k, (name, share) in enumerate(zip(by.groups, by.shares, strict=True))
        ],
        "worst_group": policy.worst_group,
        "worst": float(policy.group_utilities.min()),
        "mean": float(mean[0]),
        "cost_to_the_mean": float(mean[-1] - mean[0]),
        "gain_of_the_worst": float(policy.group_utilities.min() - comparison.group_utilities[-1].min()),
        "kl": policy.kl_mean,
        "entropy": float(by.prompt_weights @ policy.entropy),
        "gap": None if certificate is None else max(certificate.gap, 0.0),
        "group_weights": None
        if certificate is None or certificate.weights is None
        else np.average(certificate.weights, axis=0, weights=by.prompt_weights)
        if len(certificate.weights) == by.n_prompts
        else certificate.weights.mean(axis=0),
        "notes": list(policy.notes),
        "out": None if out is None else str(out),
        "report": None if report is None else str(report),
    }


def _render(console: Console, found: dict[str, Any]) -> None:
    from pluralism.reports import group_name

    worst = [row["group"] for row in found["groups"]].index(found["worst_group"])
    prompts = f"{found['prompts']:,} prompt{'s' * (found['prompts'] != 1)}"
    heading(console, f"{found['rule']} on {found['candidates']:,} candidates of {prompts}")
    console.print(f"{found['method']}; utilities in {found['unit']}\n")
    weights = found["group_weights"]
    columns = ["group", "share", "utility", "reference", "utilitarian", *(["weight"] if weights is not None else [])]
    print_table(
        console,
        columns,
        [
            [
                group_name(k),
                percent(row["share"]),
                number(row["utility"]),
                number(row["reference"]),
                number(row["utilitarian"]),
                *([number(float(weights[k]))] if weights is not None else []),
            ]
            for k, row in enumerate(found["groups"])
        ],
    )
    wrapped(
        console,
        f"{group_name(worst)} has least, {number(found['worst'])}: "
        f"{number(found['gain_of_the_worst'], sign=True)} against the least under the utilitarian policy. On average "
        f"over all people the rule costs {number(found['cost_to_the_mean'])}. KL from the reference "
        f"{number(found['kl'])} nats.",
    )
    if found["gap"] is not None:
        console.print(f"No policy does better by more than {found['gap']:.1e} (duality gap).")
    for note in found["notes"]:
        wrapped(console, note)
    for name in ("out", "report"):
        if found[name] is not None:
            console.print(f"written to {found[name]}", soft_wrap=True)
