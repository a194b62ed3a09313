"""Ports to the world beside the Kubernetes API: one module each, its Protocol (at most four methods) beside it."""
