"""The command line: `pluralism check | embed | fit | evaluate | adapt | compare | report | demo`.

Each command prints a table for people or, with ``--json``, exactly one JSON object on standard output. Progress,
warnings and errors go to standard error. The exit code is 0 on success, 2 for bad usage or bad input (with one
message that says what, where and how to mend it, and nothing written), 1 for a defect of this package, and 130 after
Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``pluralism``; left out, the arguments of this process.
    """
    from pluralism.cli.threads import set_default_threads

    set_default_threads()
    from pluralism.cli.app import run

    return run(arguments)
