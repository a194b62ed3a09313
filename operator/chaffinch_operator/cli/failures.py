"""What can go wrong, in words that name the way out; every one ends the command with its exit code. Pure.

CliError
├── DeclinedError        refused or failed (1)
└── UsageProblemError    asked for something that makes no sense (2)
"""

from collections.abc import Iterable
from difflib import get_close_matches

from chaffinch_operator.cli import words
from chaffinch_operator.errors import ChaffinchError, KindMissing, Refused, Unavailable
from chaffinch_operator.names import GROUP
from chaffinch_operator.resources import CANARYROLLOUTS

_SHOWN = 5
OK, FAILED, USAGE, ROLLED_BACK, STALLED = 0, 1, 2, 3, 4


class CliError(Exception):
    """Ends the command: one line of what is wrong, and one of what to do about it."""

    exit_code = FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class DeclinedError(CliError):
    """The cluster, the operator or its absence said no."""


class UsageProblemError(CliError):
    """The command line makes no sense."""

    exit_code = USAGE


def not_found(name: str, namespace: str, existing: Iterable[str]) -> DeclinedError:
    """No CanaryRollout of that name: names that look like it, or where to look."""
    names = sorted(existing)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {words.listing(close, 'or')}?"
    elif names:
        more = " and more" if len(names) > _SHOWN else ""
        hint = f"there {'is' if len(names) == 1 else 'are'} {words.listing(names[:_SHOWN])}{more}"
    else:
        hint = "there is none in this namespace; name another with -n, or see all with: kubectl chaffinch status -A"
    return DeclinedError(f'there is no CanaryRollout "{name}" in namespace "{namespace}"', hint)


def explain(error: ChaffinchError, cluster: str) -> CliError:
    """The gateway's error as the person at the keyboard needs it; `cluster` says which one was asked."""
    if isinstance(error, KindMissing):
        return _kind_missing(error, cluster)
    if isinstance(error, Unavailable):
        return DeclinedError(
            f"cannot reach the API server of {cluster}: {error.message}",
            "check --context and --kubeconfig, the network, and your login: kubectl version",
        )
    if isinstance(error, Refused) and error.status == 403:
        return DeclinedError(
            f"forbidden: {error.message}", f"ask for a role on {GROUP}: chaffinch-viewer looks, chaffinch-editor acts"
        )
    return DeclinedError(str(error))


def _kind_missing(error: KindMissing, cluster: str) -> CliError:
    if error.resource != CANARYROLLOUTS.name:
        return DeclinedError(str(error))
    return DeclinedError(
        f"{cluster} does not know CanaryRollouts: Chaffinch is not installed there",
        "install it (README.md), or choose another cluster with --context",
    )
