"""I/O: the credentials that a rollout names for its metrics store, read anew for every pass so that they may rotate."""

from chaffinch_operator.canary.model_analysis import Prometheus
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import Blocker
from chaffinch_operator.conditions import cut
from chaffinch_operator.errors import NotFound, Refused
from chaffinch_operator.kube import SECRETS, Kube
from chaffinch_operator.ports.credentials import NO_CREDENTIALS, Credentials, CredentialsError, parse

_FIELD = "spec.analysis.provider.prometheus.authSecretRef"
_SAID = 300


async def credentials(kube: Kube, namespace: str, provider: Prometheus) -> Credentials | Blocker:
    """What the Secret holds, or the problem with it, with the way out. Other errors of the API server are raised."""
    if provider.auth_secret_ref is None:
        return NO_CREDENTIALS
    name = provider.auth_secret_ref.name
    try:
        secret = await kube.get(SECRETS, name, namespace)
    except NotFound:
        secret = None
    except Refused as problem:
        return _problem(
            f"the operator may not read Secret {namespace}/{name}: create a Role in {namespace} that allows get on "
            f'secrets with resourceNames ["{name}"], and bind it to the operator\'s service account '
            f"({cut(problem.message, _SAID)})"
        )
    if secret is None:
        return _problem(
            f"there is no Secret {namespace}/{name}: create it, with token, or username and password, or tls.crt and "
            "tls.key, or ca.crt"
        )
    try:
        found = parse(secret.get("data") or {})
    except CredentialsError as problem:
        return _problem(f"Secret {namespace}/{name} {problem}")
    if found.tls and provider.address.startswith("http://"):
        return _problem(
            f"Secret {namespace}/{name} has keys for TLS, but the address begins with http://: use https://, or remove "
            "them"
        )
    return found


def unusable(provider: Prometheus, namespace: str, problem: CredentialsError) -> Blocker:
    """The problem that what the Secret holds is no PEM."""
    name = provider.auth_secret_ref.name if provider.auth_secret_ref else ""
    return _problem(f"Secret {namespace}/{name}: {problem}")


def _problem(text: str) -> Blocker:
    return Blocker(Reason.PROVIDER_UNREACHABLE, f"{_FIELD}: {text}; nothing is decided until then")
