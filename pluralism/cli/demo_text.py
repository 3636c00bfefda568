"""How the demo tells what it found: tables, examples, and what they mean in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluralism.cli.output import clean_text
from pluralism.cli.tables import heading, number, percent, percent_span, print_table, span, wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.data import Comparisons

__all__ = ["render_demo", "render_introduction"]

_SIDES = {
    "thorough": ("concise", "thorough"),
    "warm": ("formal", "warm"),
    "direct": ("cautious", "direct"),
    "community": ("for oneself", "for others too"),
}
_NOTABLE = 0.25


def render_introduction(console: Console, data: Comparisons, n_test: int) -> None:
    """Say what is given, before the work begins."""
    prompts = len(set(data.items.prompts.to_pylist())) if data.items.prompts is not None else 0
    wrapped(
        console,
        f"{data.n_users} simulated raters of {0 if data.groups is None else len(data.groups)} kinds compared "
        f"{data.n_items} answers to {prompts} everyday questions: {len(data):,} judgements, {n_test:,} of them held "
        "out. The models see texts and judgements, never the kinds.",
    )
    console.print()


def render_demo(console: Console, found: dict[str, Any]) -> None:
    """Print everything."""
    _render_groups(console, found)
    _render_examples(console, found)
    _render_scores(console, found)
    _render_new_people(console, found)
    heading(console, "What it means")
    for sentence in _meaning(found):
        wrapped(console, sentence, mark="· ")
    console.print()
    heading(console, "Where it is")
    out, run = found["out"], found["run"]
    for what, where in (
        ("report, for a browser", found["report"]),
        ("the fitted model", run),
        ("score it again", f"pluralism evaluate {run} {out}/test.parquet"),
        ("place new people", f"pluralism adapt {run} {out}/new_support.parquet --out placed.parquet"),
    ):
        console.print(f"  {what:<22} {where}", soft_wrap=True)
    console.print(f"  {'took':<22} {found['seconds']:.0f} s")


def _render_groups(console: Console, found: dict[str, Any]) -> None:
    tried = found["n_groups_tried"]
    heading(console, f"1. Who is there: {found['n_groups']} groups ({min(tried)} to {max(tried)} were tried)")
    print_table(
        console,
        ["", "size", "95 % interval", "true size", ("true kind", "left")],
        [
            [
                group["name"],
                percent(group["share"]),
                percent_span(group["share_interval"]),
                percent(group["true_share"]),
                group["true_name"],
            ]
            for group in found["groups"]
        ],
    )
    console.print(f"{percent(found['placed_right'])} of the raters are placed with their own kind.\n")


def _render_examples(console: Console, found: dict[str, Any]) -> None:
    heading(console, "2. What each wants: an answer that it likes (+) and one that it dislikes (−)")
    for group in found["groups"]:
        wrapped(console, _wants(group["tastes"]), mark=f"{group['name']}: ")
        for mark, examples in (("+", group["likes"]), ("−", group["dislikes"])):
            for example in examples[:1]:
                width = min(console.width, 100) - 4
                wrapped(console, clean_text(example["question"] or "", width), mark="  ? ", style="dim")
                wrapped(console, clean_text(example["text"] or "", 2 * width - 12), mark=f"  {mark} ")
        console.print()


def _render_scores(console: Console, found: dict[str, Any]) -> None:
    heading(console, "3. One reward for everybody (pooled), or one for each group: held-out judgements")
    pooled, mixture, ceiling = found["pooled"], found["mixture"], found["ceiling"]

    def row(name: str, key: str) -> list[str]:
        cells = [text for one in (pooled, mixture) for text in (number(one[key]), span(one["intervals"].get(key)))]
        return [name, *cells, number(ceiling.get(key))]

    names = [group["name"] for group in mixture["groups"] if group["name"] in ceiling["groups"]]
    by_group = [
        [
            f"  {name}",
            *(
                text
                for one in (pooled, mixture)
                for score in one["groups"]
                if score["name"] == name
                for text in (number(score["accuracy"]), span(score["intervals"]["accuracy"]))
            ),
            number(ceiling["groups"][name]),
        ]
        for name in names
    ]
    print_table(
        console,
        ["", "pooled", "95 %", "groups", "95 %", "best\npossible"],
        [
            row("accuracy, all", "accuracy"),
            *by_group,
            row("worst group", "worst_group_accuracy"),
            row("NLL (nats)", "nll"),
            row("calibration: ECE", "ece"),
            [
                "  by chance alone",
                "",
                span((pooled["ece_null_low"], pooled["ece_null_high"])),
                "",
                span((mixture["ece_null_low"], mixture["ece_null_high"])),
                "",
            ],
        ],
    )


def _render_new_people(console: Console, found: dict[str, Any]) -> None:
    curve = found["few_shot"]
    heading(console, f"4. How fast a new person is placed ({curve['users']} people nobody has seen)")
    rows = [
        [shots or "none", number(accuracy), span(bounds), number(nll)]
        for shots, accuracy, bounds, nll in zip(
            curve["shots"], curve["accuracy"], curve["accuracy_interval"], curve["nll"], strict=True
        )
    ]
    rows.append(["pooled model", number(curve["control_accuracy"]), "", number(curve["control_nll"])])
    print_table(console, ["answers given", "accuracy", "95 %", "NLL"], rows)


def _wants(tastes: dict[str, float]) -> str:
    notable = sorted((axis for axis in tastes if abs(tastes[axis]) >= _NOTABLE), key=lambda axis: -abs(tastes[axis]))
    sides = [_SIDES[axis] if tastes[axis] < 0 else _SIDES[axis][::-1] for axis in notable]
    return ", ".join(f"{wanted} rather than {other}" for wanted, other in sides) or "no clear taste"


def _meaning(found: dict[str, Any]) -> list[str]:
    pooled, mixture, curve = found["pooled"], found["mixture"], found["few_shot"]
    worst = pooled["worst_group"]
    with_groups = next(score["accuracy"] for score in mixture["groups"] if score["name"] == worst)
    said = [
        f"One reward for everybody predicts {percent(pooled['accuracy'])} of held-out decisions, but only "
        f"{percent(pooled['worst_group_accuracy'])} of those by the people it serves worst ({worst}); "
        f"{percent(0.5)} is a coin. A reward for each group predicts {percent(mixture['accuracy'])} overall and "
        f"{percent(with_groups)} for them; who knew everybody's taste would reach "
        f"{percent(found['ceiling']['accuracy'])}, because people are not consistent."
    ]
    if found["n_groups"] == found["n_groups_true"]:
        said.append(
            f"The number of groups was not given: {found['n_groups']} is what predicts held-out people best, and what "
            "there is."
        )
    else:
        said.append(
            f"There are {found['n_groups_true']} kinds of raters, and the data spoke for {found['n_groups']} groups: "
            "kinds that are small or alike need more judgements to be told apart."
        )
    said.append(
        f"Decisions of a new person are predicted with {percent(curve['accuracy'][0])} before any answer and with "
        f"{percent(curve['accuracy'][-1])} after {curve['shots'][-1]}."
    )
    gap = mixture["signed_confidence_gap"]
    if mixture["ece"] <= mixture["ece_null_high"]:
        said.append("The probabilities can be taken at their word: they are off by no more than chance would be.")
    else:
        way = "too cautious" if gap > 0 else "too sure"
        said.append(
            f"The probabilities are a little {way}: their calibration error is {number(mixture['ece'], 4)}, and chance "
            f"alone explains up to {number(mixture['ece_null_high'], 4)}."
        )
    return said
