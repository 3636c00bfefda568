"""What a data check found: every check, whether it passed or not, with rows to look at and the line that mends it."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pluralism.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Check", "DataReport", "tell"]

WIDTH = 110


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its outcome.

    Parameters
    ----------
    name : str
        What is checked, such as ``"order bias"``.
    level : {"error", "warning"}
        What a failure means: errors stop, warnings go on.
    passed : bool
        Whether the data are in order; True also for a check that does not apply.
    found : str
        What was found, in one sentence, also where the check passed.
    count : int
        How many rows (users, items, texts: `found` says which) are concerned.
    share : float
        `count` as a share of all of them, in [0, 1].
    samples : tuple of mappings
        A few examples. Key ``"row"`` is the 1-based row (header not counted); the others are columns or labels.
    fix : str
        What to do about it.
    measures : mapping of str to float
        Numbers behind the sentence, such as a p-value or the number of components.
    applies : bool
        False where the data lack what the check needs (no times, no texts, ...).
    """

    name: str
    level: Literal["error", "warning"]
    passed: bool
    found: str
    count: int = 0
    share: float = 0.0
    samples: tuple[Mapping[str, Any], ...] = ()
    fix: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    applies: bool = True

    @property
    def status(self) -> Literal["ok", "warning", "error", "not tested"]:
        """In one word."""
        if not self.applies:
            return "not tested"
        return "ok" if self.passed else self.level

    def to_dict(self) -> dict[str, Any]:
        """Plain values only; a NaN or infinite measure becomes None."""
        return {
            "name": self.name,
            "level": self.level,
            "status": self.status,
            "passed": self.passed,
            "count": self.count,
            "share": self.share,
            "found": self.found,
            "samples": [{key: _plain(value) for key, value in sample.items()} for sample in self.samples],
            "fix": self.fix,
            "measures": {key: _plain(value) for key, value in self.measures.items()},
        }


@dataclass(frozen=True, slots=True, repr=False)
class DataReport:
    """All checks of one data set.

    Parameters
    ----------
    subject : str
        What the rows are: ``"comparisons"``, ``"ratings"`` or ``"rankings"``.
    n_rows : int
        Number of rows looked at.
    checks : tuple of Check
        In the order in which they should be read.
    source : str, optional
        File they come from.

    Examples
    --------
    >>> report = DataReport("comparisons", 4, (Check("order bias", "warning", True, "Left wins 2 of 4."),))
    >>> report.ok, [check.name for check in report], report["order bias"].status
    (True, ['order bias'], 'ok')
    """

    subject: str
    n_rows: int
    checks: tuple[Check, ...]
    source: str | None = None

    @property
    def ok(self) -> bool:
        """True when no check of level "error" failed; warnings may remain."""
        return not self.errors

    @property
    def errors(self) -> tuple[Check, ...]:
        """Failed checks that stop the work."""
        return tuple(check for check in self.checks if check.status == "error")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """Failed checks that deserve a look."""
        return tuple(check for check in self.checks if check.status == "warning")

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"no check named {name!r}; there are {[check.name for check in self.checks]}")

    def raise_for_errors(self) -> None:
        """Raise one `DataError` that states all errors; do nothing where there is none."""
        if self.ok:
            return
        first = self.errors[0]
        places = [f"{_place(check)}" for check in self.errors if check.samples]
        parts = [self.source or "", "; ".join(places)]
        raise DataError(
            " ".join(check.found for check in self.errors),
            where=", ".join(part for part in parts if part) or None,
            fix=first.fix or None,
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "subject": self.subject,
            "source": self.source,
            "n_rows": self.n_rows,
            "ok": self.ok,
            "n_errors": len(self.errors),
            "n_warnings": len(self.warnings),
            "checks": [check.to_dict() for check in self.checks],
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """The report as strict JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row a check; `samples` and `measures` are JSON text."""
        import pyarrow as pa

        rows = [check.to_dict() for check in self.checks]
        for row in rows:
            row["samples"] = json.dumps(row["samples"], ensure_ascii=False, allow_nan=False)
            row["measures"] = json.dumps(row["measures"], ensure_ascii=False, allow_nan=False)
        schema = pa.schema(
            [
                ("name", pa.string()),
                ("level", pa.string()),
                ("status", pa.string()),
                ("passed", pa.bool_()),
                ("count", pa.int64()),
                ("share", pa.float64()),
                ("found", pa.string()),
                ("samples", pa.string()),
                ("fix", pa.string()),
                ("measures", pa.string()),
            ]
        )
        return pa.Table.from_pylist(rows, schema=schema)

    def __repr__(self) -> str:
        untested = sum(not check.applies for check in self.checks)
        passed = len(self.checks) - len(self.errors) - len(self.warnings) - untested
        counts = [tell(len(self.errors), "error"), tell(len(self.warnings), "warning"), f"{passed} passed"]
        if untested:
            counts.append(f"{untested} not tested")
        of = f" of {self.source}" if self.source else ""
        lines = [f"Data check{of}: {self.n_rows:,} {self.subject}; {', '.join(counts)}", ""]
        width = max((len(check.name) for check in self.checks), default=0)
        for check in self.checks:
            lines.extend(_lines(check, width))
        return "\n".join(lines)


def _lines(check: Check, width: int) -> list[str]:
    mark = {"ok": "ok", "warning": "warning", "error": "ERROR", "not tested": "-"}[check.status]
    head = f"{mark:<8} {check.name:<{width}}  "
    lines = textwrap.wrap(
        check.found, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False
    ) or [head.rstrip()]
    if check.status not in ("warning", "error"):
        return lines
    lines.extend(_cut(" " * len(head) + "· " + _sample_line(sample), WIDTH) for sample in check.samples[:3])
    if check.fix:
        indent = " " * len(head)
        lines.extend(
            textwrap.wrap(
                f"fix: {check.fix}",
                WIDTH,
                initial_indent=indent,
                subsequent_indent=indent + "     ",
                break_long_words=False,
            )
        )
    return lines


def _sample_line(sample: Mapping[str, Any]) -> str:
    row = f"row {sample['row']:,}: " if "row" in sample else ""
    return row + ", ".join(f"{key} {_short(value)}" for key, value in sample.items() if key != "row")


def _place(check: Check) -> str:
    sample = check.samples[0]
    more = f" (and {check.count - 1:,} more)" if check.count > 1 else ""
    row = f"row {sample['row']:,}{more}, " if "row" in sample else ""
    return row + ", ".join(f"{key} {_short(value)}" for key, value in sample.items() if key != "row")


def _short(value: Any, length: int = 40) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
    return _cut(text, length)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def tell(n: int, noun: str, verb: str = "") -> str:
    """Number, noun and verb in agreement: "1 row repeats", "2,000 rows repeat"."""
    if n == 1:
        verb = {"have": "has", "are": "is", "do": "does"}.get(verb, verb and verb + "s")
    return f"{n:,} {noun}{'' if n == 1 else 's'} {verb}".rstrip()


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
