"""python -m chaffinch_credits."""

from chaffinch_credits.cli import main

if __name__ == "__main__":
    main()
