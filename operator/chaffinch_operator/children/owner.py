"""Whose child an object is: labels, owner reference, selectors. Pure."""

from dataclasses import dataclass
from typing import Any

from chaffinch_operator.names import API_VERSION, GROUP, LABEL_MANAGED_BY, LABEL_NAME, MANAGED_BY, label_value

Object = dict[str, Any]
LABEL_COMPONENT = f"{GROUP}/component"
"""On pods: what they do, such as service, migration or database."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that children belong to. label: the key under which they carry its name."""

    kind: str
    name: str
    namespace: str
    uid: str
    label: str

    def labels(self, name: str) -> dict[str, str]:
        """Labels of a child."""
        return {LABEL_MANAGED_BY: MANAGED_BY, LABEL_NAME: label_value(name), self.label: label_value(self.name)}

    def selector(self, component: str) -> dict[str, str]:
        """What tells the pods of one component."""
        return {self.label: label_value(self.name), LABEL_COMPONENT: component}

    def metadata(self, name: str, *, owned: bool = True) -> Object:
        """Metadata of a child; what must outlive its owner has no owner reference."""
        found: Object = {"name": name, "namespace": self.namespace, "labels": self.labels(name)}
        if owned:
            found["ownerReferences"] = [
                {
                    "apiVersion": API_VERSION,
                    "kind": self.kind,
                    "name": self.name,
                    "uid": self.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]
        return found
