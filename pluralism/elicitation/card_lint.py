"""Is this a good values card? Each finding names the rule, the words, and the line that mends it."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from pluralism.elicitation.card_rules import RULES, Severity
from pluralism.elicitation.values_card import ValuesCard

__all__ = ["CardFinding", "CardReport", "lint_card", "lint_cards"]

_SHOWN = 60


@dataclass(frozen=True)
class CardFinding:
    """One breach of a rule.

    Attributes
    ----------
    card : int
        Which card, from 0.
    rule : str
    severity : {"error", "warning"}
        An error is a card that must not be shown to others as it is.
    field : str
        Such as "title" or "policy 2".
    found : str
        The words in question.
    fix : str
        What to write instead.
    """

    card: int
    rule: str
    severity: Severity
    field: str
    found: str
    fix: str


@dataclass(frozen=True)
class CardReport:
    """What was found in some cards.

    Attributes
    ----------
    titles : tuple of str
        Of the cards that were looked at.
    findings : tuple of CardFinding
    """

    titles: tuple[str, ...]
    findings: tuple[CardFinding, ...]

    @property
    def errors(self) -> tuple[CardFinding, ...]:
        """Findings that must be mended before others see the card."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether there is no finding at all."""
        return not self.findings

    def to_frame(self) -> pa.Table:
        """Columns `card, title, rule, severity, field, found, fix`."""
        kind = pa.string()
        columns: dict[str, Any] = {"card": pa.array([finding.card for finding in self.findings], pa.int64())}
        columns["title"] = pa.array([self.titles[finding.card] for finding in self.findings], kind)
        for name in ("rule", "severity", "field", "found", "fix"):
            columns[name] = pa.array([getattr(finding, name) for finding in self.findings], kind)
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The findings, and how many cards have none."""
        clean = len(self.titles) - len({finding.card for finding in self.findings})
        return {"cards": len(self.titles), "clean": clean, "findings": [asdict(finding) for finding in self.findings]}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        n = len(self.titles)
        lines = [f"CardReport({n:,} card{'s' * (n != 1)}, {len(self.findings):,} findings)"]
        for finding in self.findings:
            whose = f"{self.titles[finding.card]!r}, " if n > 1 else ""
            lines.append(f"- {finding.severity}: {finding.rule} ({whose}{finding.field}: {finding.found!r})")
            lines.append(f"  fix: {finding.fix}")
        return "\n".join(lines)


def lint_card(card: ValuesCard) -> CardReport:
    """Check one card against all rules.

    Examples
    --------
    >>> lint_card(ValuesCard("Care", "It is important.", ["MOMENTS where someone needs to be heard", "kindness"]))
    CardReport(1 card, 4 findings)
    - warning: policy-count (policies: '2 policies')
      fix: Write 3 to 7 policies: split a crowded one, or join those that belong together.
    - warning: leading-capitals (policy 2: 'kindness')
      fix: Begin with what is attended to, in capitals, and then say which: MOMENTS where somebody needs to be heard.
    - warning: title (title: 'Care')
      fix: Write two to 6 words that no other card would have; a single word names a family of values.
    - warning: empty-words (description: 'important')
      fix: Say why it is so instead: what would be missing from life without it?
    """
    return CardReport((card.title,), tuple(_findings(0, card)))


def lint_cards(cards: Sequence[ValuesCard]) -> CardReport:
    """Check each card, and whether two share their title or all their policies."""
    findings = [finding for i, card in enumerate(cards) for finding in _findings(i, card)]
    findings += _repeated(
        [" ".join(card.title.casefold().split()) for card in cards],
        CardFinding(0, "distinct-titles", "warning", "title", "", "Give each card a title of its own."),
        cards,
    )
    findings += _repeated(
        [frozenset(policy.casefold().strip() for policy in card.policies) for card in cards],
        CardFinding(0, "distinct-cards", "warning", "policies", "", "These cards say the same: merge them."),
        cards,
    )
    return CardReport(tuple(card.title for card in cards), tuple(findings))


def _findings(number: int, card: ValuesCard) -> list[CardFinding]:
    return [
        CardFinding(number, rule.name, rule.severity, field, _short(found), rule.fix)
        for rule in RULES
        for field, found in dict.fromkeys(rule.check(card))
    ]


def _repeated(keys: Sequence[Hashable], finding: CardFinding, cards: Sequence[ValuesCard]) -> list[CardFinding]:
    first: dict[Hashable, int] = {}
    found = []
    for i, key in enumerate(keys):
        if first.setdefault(key, i) != i:
            found.append(replace(finding, card=i, found=_short(f"as card {first[key]}, {cards[first[key]].title}")))
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1].rstrip() + "…"
