"""PrefLib files of rankings and categories: SOC, SOI, TOC, TOI and CAT.

=== ==============================================================================================
SOC strict orders, complete
SOI strict orders, not all alternatives
TOC orders with ties, complete
TOI orders with ties, not all alternatives
CAT alternatives sorted into the same named categories by everyone, such as approved / not approved
=== ==============================================================================================

A file begins with lines ``# KEY: value`` and goes on with one line for each distinct ballot: how many voters cast it,
a colon, and the numbers of the alternatives, best first; braces hold ties. Alternatives become items with their
numbers as ids and their names as texts, ballots become users "1", "2", ... with their counts as weights.

References
----------
N. Mattei and T. Walsh, PrefLib: A Library of Preference Data, Algorithmic Decision Theory 2013;
https://preflib.github.io/PrefLib-Jekyll/format
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from pluralism.data.items import Items
from pluralism.data.rankings import Rankings
from pluralism.errors import DataError
from pluralism.files import atomic_write

__all__ = ["SUFFIXES", "read_preflib", "write_preflib"]

SUFFIXES = (".soc", ".soi", ".toc", ".toi", ".cat")

_HEADER = re.compile(r"#\s*([^:]+?)\s*:[ \t]*(.*?)\s*$")
_NUMBERED = re.compile(r"(ALTERNATIVE|CATEGORY) NAME (\d+)$")
_BALLOT = re.compile(r"\s*(\d+)\s*:\s*(.*?)\s*$")
_ENTRY = re.compile(r"\s*(?:(\d+)|\{\s*((?:\d+\s*(?:,\s*\d+\s*)*)?)\})\s*(,|$)")


def read_preflib(path: str | Path) -> Rankings:
    """Read a PrefLib file.

    What the header says (title, description, publication date, ...) is kept in `Rankings.metadata`. The numbers of
    alternatives, voters and distinct orders that it states must be those of the ballots.

    Raises
    ------
    DataError
        Naming file and line.
    """
    place = Path(path)
    kind = place.suffix.lower().lstrip(".")
    if f".{kind}" not in SUFFIXES:
        raise DataError(
            f"PrefLib files of type {place.suffix!r} are not rankings.",
            where=str(place),
            fix=f"Use a file that ends in one of {', '.join(SUFFIXES)}.",
        )
    metadata, names, levels, ballots = _parts(place)
    stated = metadata.pop("DATA TYPE", kind).lower()
    if stated != kind:
        raise DataError(
            f"The header says DATA TYPE {stated!r}, the file name says {kind!r}.",
            where=str(place),
            fix="Rename the file, or correct its header.",
        )
    item, rank, sizes, weight = _entries(place, ballots, names, kind, levels)
    _check_stated(place, metadata, names, levels, weight)
    n = len(sizes)
    return Rankings(
        items=Items(list(names), texts=list(names.values())),
        users=pa.array(range(1, n + 1)).cast(pa.large_string()),
        user=np.arange(n),
        indptr=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
        item=np.array(item, dtype=np.int64),
        rank=np.array(rank, dtype=np.int64),
        weight=np.array(weight, dtype=np.float64),
        levels=list(levels.values()) if kind == "cat" else None,
        metadata=metadata,
    )


def write_preflib(rankings: Rankings, path: str | Path) -> None:
    """Write a PrefLib file; the suffix says of which type, and the rankings must fit it.

    Items are numbered from 1 in their order and named by their texts or, without texts, their ids. Users and groups
    are not written, equal ballots of several users become one line, and lines are sorted by falling count.

    Raises
    ------
    DataError
        If the rankings do not fit the type, a weight is no whole number, or a name holds a line break or has spaces
        around it.
    """
    place = Path(path)
    kind = place.suffix.lower().lstrip(".")
    _check_fit(rankings, kind, place)
    labels = (rankings.items.ids if rankings.items.texts is None else rankings.items.texts).to_pylist()
    lines: dict[str, int] = {}
    for text, count in zip(_ballot_texts(rankings), rankings.weight.astype(np.int64).tolist(), strict=True):
        lines[text] = lines.get(text, 0) + count
    metadata = {"FILE NAME": place.name, **rankings.metadata, "DATA TYPE": kind}
    for key in ("TITLE", "DESCRIPTION", "RELATES TO", "RELATED FILES", "PUBLICATION DATE", "MODIFICATION DATE"):
        metadata.setdefault(key, "")
    metadata.setdefault("MODIFICATION TYPE", "original")
    counts = {"NUMBER ALTERNATIVES": len(labels), "NUMBER VOTERS": sum(lines.values())}
    counts["NUMBER CATEGORIES" if kind == "cat" else "NUMBER UNIQUE ORDERS"] = (
        len(rankings.levels or ()) if kind == "cat" else len(lines)
    )
    if kind == "cat":
        counts["NUMBER UNIQUE PREFERENCES"] = len(lines)
    named = [f"# CATEGORY NAME {k}: {name}" for k, name in enumerate(rankings.levels or (), 1)]
    named += [f"# ALTERNATIVE NAME {k}: {name}" for k, name in enumerate(labels, 1)]
    for name in (*labels, *(rankings.levels or ()), *metadata.values()):
        if "\n" in name or "\r" in name or name != name.strip():
            raise DataError(
                f"A name holds a line break, or begins or ends with a space: {name[:60]!r}.",
                where=str(place),
                fix="Give these items plainer texts.",
            )
    header = [f"# {key}: {value}" for key, value in (metadata | counts).items()]
    body = [f"{count}: {text}" for text, count in sorted(lines.items(), key=lambda line: -line[1])]
    atomic_write(place, "\n".join([*header, *named, *body]) + "\n")


def _parts(place: Path) -> tuple[dict[str, str], dict[int, str], dict[int, str], list[tuple[int, str]]]:
    """Header, names of alternatives, names of categories, and the numbered lines of ballots."""
    try:
        text = place.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError("There is no such file.", where=str(place), fix="Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The file cannot be read: {error}", where=str(place), fix="Save it in UTF-8.") from error
    metadata: dict[str, str] = {}
    names: dict[int, str] = {}
    levels: dict[int, str] = {}
    ballots: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        if not line.startswith("#"):
            ballots.append((number, line))
            continue
        match = _HEADER.match(line)
        if match is None:
            raise _error(place, number, "This header line has no colon", "Write it as '# KEY: value'.")
        key, value = match.groups()
        numbered = _NUMBERED.match(key)
        if numbered is None:
            metadata[key] = value
            continue
        table = names if numbered[1] == "ALTERNATIVE" else levels
        if int(numbered[2]) in table:
            raise _error(place, number, f"{key} is given twice", "Number them 1, 2, ...")
        table[int(numbered[2])] = value or f"{numbered[1].title()} {numbered[2]}"
    if not names:
        raise DataError(
            "There is no line '# ALTERNATIVE NAME 1: ...'.",
            where=str(place),
            fix="This may be the format of before 2022: download the file again from preflib.org.",
        )
    metadata.pop("FILE NAME", None)
    return metadata, names, levels, ballots


def _entries(
    place: Path, ballots: list[tuple[int, str]], names: dict[int, str], kind: str, levels: dict[int, str]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Item codes and ranks of all entries, and size and count of each ballot."""
    code = {number: position for position, number in enumerate(names)}
    items: list[int] = []
    ranks: list[int] = []
    sizes: list[int] = []
    weights: list[int] = []
    for number, line in ballots:
        match = _BALLOT.match(line)
        if match is None:
            raise _error(place, number, "This is no ballot", "Write 'count: 1,2,{3,4}'.")
        ties = list(_ties(place, number, match[2]))
        flat = [alternative for tie in ties for alternative in tie]
        for alternative in flat:
            if alternative not in code:
                raise _error(place, number, f"There is no alternative {alternative}", "Name it in the header.")
        if len(set(flat)) < len(flat):
            raise _error(place, number, "An alternative is ranked twice", "Keep one of its entries.")
        if not flat:
            raise _error(place, number, "The ballot ranks nothing", "Leave it out.")
        if kind == "cat" and len(ties) != len(levels):
            raise _error(place, number, f"{len(ties)} categories instead of {len(levels)}", "Write {} for empty ones.")
        if kind in ("soc", "soi") and any(len(tie) != 1 for tie in ties):
            raise _error(place, number, f"A tie in a file of strict orders (.{kind})", "Name the file .toc or .toi.")
        if kind in ("soc", "toc") and len(flat) != len(names):
            raise _error(place, number, f"{len(flat)} of {len(names)} alternatives in a .{kind} file", "Name it .soi.")
        if kind in ("toc", "toi") and not all(ties):
            raise _error(place, number, "An empty tie", "Leave it out.")
        items += [code[alternative] for alternative in flat]
        ranks += [rank for rank, tie in enumerate(ties) for _ in tie]
        sizes.append(len(flat))
        weights.append(int(match[1]))
    return items, ranks, sizes, weights


