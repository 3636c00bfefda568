"""Profiles of the PrefLib data set."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pluralism.social_choice import Profile


def preflib_profile(shared_data: Path, election: str) -> Profile:
    """The ballots of one election of rankings."""
    folder, chosen = shared_data / "preflib", pc.field("election_id") == election
    names = pq.read_table(folder / "alternatives.parquet", filters=chosen).sort_by("alt_id")["name"].to_pylist()
    ballots = pq.read_table(folder / "ballots.parquet", filters=chosen)
    orders = [[[names[i - 1] for i in tie] for tie in ballot] for ballot in ballots["ranking"].to_pylist()]
    return Profile.from_orders(orders, ballots["count"].to_pylist(), candidates=names)
