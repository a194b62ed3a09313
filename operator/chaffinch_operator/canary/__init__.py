"""CanaryRollout: a new version of a Deployment reaches users step by step, while evidence finds no harm.

`model` (spec and status), `decide`, `evidence`, `plan` and `report` are pure; only `observe` and `apply` do I/O.
"""
