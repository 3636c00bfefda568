"""`python -m pluralism` is the command `pluralism`."""

from __future__ import annotations

import sys

from pluralism.cli import main

if __name__ == "__main__":
    sys.exit(main())