def _ties(place: Path, number: int, text: str) -> Iterator[list[int]]:
    position = 0
    while position < len(text):
        match = _ENTRY.match(text, position)
        if match is None or (match[3] == "," and match.end() == len(text)):
            raise _error(place, number, f"Not understood: {text[position:][:40]!r}", "Write 'count: 1,2,{3,4}'.")
        yield [int(match[1])] if match[1] else [int(word) for word in match[2].split(",") if word.strip()]
        position = match.end()


def _check_stated(
    place: Path, metadata: dict[str, str], names: dict[int, str], levels: dict[int, str], weight: list[int]
) -> None:
    found = {
        "NUMBER ALTERNATIVES": len(names),
        "NUMBER CATEGORIES": len(levels),
        "NUMBER VOTERS": sum(weight),
    }
    for key in ("NUMBER UNIQUE ORDERS", "NUMBER UNIQUE PREFERENCES"):
        metadata.pop(key, None)
    for key, count in found.items():
        stated = metadata.pop(key, str(count))
        if stated != str(count):
            raise DataError(
                f"The header says {key} {stated}, but there are {count:,}.",
                where=str(place),
                fix="The file may have been cut off: fetch it again, or correct the header.",
            )


def _check_fit(rankings: Rankings, kind: str, place: Path) -> None:
    problem = None
    whole = rankings.weight == np.floor(rankings.weight)
    sizes = np.diff(rankings.indptr)
    if f".{kind}" not in SUFFIXES:
        problem = f"{place.suffix!r} is no PrefLib type; use one of {', '.join(SUFFIXES)}"
    elif not whole.all():
        problem = (
            f"ballot {int(np.argmin(whole)) + 1} has the weight {rankings.weight[np.argmin(whole)]:g}, not a count"
        )
    elif (kind == "cat") != (rankings.levels is not None):
        problem = ".cat files, and only they, hold rankings with named levels"
    elif kind in ("soc", "soi") and not rankings._opens_tie().all():
        problem = "some ballots have ties: use .toc or .toi"
    elif kind in ("soc", "toc") and (sizes < rankings.n_items).any():
        problem = "some ballots do not rank all items: use .soi or .toi"
    if problem:
        raise DataError(
            "The rankings do not fit the PrefLib type of the file name.", where=str(place), fix=problem + "."
        )


def _ballot_texts(rankings: Rankings) -> Iterator[str]:
    bounds, items, ranks = rankings.indptr.tolist(), (rankings.item + 1).tolist(), rankings.rank.tolist()
    for ballot in range(len(rankings)):
        ties: dict[int, list[str]] = {}
        if rankings.levels is not None:
            ties = {level: [] for level in range(len(rankings.levels))}
        for entry in range(bounds[ballot], bounds[ballot + 1]):
            ties.setdefault(ranks[entry], []).append(str(items[entry]))
        yield ",".join(tie[0] if len(tie) == 1 else "{" + ",".join(tie) + "}" for tie in ties.values())


def _error(place: Path, number: int, what: str, fix: str) -> DataError:
    return DataError(f"{what}.", where=f"{place}, line {number} of the file", fix=fix)
