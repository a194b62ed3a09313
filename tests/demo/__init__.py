"""The tour: one good release is promoted, two bad ones are rolled back, under steady load, explained as it happens.

`python -m demo up` (make demo) and `python -m demo down` (make demo-down). Not here: what the end-to-end tests share,
which is in `support`; what a cluster is, which is in `cluster`.
"""
