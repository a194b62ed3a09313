"""Waiting for the CRD of CanaryRollout to be served.

Not by `kubectl wait --for=condition=Established`: that fails at once on a CRD so new that it has no conditions yet.
"""

import subprocess
from collections.abc import Callable

from cluster.deadline import wait_until
from support.kubectl import KubectlError

NAME = "canaryrollouts.chaffinch.dev"
_ESTABLISHED = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
_SECONDS = 60.0


def wait_established(kubectl: Callable[..., str]) -> None:
    """Return once the API server serves the kind; `kubectl` runs a command and returns its output, or raises.

    A command that fails counts as not yet: a server in its first second may not list all its resources.
    """

    def established() -> bool:
        try:
            return kubectl("get", "crd", NAME, "--output", _ESTABLISHED) == "True"
        except (subprocess.CalledProcessError, KubectlError, AssertionError):
            return False

    wait_until(established, f"crd/{NAME}", seconds=_SECONDS)
