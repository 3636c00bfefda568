"""The compiled loop of Meek's count: how much of each ballot every candidate keeps, in whole parts of a vote."""

from __future__ import annotations

from numba import njit

__all__ = ["distribute"]


@njit(cache=True)
def distribute(levels, order, counts, keep, one, votes):
    """Pass every ballot down its list, each candidate keeping a part of what comes to it.

    Candidates on one level share what comes to the level equally, as far as they keep anything.

    Parameters
    ----------
    levels, order : int16 arrays of shape (ballots, candidates)
        `order` lists the candidates of each ballot, best first, unlisted ones last (level -1).
    counts : int64 array of shape (ballots,)
    keep : int64 array of shape (candidates,)
        What each keeps of a vote, in parts; 0 for the excluded, `one` for the hopeful.
    one : int64
        Parts of a vote.
    votes : int64 array of shape (candidates,)
        Zeros; becomes what each candidate has, in parts.

    Returns
    -------
    excess : int64
        What nobody keeps, in parts.
    """
    n, m = levels.shape
    excess = 0
    for row in range(n):
        left, at = one, 0
        while at < m and left > 0 and levels[row, order[row, at]] >= 0:
            level = levels[row, order[row, at]]
            stop, sharers = at, 0
            while stop < m and levels[row, order[row, stop]] == level:
                sharers += 1 if keep[order[row, stop]] > 0 else 0
                stop += 1
            if sharers:
                share, kept = left // sharers, 0
                for k in range(at, stop):
                    c = order[row, k]
                    part = share * keep[c] // one
                    votes[c] += part * counts[row]
                    kept += part
                left -= kept
            at = stop
        excess += left * counts[row]
    return excess
