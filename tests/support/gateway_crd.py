"""A stand-in for the CRD of HTTPRoute, which takes any content: where no gateway is, none has to understand it."""

from typing import Any

from chaffinch_operator.resources import HTTPROUTES

_VERSION = {
    "name": HTTPROUTES.version,
    "served": True,
    "storage": True,
    "subresources": {"status": {}},
    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
}
HTTPROUTE_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": HTTPROUTES.name,
        "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"},
    },
    "spec": {
        "group": HTTPROUTES.group,
        "scope": "Namespaced",
        "versions": [_VERSION],
        "names": {
            "plural": HTTPROUTES.plural,
            "kind": HTTPROUTES.kind,
            "singular": HTTPROUTES.kind.lower(),
            "listKind": f"{HTTPROUTES.kind}List",
        },
    },
}
