"""Error rates and delays of the gates, measured by seeded simulation, next to naive rules on the same data.

`python -m perf.simulations` (from `tests/`) writes docs/simulations.md; tests/unit/stats/test_simulations.py runs the
same scenarios with fewer runs.
"""
