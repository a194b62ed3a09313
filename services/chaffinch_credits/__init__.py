"""The credits service: a double-entry ledger whose history can be checked by someone who does not trust it."""
