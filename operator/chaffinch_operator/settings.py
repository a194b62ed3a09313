"""Settings of the operator process: one frozen object, built once from the environment. No other module reads it."""

import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "CHAFFINCH_"
LOG_FORMATS = ("json", "console")
LOG_LEVELS = ("debug", "info", "warning", "error")


class BadSettingError(ValueError):
    """A variable of the environment has a value that cannot be used; the message names it."""


def _identity() -> str:
    return f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Every field: the variable it comes from and what it does."""

    namespace: str = "chaffinch-system"
    """POD_NAMESPACE: where the operator and its Lease live."""
    service_account: str = "chaffinch-operator"
    """CHAFFINCH_SERVICE_ACCOUNT: the account that the hold lets release a Deployment."""
    username_override: str = ""
    """CHAFFINCH_USERNAME: full name of that user when it is no service account of `namespace` (outside a cluster)."""
    identity: str = field(default_factory=_identity)
    """POD_NAME: holder name in the Lease; default: host, process id and a random part."""
    lease_name: str = "chaffinch-operator"
    """CHAFFINCH_LEASE_NAME."""
    lease_seconds: float = 15.0
    """CHAFFINCH_LEASE_SECONDS: how long others wait for a leader that is silent."""
    renew_seconds: float = 10.0
    """CHAFFINCH_RENEW_SECONDS: a leader that could not renew for this long ends itself; below lease_seconds."""
    retry_seconds: float = 2.0
    """CHAFFINCH_RETRY_SECONDS: how often the Lease is renewed, and looked at by the others; below renew_seconds."""
    http_host: str = ""
    """CHAFFINCH_HTTP_HOST: address of /healthz, /readyz and /metrics; default: all."""
    http_port: int = 8080
    """CHAFFINCH_HTTP_PORT: 0 takes a free one."""
    alerts_host: str = ""
    """CHAFFINCH_ALERTS_HOST: address of POST /alerts; default: all."""
    alerts_port: int = 9095
    """CHAFFINCH_ALERTS_PORT: 0 takes a free one."""
    alerts_token_file: str = ""
    """CHAFFINCH_ALERTS_TOKEN_FILE: the bearer token that Alertmanager must send; read anew for every post."""
    alerts_cert_file: str = ""
    """CHAFFINCH_ALERTS_CERT_FILE: certificate to receive alerts by HTTPS; renewed ones are used within seconds."""
    alerts_key_file: str = ""
    """CHAFFINCH_ALERTS_KEY_FILE: its private key."""
    alerts_client_ca_file: str = ""
    """CHAFFINCH_ALERTS_CLIENT_CA_FILE: Alertmanager must have a certificate of this authority (mTLS)."""
    alertmanager_url: str = ""
    """CHAFFINCH_ALERTMANAGER_URL: asked for what was not delivered, such as http://alertmanager.monitoring:9093."""
    alertmanager_token_file: str = ""
    """CHAFFINCH_ALERTMANAGER_TOKEN_FILE: bearer token to ask with; default: none."""
    alertmanager_ca_file: str = ""
    """CHAFFINCH_ALERTMANAGER_CA_FILE: authority of its certificate; default: those that the system trusts."""
    alertmanager_seconds: float = 60.0
    """CHAFFINCH_ALERTMANAGER_SECONDS: how often it is asked while a rollout that listens to alerts is under way."""
    credits_image: str = "chaffinch:0.1.0"
    """CHAFFINCH_CREDITS_IMAGE: image of CreditsLedgers' services and migrations; the operator's own."""
    shadow_image: str = "chaffinch:0.1.0"
    """CHAFFINCH_SHADOW_IMAGE: image of ShadowEvaluations' services, replays and migrations; the operator's own."""
    postgres_image: str = "chaffinch-postgres:0.1.0"
    """CHAFFINCH_POSTGRES_IMAGE: image of managed databases."""
    resync_seconds: float = 300.0
    """CHAFFINCH_RESYNC_SECONDS: an idle object is looked at this often even if nothing was heard of it."""
    max_concurrent_reconciles: int = 8
    """CHAFFINCH_MAX_CONCURRENT_RECONCILES: this many objects are looked at at the same time; others wait their turn."""
    watch_namespaces: tuple[str, ...] = ()
    """CHAFFINCH_WATCH_NAMESPACES: comma-separated; default: all."""
    log_format: str = "json"
    """CHAFFINCH_LOG_FORMAT: json or console."""
    log_level: str = "info"
    """CHAFFINCH_LOG_LEVEL: debug, info, warning or error."""
    kubeconfig: str = ""
    """KUBECONFIG; default: the pod's service account, else ~/.kube/config."""
    context: str = ""
    """CHAFFINCH_CONTEXT: context in the kubeconfig; default: its current one."""

    @property
    def username(self) -> str:
        """The user that the API server sees when the operator writes."""
        return self.username_override or f"system:serviceaccount:{self.namespace}:{self.service_account}"

    @property
    def alerts_wanted(self) -> bool:
        """Whether there is a way to tell Alertmanager from anybody else; without one alerts are not received."""
        return bool(self.alerts_token_file or self.alerts_client_ca_file)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Build from the environment; BadSettingError names the variable."""
        default = cls()
        settings = cls(
            namespace=environ.get("POD_NAMESPACE") or default.namespace,
            service_account=_text(environ, "SERVICE_ACCOUNT", default.service_account),
            username_override=_text(environ, "USERNAME", ""),
            identity=environ.get("POD_NAME") or default.identity,
            lease_name=_text(environ, "LEASE_NAME", default.lease_name),
            lease_seconds=_number(environ, "LEASE_SECONDS", default.lease_seconds),
            renew_seconds=_number(environ, "RENEW_SECONDS", default.renew_seconds),
            retry_seconds=_number(environ, "RETRY_SECONDS", default.retry_seconds),
            http_host=_text(environ, "HTTP_HOST", default.http_host),
            http_port=_port(environ, "HTTP_PORT", default.http_port),
            alerts_host=_text(environ, "ALERTS_HOST", default.alerts_host),
            alerts_port=_port(environ, "ALERTS_PORT", default.alerts_port),
            alerts_token_file=_text(environ, "ALERTS_TOKEN_FILE", ""),
            alerts_cert_file=_text(environ, "ALERTS_CERT_FILE", ""),
            alerts_key_file=_text(environ, "ALERTS_KEY_FILE", ""),
            alerts_client_ca_file=_text(environ, "ALERTS_CLIENT_CA_FILE", ""),
            alertmanager_url=_url(environ, "ALERTMANAGER_URL"),
            alertmanager_token_file=_text(environ, "ALERTMANAGER_TOKEN_FILE", ""),
            alertmanager_ca_file=_text(environ, "ALERTMANAGER_CA_FILE", ""),
            alertmanager_seconds=_number(environ, "ALERTMANAGER_SECONDS", default.alertmanager_seconds),
            credits_image=_text(environ, "CREDITS_IMAGE", default.credits_image),
            shadow_image=_text(environ, "SHADOW_IMAGE", default.shadow_image),
            postgres_image=_text(environ, "POSTGRES_IMAGE", default.postgres_image),
            resync_seconds=_number(environ, "RESYNC_SECONDS", default.resync_seconds),
            max_concurrent_reconciles=_count(environ, "MAX_CONCURRENT_RECONCILES", default.max_concurrent_reconciles),
            watch_namespaces=_names(environ, "WATCH_NAMESPACES"),
            log_format=_choice(environ, "LOG_FORMAT", default.log_format, LOG_FORMATS),
            log_level=_choice(environ, "LOG_LEVEL", default.log_level, LOG_LEVELS),
            kubeconfig=str(Path(environ["KUBECONFIG"]).expanduser()) if environ.get("KUBECONFIG") else "",
            context=_text(environ, "CONTEXT", ""),
        )
        settings._check()
        return settings

    def _check(self) -> None:
        if not self.retry_seconds < self.renew_seconds < self.lease_seconds:
            raise BadSettingError(
                f"{PREFIX}RETRY_SECONDS ({self.retry_seconds:g}) must be below {PREFIX}RENEW_SECONDS "
                f"({self.renew_seconds:g}), and that below {PREFIX}LEASE_SECONDS ({self.lease_seconds:g})"
            )
        if bool(self.alerts_cert_file) != bool(self.alerts_key_file):
            raise BadSettingError(f"{PREFIX}ALERTS_CERT_FILE and {PREFIX}ALERTS_KEY_FILE must be set together")
        if self.alerts_client_ca_file and not self.alerts_cert_file:
            raise BadSettingError(f"{PREFIX}ALERTS_CLIENT_CA_FILE needs {PREFIX}ALERTS_CERT_FILE: it is for HTTPS only")


def _text(environ: Mapping[str, str], name: str, default: str) -> str:
    return environ.get(PREFIX + name, "").strip() or default


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = _text(environ, name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < float("inf"):
        raise BadSettingError(f'{PREFIX}{name}="{text}" must be a number of seconds above 0')
    return value


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = _text(environ, name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise BadSettingError(f'{PREFIX}{name}="{text}" must be a whole number from 1')
    return int(text)


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = _text(environ, name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise BadSettingError(f'{PREFIX}{name}="{text}" must be a port from 0 to 65535')
    return int(text)


def _url(environ: Mapping[str, str], name: str) -> str:
    text = _text(environ, name, "")
    if text and not re.fullmatch(r"https?://[^\s/]\S*", text):
        raise BadSettingError(f'{PREFIX}{name}="{text}" must be a URL such as http://alertmanager.monitoring:9093')
    return text


def _choice(environ: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    text = _text(environ, name, default).lower()
    if text not in choices:
        raise BadSettingError(f'{PREFIX}{name}="{text}" must be one of {", ".join(choices)}')
    return text


def _names(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in environ.get(PREFIX + name, "").split(",") if part.strip())
