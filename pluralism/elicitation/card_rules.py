"""Rules of a good values card that can be checked without a language model; the words are English.

A rule looks at one card and yields what it found, as (field, words); its `fix` says what to write instead. That the
policies fit together, and that they are what the person meant, only people can say.

References
----------
O. Klingefjord, R. Lowe, J. Edelman, What are human values, and how do we align AI to them? arXiv 2404.10636, 2024.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from pluralism.elicitation.values_card import ValuesCard
from pluralism.printable import hidden_characters

__all__ = ["RULES", "CardRule", "Severity", "content_words"]

Severity = Literal["error", "warning"]
Found = Iterator[tuple[str, str]]

MIN_POLICIES, MAX_POLICIES = 3, 7
MAX_POLICY_WORDS, MAX_TITLE_WORDS, MAX_DESCRIPTION_WORDS = 25, 6, 60
SAME_WORDS = 0.75

_HEAD = re.compile(r"^\s*([A-Z][A-Z'’-]+(?:[ /&,]+(?:[A-Z][A-Z'’-]+))*)(?![a-z])\s*(.*)$", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_PLURALS = frozenset("PEOPLE CHILDREN MEN WOMEN FEET TEETH MICE CRITERIA PHENOMENA MEDIA DATA LIVES SELVES".split())
_STOP = frozenset(
    "a an and are as at be by can do for from has have how i in into is it its me my of on one or our own so that the "
    "their them they this to we what when where which who will with you your".split()
)
_EMPTY_WORDS = r"meaning(?:ful\w*)?|important\w*|importance|valuable|worthwhile|matters?|significan\w+"
_GOALS = r"in order to|so that|goals?|achiev\w+|accomplish\w*|succe(?:ed|ss)\w*|win(?:ning)?|maximi[sz]\w+|outcomes?"
_NORMS = r"should|must|ought|have to|has to|always|obligat\w+|duty|duties|rules?"
_NEGATIONS = r"not|no|never|nothing|nobody|none|without|avoid\w*|lack\w*|prevent\w*|refus\w+|\w+n['’]t"
_ONE_PERSON = (
    r"he|she|him|her|his|hers|himself|herself"
    r"|(?:the|this|that) (?:girl|boy|user|woman|man|lady|guy|kid|mother|father|daughter|son|wife|husband|asker)"
)
_OUTSIDE = r"chatgpt|gpt|chatbot|the ai|an ai|assistant|language model|llm"
_COMMANDS = (
    r"https?://|www\.|<\s*/?\s*\w+[^>]*>|\]\(|javascript:|data:\w+/"
    r"|(?:ignore|disregard|forget)\b[^.\n]{0,40}\b(?:instructions?|rules?|prompts?|above|previous)"
    r"|(?:^|\n)\s*(?:system|assistant|user|developer)\s*:|<\|[^|]*\|>|\[/?inst\]"
    r"|(?:mark|choose|select|vote for|upvote) (?:this|my) (?:card|value)"
)


@dataclass(frozen=True)
class CardRule:
    """One rule: its name, how grave a breach is, the line that mends it, and the check."""

    name: str
    severity: Severity
    fix: str
    check: Callable[[ValuesCard], Found]


def content_words(text: str) -> frozenset[str]:
    """Words of a text in lower case, without those that carry no content."""
    return frozenset(_WORD.findall(text.lower())) - _STOP


def _texts(card: ValuesCard) -> Iterator[tuple[str, str]]:
    yield "title", card.title
    yield "description", card.description
    for i, policy in enumerate(card.policies, 1):
        yield f"policy {i}", policy


def _policies(card: ValuesCard) -> Iterator[tuple[str, str]]:
    return ((f"policy {i}", policy) for i, policy in enumerate(card.policies, 1))


def _banned(pattern: str, *, title: bool) -> Callable[[ValuesCard], Found]:
    banned = re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)

    def check(card: ValuesCard) -> Found:
        for where, text in _texts(card):
            if title or where != "title":
                yield from ((where, match.group()) for match in banned.finditer(text))

    return check


def _count(card: ValuesCard) -> Found:
    n = len(card.policies)
    if not MIN_POLICIES <= n <= MAX_POLICIES:
        yield "policies", f"{n} {'policy' if n == 1 else 'policies'}"


def _capitals(card: ValuesCard) -> Found:
    yield from ((where, text) for where, text in _policies(card) if not _HEAD.match(text))


def _plural(card: ValuesCard) -> Found:
    for where, text in _policies(card):
        head = _HEAD.match(text)
        if head and not any(_is_plural(word) for word in head[1].replace("/", " ").split()):
            yield where, head[1]


def _is_plural(word: str) -> bool:
    plain = word.strip(",&'’-")
    return plain in _PLURALS or (plain.endswith("S") and not plain.endswith(("SS", "US", "IS", "'S", "’S")))


def _qualifier(card: ValuesCard) -> Found:
    for where, text in _policies(card):
        head = _HEAD.match(text)
        if head and len(head[2].split()) < 2:
            yield where, text


def _policy_length(card: ValuesCard) -> Found:
    for where, text in _policies(card):
        n = len(text.split())
        if n > MAX_POLICY_WORDS:
            yield where, f"{n} words"


def _title(card: ValuesCard) -> Found:
    words = card.title.split()
    if len(words) == 1 or len(words) > MAX_TITLE_WORDS:
        yield "title", card.title


def _description(card: ValuesCard) -> Found:
    n = len(card.description.split())
    if n == 0 or n > MAX_DESCRIPTION_WORDS:
        yield "description", f"{n} words" if n else "nothing"


def _redundant(card: ValuesCard) -> Found:
    words = [content_words(policy) for policy in card.policies]
    for (i, first), (j, second) in combinations(enumerate(words, 1), 2):
        shared = len(first & second)
        if first and second and (shared >= SAME_WORDS * len(first | second) or shared == min(len(first), len(second))):
            yield f"policies {i} and {j}", card.policies[j - 1]


def _particular(card: ValuesCard) -> Found:
    for where, text in _texts(card):
        if where == "title":
            continue
        head = _HEAD.match(text)
        rest = head[2] if head else text
        for sentence in re.split(r"(?<=[.!?:])\s+|\n", rest):
            names = re.findall(r"(?<!^)\b[A-Z][a-z]+\b", sentence.strip())
            yield from ((where, name) for name in names)
        yield from ((where, number) for number in re.findall(r"\b\d[\d.,]*\b", text))


def _commands(card: ValuesCard) -> Found:
    found = re.compile(_COMMANDS, re.IGNORECASE)
    fields = [*_texts(card), *([("context", card.context)] if card.context else [])]
    yield from ((where, match.group().strip()) for where, text in fields for match in found.finditer(text))


def _hidden(card: ValuesCard) -> Found:
    fields = [*_texts(card), *([("context", card.context)] if card.context else [])]
    for where, text in fields:
        characters = hidden_characters(text)
        if characters:
            yield where, " ".join(f"U+{ord(c):04X}" for c in dict.fromkeys(characters))


RULES: tuple[CardRule, ...] = (
    CardRule("hidden-characters", "error", "Remove these characters, which nobody can see.", _hidden),
    CardRule(
        "no-instructions",
        "error",
        "Write what a person attends to; links, markup and instructions to a reader or a program do not belong here.",
        _commands,
    ),
    CardRule(
        "policy-count",
        "warning",
        f"Write {MIN_POLICIES} to {MAX_POLICIES} policies: split a crowded one, or join those that belong together.",
        _count,
    ),
    CardRule(
        "leading-capitals",
        "warning",
        "Begin with what is attended to, in capitals, and then say which: MOMENTS where somebody needs to be heard.",
        _capitals,
    ),
    CardRule("plural", "warning", "Name what is attended to in the plural: MOMENTS, SIGNS, POSSIBILITIES.", _plural),
    CardRule("qualifier", "warning", "Say which ones, so that others could look for the same.", _qualifier),
    CardRule("policy-length", "warning", f"Say it in {MAX_POLICY_WORDS} words or fewer.", _policy_length),
    CardRule(
        "title",
        "warning",
        f"Write two to {MAX_TITLE_WORDS} words that no other card would have; a single word names a family of values.",
        _title,
    ),
    CardRule(
        "description",
        "warning",
        f"Say what it is, in at most {MAX_DESCRIPTION_WORDS} words.",
        _description,
    ),
    CardRule(
        "empty-words",
        "warning",
        "Say why it is so instead: what would be missing from life without it?",
        _banned(_EMPTY_WORDS, title=False),
    ),
    CardRule(
        "no-goals",
        "warning",
        "Leave out what it is good for: name what is attended to for its own sake.",
        _banned(_GOALS, title=True),
    ),
    CardRule("no-norms", "warning", "Say what is attended to, not what has to be done.", _banned(_NORMS, title=True)),
    CardRule(
        "positive",
        "warning",
        "Say what is looked for, not what is kept away: CHANCES to speak freely, instead of no interruptions.",
        _banned(_NEGATIONS, title=True),
    ),
    CardRule(
        "no-one-person",
        "warning",
        "Speak of people in general: somebody, a person, a friend; the value outlives the case.",
        _banned(_ONE_PERSON, title=True),
    ),
    CardRule(
        "own-perspective",
        "warning",
        "Write as the person who chooses would see it, whoever that is.",
        _banned(_OUTSIDE, title=True),
    ),
    CardRule("general-words", "warning", "Replace names and numbers by general words.", _particular),
    CardRule("redundant", "warning", "Drop one of the two, or say how they differ.", _redundant),
)
"""All rules, errors first."""
