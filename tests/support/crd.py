"""Waiting for the CRD of CanaryRollout to be served.

Not by `kubectl wait --for=condition=Established`: that fails at once on a CRD so new that it has no conditions yet.
"""

from collections.abc import Callable

from cluster.deadline import wait_until

NAME = "canaryrollouts.chaffinch.dev"
_ESTABLISHED = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
_SECONDS = 60.0


def wait_established(kubectl: Callable[..., str]) -> None:
    """Return once the API server serves the kind; `kubectl` runs a command and returns its output."""
    wait_until(lambda: kubectl("get", "crd", NAME, "--output", _ESTABLISHED) == "True", f"crd/{NAME}", seconds=_SECONDS)
