"""What the API server answers becomes the right exception. The bodies are those of Kubernetes 1.36."""

from typing import Any

import pytest

from chaffinch_operator import answers, errors
from chaffinch_operator.kube import DEPLOYMENTS, HTTPROUTES, NAMESPACES
from chaffinch_operator.resources import Resource

KEY = "Deployment shop/web"


def status(reason: str = "", message: str = "no", **details: object) -> dict[str, Any]:
    """Body of a Status."""
    return {"kind": "Status", "reason": reason, "message": message, "details": details}


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (404, status("NotFound", name="web", kind="deployments"), errors.NotFound),
        (404, status("NotFound"), errors.KindMissing),
        (404, {"message": "404 page not found"}, errors.KindMissing),
        (403, status("Forbidden"), errors.Refused),
        (409, status("Conflict", name="web"), errors.Conflict),
        (422, status("Invalid", causes=[{}]), errors.InvalidObject),
        (422, status("Invalid", causes=[{"field": "metadata.uid"}]), errors.Conflict),
        (400, status("BadRequest"), errors.InvalidObject),
        (413, status("RequestEntityTooLarge"), errors.InvalidObject),
        (
            500,
            status("", "failed to create typed patch object (...): .spec.foo: field not declared"),
            errors.InvalidObject,
        ),
        (429, status("TooManyRequests"), errors.Throttled),
        (401, status("Unauthorized"), errors.Unavailable),
        (503, status("ServiceUnavailable"), errors.Unavailable),
    ],
)
def test_every_refusal_has_its_exception(code: int, body: dict[str, Any], expected: type[Exception]) -> None:
    """Callers can tell what to do by the type alone, and read what it was about."""
    error = answers.error(DEPLOYMENTS, code, body, KEY)
    assert type(error) is expected
    assert error.key == KEY
    assert str(error).startswith(KEY)


def test_a_refusal_keeps_status_reason_and_message() -> None:
    """The message of an admission policy reaches the condition whole."""
    error = answers.error(DEPLOYMENTS, 403, status("Forbidden", "held by CanaryRollout web"), KEY)
    assert isinstance(error, errors.Refused)
    assert (error.status, error.reason, error.message) == (403, "Forbidden", "held by CanaryRollout web")


def test_a_missing_kind_is_named_in_full() -> None:
    """The message says which CRD to install."""
    error = answers.error(HTTPROUTES, 404, {}, "")
    assert isinstance(error, errors.KindMissing)
    assert "httproutes.gateway.networking.k8s.io" in str(error)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (429, "", True),
        (500, "", True),
        (503, "", True),
        (401, "", True),
        (404, "", False),
        (409, "", False),
        (500, "failed to create typed patch object", False),
    ],
)
def test_only_what_may_pass_by_itself_is_retried(code: int, message: str, expected: bool) -> None:
    """A malformed object is not sent again and again."""
    assert answers.retryable(code, {"message": message}) is expected


def test_a_json_patch_that_does_not_fit_is_told_from_an_invalid_object() -> None:
    """Only the latter comes with causes."""
    assert answers.precondition_failed(status("Invalid"))
    assert not answers.precondition_failed(status("Invalid", causes=[{"field": "spec"}]))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"404 page not found\n", {"message": "404 page not found"}),
        (b"[1]", {"message": "[1]"}),
    ],
)
def test_whatever_is_answered_can_be_read(raw: bytes, expected: dict[str, Any]) -> None:
    """A proxy's page is no crash."""
    assert answers.parse(raw) == expected


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (DEPLOYMENTS, ("shop", "web"), "/apis/apps/v1/namespaces/shop/deployments/web"),
        (DEPLOYMENTS, ("shop", "web", "scale"), "/apis/apps/v1/namespaces/shop/deployments/web/scale"),
        (DEPLOYMENTS, (), "/apis/apps/v1/deployments"),
        (NAMESPACES, ("ignored", "shop"), "/api/v1/namespaces/shop"),
    ],
)
def test_addresses_of_objects(resource: Resource, arguments: tuple[str, ...], path: str) -> None:
    """Core and named groups, namespaced and not, with subresource and without."""
    assert resource.path(*arguments) == path


@pytest.mark.parametrize(
    ("namespace", "name", "key"),
    [
        ("shop", "web", "Deployment shop/web"),
        (None, "web", "Deployment web"),
        ("shop", "", "Deployment shop"),
        (None, "", "Deployment"),
    ],
)
def test_keys_of_objects_in_messages(namespace: str | None, name: str, key: str) -> None:
    """A message names kind, namespace and name as far as there are any."""
    assert DEPLOYMENTS.key(namespace, name) == key
