"""python -m chaffinch_shadow."""

from chaffinch_shadow.cli import main

if __name__ == "__main__":
    main()
