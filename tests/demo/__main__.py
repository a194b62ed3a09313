"""`python -m demo up|down`, with tests/ on the path."""

import sys

from demo.cli import main

if __name__ == "__main__":
    sys.exit(main())
