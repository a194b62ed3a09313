"""Steady open-loop load, and what clients saw of it.

`python -m support.load` is a program of the standard library only, so that it runs anywhere: inside the cluster's
network namespace, or in a pod. It prints one JSON line a second and the totals at its end. `process.Load` starts and
reads it.
"""
