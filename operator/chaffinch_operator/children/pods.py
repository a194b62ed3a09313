"""Parts of pods that fit the Pod Security standard `restricted`. Pure."""

from collections.abc import Sequence

from chaffinch_operator.children.owner import Object

USER = 65532
"""Of our own image."""


def restricted() -> Object:
    """Security context of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod_security(user: int = USER) -> Object:
    """Security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def secret_volume(volume: str, secret: str, items: Sequence[tuple[str, str]]) -> Object:
    """A volume with keys of a Secret, as (key, path)."""
    chosen = [{"key": key, "path": path} for key, path in items]
    return {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440, "items": chosen}}
