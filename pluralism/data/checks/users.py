"""Who answered: people with a single answer, one person with most of the data, people who are copies of each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from pluralism.data.checks.view import SHOWN, RowView, View, not_tested
from pluralism.data.report import Check, tell
from pluralism.data.units import dense_codes

__all__ = ["changing_groups", "dominant_user", "identical_users", "single_judgements"]

FEWEST_ANSWERS = 5
"""Answer sheets shorter than this are never called copies."""
COINCIDENCE = 0.01
"""Copies are reported if fewer couples than this are expected to agree by chance."""


def single_judgements(view: RowView) -> Check:
    """Users with one row."""
    name = "users with one judgement"
    if not view.known_users:
        return not_tested(name, "there is no column 'user'")
    rows = np.bincount(view.data.user, minlength=view.data.n_users)
    single, active = np.flatnonzero(rows == 1), int((rows > 0).sum())
    n, median = len(single), float(np.median(rows[rows > 0]))
    return Check(
        name,
        "warning",
        n == 0,
        f"{n:,} of {tell(active, 'user', 'have')} a single row: their group stays close to the prior."
        if n
        else f"Each of {tell(active, 'user')} has at least two rows (median {median:g})."
        if active > 1
        else f"The only user has {median:g} rows.",
        count=n,
        share=n / active,
        samples=tuple({"user": view.user_label(int(code))} for code in single[:SHOWN]),
        fix="Ask these people more questions, or leave them out when you count groups.",
        measures={"users": active, "median_rows": median},
    )


def dominant_user(view: RowView) -> Check:
    """One user with more than half of the rows."""
    name = "one user with most of the data"
    if not view.known_users:
        return not_tested(name, "there is no column 'user'")
    rows = np.bincount(view.data.user, minlength=view.data.n_users)
    busiest, active = int(rows.argmax()), int((rows > 0).sum())
    most = int(rows[busiest])
    share = view.share(most)
    return Check(
        name,
        "warning",
        share <= 0.5,
        f"The busiest of {tell(active, 'user')} made {share:.1%} of the rows."
        if active > 1
        else "All rows are by one user: there are no groups to find.",
        count=most if share > 0.5 else 0,
        share=share,
        samples=({"user": view.user_label(busiest), "rows": most},) if share > 0.5 else (),
        fix="Weigh this user's rows down (column 'weight'), or leave some of them out.",
        measures={"largest_share": share},
    )


def changing_groups(view: RowView) -> Check:
    """Users whose rows name several groups."""
    name = "users in several groups"
    if not view.known_users or view.data.group is None:
        missing = "user" if not view.known_users else "group"
        return not_tested(name, f"there is no column {missing!r}")
    named = view.data.group >= 0
    pairs = np.unique(np.stack([view.data.user[named], view.data.group[named]], axis=1), axis=0)
    groups = np.bincount(pairs[:, 0], minlength=view.data.n_users)
    changing, known = np.flatnonzero(groups > 1), int((groups > 0).sum())
    n = len(changing)
    return Check(
        name,
        "warning",
        n == 0,
        f"{n:,} of {tell(known, 'user', 'have')} rows of several groups: scores by group count each row for its own."
        if n
        else f"Each of {tell(known, 'user')} belongs to one group.",
        count=n,
        share=n / known if known else 0.0,
        samples=tuple({"user": view.user_label(int(code)), "groups": int(groups[code])} for code in changing[:SHOWN]),
        fix="Correct the column 'group', or give a person who changed group a user name for each.",
        measures={"users": known},
    )


def identical_users(view: View) -> Check:
    """Users with the same answers to the same pairs, beyond what chance would bring."""
    name = "identical users"
    if not view.known_users:
        return not_tested(name, "there is no column 'user'")
    counted = np.flatnonzero(view.counted)
    cell, first = np.unique(view.user_pair[counted], return_index=True)
    _, code = np.unique(view.user_pair[counted], return_inverse=True)
    total = np.bincount(code, weights=view.answer[counted], minlength=len(cell))
    user, pair, answer = view.data.user[counted[first]], view.pair[counted[first]], np.sign(total).astype(np.int64) + 1
    clusters = _copies(user.astype(np.int64), pair, answer, view.data.n_users)
    n = sum(len(users) for users, _ in clusters)
    active = len(np.unique(user))
    return Check(
        name,
        "warning",
        n == 0,
        f"{tell(n, 'user', 'are')} copies: {tell(len(clusters), 'set')} of people gave the same "
        "answers to the same pairs, far more than chance would bring."
        if n
        else "No users give the same answers to the same pairs beyond chance.",
        count=n,
        share=n / active if active else 0.0,
        samples=tuple(
            {"users": ", ".join(view.user_label(code) for code in users[:4]), "of": len(users), "answers": int(size)}
            for users, size in clusters[:SHOWN]
        ),
        fix="Look whether one person, or one program, answered under several names; keep one of them if so.",
        measures={"sets": len(clusters)},
    )


def _copies(
    user: Int[np.ndarray, " cells"], pair: Int[np.ndarray, " cells"], answer: Int[np.ndarray, " cells"], n_users: int
) -> list[tuple[Int[np.ndarray, " copies"], int]]:
    """Sets of users with equal sheets, largest first, with the length of the sheet."""
    size = np.bincount(user, minlength=n_users)
    asked = _fingerprint(user, pair * 3, n_users)
    answered = _fingerprint(user, pair * 3 + answer, n_users)
    long_enough = np.flatnonzero(size >= FEWEST_ANSWERS)
    if len(long_enough) < 2:
        return []
    sheet = np.full(n_users, -1, dtype=np.int64)
    sheet[long_enough] = np.unique(
        np.column_stack([answered[long_enough], size[long_enough].astype(np.uint64)]), axis=0, return_inverse=True
    )[1].ravel()
    copies = np.bincount(sheet[long_enough])
    if copies.max() < 2:
        return []
    # Each distinct sheet counts once, so that copies do not make their own answers look common.
    weight = np.where(sheet >= 0, 1.0 / copies[np.maximum(sheet, 0)], 1.0)[user]
    agree = _log_agreement(pair, answer, weight)
    log_chance = np.bincount(user, weights=agree[pair], minlength=n_users)
    same_questions = np.bincount(dense_codes(asked))[dense_codes(asked)]
    found = []
    for label in np.flatnonzero(copies >= 2):
        users = np.flatnonzero(sheet == label)
        couples = same_questions[users[0]] * (same_questions[users[0]] - 1) / 2
        if np.log(couples) + log_chance[users[0]] < np.log(COINCIDENCE):
            found.append((users, int(size[users[0]])))
    return sorted(found, key=lambda item: (-len(item[0]), int(item[0][0])))


def _log_agreement(
    pair: Int[np.ndarray, " cells"], answer: Int[np.ndarray, " cells"], weight: Float[np.ndarray, " cells"]
) -> Float[np.ndarray, " pairs"]:
    """Log of the probability that two people agree on a pair, with half an answer added for either side."""
    counts = np.bincount(pair * 3 + answer, weights=weight, minlength=3 * (int(pair.max()) + 1)).reshape(-1, 3)
    counts += np.array([0.5, 0.0, 0.5])
    return np.log(np.sum((counts / counts.sum(axis=1, keepdims=True)) ** 2, axis=1))


def _fingerprint(user: Int[np.ndarray, " cells"], values: Int[np.ndarray, " cells"], n_users: int) -> np.ndarray:
    """A 64-bit sum of mixed values for each user, whatever their order (splitmix64)."""
    mixed = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    total = np.zeros(n_users, dtype=np.uint64)
    np.add.at(total, user, mixed ^ (mixed >> np.uint64(31)))
    return total
