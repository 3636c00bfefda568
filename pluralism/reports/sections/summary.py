"""What was found, in plain words and with the numbers they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pluralism.reports.sections.subject import Subject
from pluralism.reports.text import counted, interval, one_line, percent, signed

__all__ = ["summary"]

COIN = 0.5
LITTLE = 0.01
PROMPT = 90


def summary(subject: Subject, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Headline, sentences and key figures, made of the parts of the report alone.

    Returns
    -------
    dict
        `headline` (str), `sentences` (list of str), `figures` (list of {value, words}), `cards` (for each group, the
        text that it likes more, and the one that it likes less, than others do; empty for one group, and where one
        reward predicts as well).
    """
    data = parts["settings"]["data"]
    people = counted(data["people"], "person", "people")
    made = f"{people} made {counted(data['judgements'], 'judgement')} of {data['items']:,} {subject.texts}."
    sentences = [" ".join([made, *_groups(subject, parts)])]
    sentences += _gain(subject, parts) + _smallest(subject, parts)
    sentences += _split(parts) + _placing(parts) + _trust(parts)
    return {
        "headline": _headline(subject, parts, people),
        "sentences": sentences,
        "figures": _figures(subject, parts),
        "cards": _cards(subject, parts),
    }


def _headline(subject: Subject, parts: Mapping[str, Any], people: str) -> str:
    if subject.personal:
        return f"A reward for each of {people}"
    if subject.n_groups == 1:
        chosen = parts["selection"]["rows"] is not None
        return f"One reward explains {people}" if chosen else f"One reward, fitted to {people}"
    verdict = parts["accuracy"].get("verdict", "unknown")
    if verdict == "better":
        return f"{people} fall into {subject.n_groups} groups that want different things"
    if verdict in ("same", "worse"):
        as_well = "as well" if verdict == "same" else "better"
        return f"{subject.n_groups} groups among {people}, but one reward predicts them {as_well}"
    return f"{people} in {subject.n_groups} groups"


def _groups(subject: Subject, parts: Mapping[str, Any]) -> list[str]:
    if subject.n_groups == 1:
        if parts["selection"]["rows"] is None:
            return []
        return ["The data do not call for groups: no number of them predicts people who were left out any better."]
    rows = parts["groups"]["rows"]
    sizes = [
        f"{row['name']} {percent(row['share'])}"
        + (f" ({interval(row['low'], row['high'], 0, of_percent=True)})" if row["low"] is not None else "")
        for row in rows
    ]
    return [f"They fall into {subject.n_groups} groups: {', '.join(sizes)}."]


def _who_predicts(subject: Subject) -> str:
    """Who predicts, with the verb."""
    return "a reward for each person predicts" if subject.personal else "the groups predict"


def _gain(subject: Subject, parts: Mapping[str, Any]) -> list[str]:
    part = parts["accuracy"]
    if "missing" in part:
        return []
    own = part["model"]["accuracy"]
    on = "On held-out judgements" if part["refitted"] else "On the test data"
    if own is None:
        return [f"{on}, nobody decided: there are ties alone."]
    if part["difference"] is None:
        return [f"{on}, the model predicts {percent(own, 1)} of the choices."]
    value, low, high = part["difference"]["accuracy"]
    nll, nll_low, nll_high = part["difference"]["nll"]
    points = _bounds(low, high, 1, scale=100)
    nats = f"{signed(nll, 3)} nats a judgement{_bounds(nll_low, nll_high, 3)}"
    if part["verdict"] == "same":
        return [
            f"A single reward explains these data as well: {on[0].lower()}{on[1:]}, the groups change the negative "
            f"log-likelihood by {nats}, and the share of choices predicted by {signed(100 * value, 1)} points{points}."
        ]
    if part["verdict"] == "worse":
        return [
            f"A single reward predicts these data better: {on[0].lower()}{on[1:]}, the groups raise the negative "
            f"log-likelihood by {nats}. Do not use the groups."
        ]
    size = "a little better" if part["verdict"] == "better" and value < LITTLE else ""
    said = (
        f"{on}, {_who_predicts(subject)} {percent(own, 1)} of the choices, one reward for everybody "
        f"{percent(part['pooled']['accuracy'], 1)}: {signed(100 * value, 1)} points{points}"
    )
    return [f"{said}, {size} ({nats} in negative log-likelihood)." if size else f"{said}."]


