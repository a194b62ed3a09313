"""Which cluster and namespace the person means: kubectl's rules for kubeconfig, context and default namespace.

Reads files, connects to nothing. Credentials are left to `kube`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from chaffinch_operator.cli.failures import DeclinedError, UsageProblemError
from chaffinch_operator.cli.words import listing

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go: `kubeconfig` is empty inside a pod, where the service account is used."""

    kubeconfig: str
    context: str
    namespace: str

    @property
    def cluster(self) -> str:
        """What messages call it."""
        return f'context "{self.context}"' if self.context else "this pod's cluster"


def find_place(
    environ: Mapping[str, str], kubeconfig: str | None, context: str | None, in_cluster: Path = IN_CLUSTER
) -> Place:
    """Resolve --kubeconfig, KUBECONFIG, ~/.kube/config and --context, in kubectl's order."""
    home = Path(environ.get("HOME") or Path.home())
    searched = kubeconfig or environ.get("KUBECONFIG") or str(home / ".kube" / "config")
    paths = [Path(part).expanduser() for part in searched.split(os.pathsep) if part]
    if kubeconfig and not paths[0].is_file():
        raise UsageProblemError(f'--kubeconfig "{kubeconfig}" is no file')
    found = [path for path in paths if path.is_file()]
    if not found:
        return _pod(searched, in_cluster)
    documents = [_read(path) for path in found]
    name = context or next((str(d["current-context"]) for d in documents if d.get("current-context")), "")
    return Place(os.pathsep.join(map(str, found)), name, _namespace(documents, name))


def _pod(searched: str, in_cluster: Path) -> Place:
    if in_cluster.is_file():
        return Place("", "", in_cluster.read_text().strip() or _DEFAULT_NAMESPACE)
    raise DeclinedError(
        f"there is no kubeconfig at {searched}", "name one with --kubeconfig, or set KUBECONFIG as for kubectl"
    )


def _namespace(documents: list[dict[str, Any]], context: str) -> str:
    contexts = {
        entry.get("name", ""): entry.get("context") or {}
        for document in reversed(documents)
        for entry in document.get("contexts") or []
    }
    if not context:
        raise DeclinedError("the kubeconfig has no current context", "choose one: kubectl config use-context NAME")
    if context not in contexts:
        close = get_close_matches(context, contexts, n=1) or sorted(contexts)[:5]
        raise UsageProblemError(
            f'there is no context "{context}" in the kubeconfig',
            f"did you mean {listing(close, 'or')}?" if close else "",
        )
    return str(contexts[context].get("namespace") or _DEFAULT_NAMESPACE)


def _read(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 -- keeps --help quick

    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DeclinedError(f"cannot read the kubeconfig {path}: {error}") from error
    return document if isinstance(document, dict) else {}