def _smallest(subject: Subject, parts: Mapping[str, Any]) -> list[str]:
    """What one reward for everybody does to the smallest group."""
    part = parts["accuracy"]
    if subject.n_groups == 1 or "missing" in part or part["pooled"] is None:
        return []
    smallest = min(parts["groups"]["rows"], key=lambda row: row["share"])
    row = next((row for row in part["groups"] if row["name"] == smallest["name"]), None)
    if row is None or row["pooled"] is None or row["pooled"]["accuracy"] is None:
        return []
    pooled, own = row["pooled"]["accuracy"], row["model"]["accuracy"]
    low, high = row["pooled"]["intervals"]["accuracy"]
    bounds = "" if low is None else f" ({interval(low, high, 0, of_percent=True)})"
    if high is not None and high < COIN:
        beside = ", worse than a coin"
    elif low is not None and low <= COIN <= high:
        beside = ", no better than a coin"
    else:
        beside = ""
    people = counted(row["people"], "person", "people")
    return [
        f"For the smallest, {row['name']} ({people}), one reward would get {percent(pooled)}{bounds} of the choices "
        f"right{beside}; its own reward gets {percent(own)}."
    ]


def _bounds(low: float | None, high: float | None, digits: int, *, scale: float = 1.0) -> str:
    if low is None or high is None:
        return ""
    return f" ({signed(scale * low, digits)} to {signed(scale * high, digits)})"


def _split(parts: Mapping[str, Any]) -> list[str]:
    part = parts["agreement"]
    if "missing" in part or not part["split_prompts"]:
        return []
    split, agreed = part["split_prompts"][0]["prompt"], part["agreed_prompts"]
    if split is None:
        return []
    said = f"The groups are furthest apart on “{one_line(split, PROMPT)}”"
    if agreed and agreed[0]["prompt"] is not None:
        said += f" and least so on “{one_line(agreed[0]['prompt'], PROMPT)}”"
    return [said + "."]


def _placing(parts: Mapping[str, Any]) -> list[str]:
    sure, few = parts["certainty"], parts["few_shot"]
    said = []
    if "missing" not in sure:
        said.append(
            f"{percent(sure['sure_share'])} of the people are placed in a group with at least "
            f"{percent(sure['sure'])} certainty."
        )
    if "missing" not in few:
        curve, enough = few["curve"], few["enough"]
        if enough is None:
            said.append("The answers of a new person do not place them well enough to predict the others better.")
        else:
            at = curve["shots"].index(enough)
            said.append(
                f"A new person's choices are predicted right {percent(curve['accuracy'][0])} of the time before any "
                f"answer, {percent(curve['accuracy'][at])} after {counted(enough, 'answer')}."
            )
    return [" ".join(said)] if said else []


def _trust(parts: Mapping[str, Any]) -> list[str]:
    check, said = parts["data_check"], []
    if check["n_errors"] or check["n_warnings"]:
        failed = [row["name"] for row in check["checks"] if row["status"] in ("error", "warning")]
        said.append(f"The data check warns of: {', '.join(failed)}.")
    learned = parts["settings"]["learned"]
    if not learned.get("converged", True):
        said.append("The fit stopped before it converged: raise max_iter, and take the numbers with care.")
    if not parts["accuracy"].get("converged", True):
        said.append("A fit for the held-out scores stopped before it converged.")
    agreed = parts["selection"]["restart_agreement"]
    if agreed is not None and agreed <= 0.5 and parts["selection"]["n_groups"] > 1:
        said.append(f"Only {percent(agreed)} of the restarts found this solution: the groups may not be unique.")
    return said


def _figures(subject: Subject, parts: Mapping[str, Any]) -> list[dict[str, str]]:
    data, part = parts["settings"]["data"], parts["accuracy"]
    figures = [
        {"value": f"{data['people']:,}", "words": "people"},
        {"value": f"{data['judgements']:,}", "words": "judgements"},
        {"value": str(subject.n_groups), "words": "group" if subject.n_groups == 1 else "groups"},
    ]
    if "missing" not in part:
        on = "held-out" if part["refitted"] else "test"
        figures.append({"value": percent(part["model"]["accuracy"], 1), "words": f"of {on} choices predicted"})
    if part.get("pooled") is not None:
        figures.append({"value": percent(part["pooled"]["accuracy"], 1), "words": "by one reward for everybody"})
    return figures


def _cards(subject: Subject, parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    # where one reward does as well, what tells the groups apart may be nothing
    if subject.n_groups == 1 or "missing" in parts["likes"] or parts["accuracy"].get("verdict") in ("same", "worse"):
        return []
    return [
        {
            "name": row["name"],
            "share": row["share"],
            "more": group["lists"][2]["items"][0],
            "less": group["lists"][3]["items"][0],
        }
        for row, group in zip(parts["groups"]["rows"], parts["likes"]["groups"], strict=True)
    ]
