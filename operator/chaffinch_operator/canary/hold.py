"""The hold: three admission policies by which the API server itself keeps unproven templates back. Pure builders.

1. `chaffinch-hold-unproven-templates` sets `spec.paused: true` in the very request that changes a target's template.
2. `chaffinch-only-operator-releases` refuses to un-pause a target to everyone but the operator.
3. `chaffinch-keep-stable-selector` narrows the Service's selector to stable's pods while `status.isolatedHash` is set,
   and widens it again afterwards. The operator only touches its annotation `chaffinch.dev/isolated: <rollout>` to make
   that happen: a selector changed by a policy stays owned by the user's field manager (a patch of ours would take it
   over, and the user's next server-side apply with another selector would meet a conflict; measured on 1.36).

They look only at namespaces labelled `chaffinch.dev/hold: enabled`: a policy whose param kind the API server cannot
resolve refuses every request it matches. They belong to the CRD, so they vanish with it in any order of uninstalling.
Subresources (scale, status) are not matched: autoscalers go on.
"""

import json
from collections.abc import Mapping
from typing import Any

from chaffinch_operator.names import (
    ANNOTATION_ISOLATED,
    API_VERSION,
    GROUP,
    HOLD_ENABLED,
    LABEL_HOLD,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    MANAGED_BY,
)
from chaffinch_operator.resources import (
    MUTATING_BINDINGS,
    MUTATING_POLICIES,
    VALIDATING_BINDINGS,
    VALIDATING_POLICIES,
    Resource,
)

CRD_NAME = f"canaryrollouts.{GROUP}"
HOLD_TEMPLATES = "chaffinch-hold-unproven-templates"
ONLY_OPERATOR_RELEASES = "chaffinch-only-operator-releases"
KEEP_SELECTOR = "chaffinch-keep-stable-selector"

Object = dict[str, Any]

_IS_TARGET = {
    "name": "is-target",
    "expression": "has(params.spec) && has(params.spec.targetRef) && "
    "params.spec.targetRef.name == object.metadata.name",
}

_KEY = "pod-template-hash"
_ISOLATED = "has(params.status) && has(params.status.isolatedHash) && params.status.isolatedHash != ''"
_MARKED = (
    "oldObject != null && has(oldObject.metadata.annotations) && "
    f"'{ANNOTATION_ISOLATED}' in oldObject.metadata.annotations && "
    f"oldObject.metadata.annotations['{ANNOTATION_ISOLATED}'] == params.metadata.name"
)


def objects(username: str, crd_uid: str) -> list[tuple[Resource, Object]]:
    """Everything to install, policies before their bindings; `username` is the one that may release."""
    policies = [
        (MUTATING_POLICIES, HOLD_TEMPLATES, _hold_templates()),
        (VALIDATING_POLICIES, ONLY_OPERATOR_RELEASES, _only_operator_releases(username)),
        (MUTATING_POLICIES, KEEP_SELECTOR, _keep_selector()),
    ]
    bindings = [
        (MUTATING_BINDINGS, HOLD_TEMPLATES, _binding(HOLD_TEMPLATES)),
        (
            VALIDATING_BINDINGS,
            ONLY_OPERATOR_RELEASES,
            {**_binding(ONLY_OPERATOR_RELEASES), "validationActions": ["Deny"]},
        ),
        (MUTATING_BINDINGS, KEEP_SELECTOR, _binding(KEEP_SELECTOR)),
    ]
    return [
        (
            resource,
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": _metadata(name, crd_uid),
                "spec": spec,
            },
        )
        for resource, name, spec in policies + bindings
    ]


def covers(live: object, wanted: object) -> bool:
    """Whether a live object is what we want, give or take the fields that the API server filled in.

    A field we do not mention may have any value; a list, and a map that we want empty, must match whole: one more
    match condition would weaken a policy.
    """
    if isinstance(wanted, Mapping):
        return (
            isinstance(live, Mapping)
            and bool(wanted or not live)
            and all(key in live and covers(live[key], value) for key, value in wanted.items())
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(covers, live, wanted))
    return live == wanted


def _metadata(name: str, crd_uid: str) -> Object:
    return {
        "name": name,
        "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_NAME: name},
        "ownerReferences": [
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "name": CRD_NAME,
                "uid": crd_uid,
            }
        ],
    }


def _policy(rule: Object, conditions: list[Object]) -> Object:
    return {
        "paramKind": {"apiVersion": API_VERSION, "kind": "CanaryRollout"},
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchLabels": {LABEL_HOLD: HOLD_ENABLED}},
            "objectSelector": {},
            "resourceRules": [{**rule, "scope": "Namespaced"}],
        },
        "matchConditions": conditions,
    }


def _deployments() -> Object:
    return {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}


def _services() -> Object:
    return {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]}


def _hold_templates() -> Object:
    changed = {"name": "template-changed", "expression": "object.spec.template != oldObject.spec.template"}
    return {
        **_policy(_deployments(), [changed, _IS_TARGET]),
        "reinvocationPolicy": "IfNeeded",
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": "Object{spec: Object.spec{paused: true}}"},
            }
        ],
    }


def _only_operator_releases(username: str) -> Object:
    released = {
        "name": "released",
        "expression": "has(oldObject.spec.paused) && oldObject.spec.paused && "
        "!(has(object.spec.paused) && object.spec.paused)",
    }
    stranger = {"name": "not-operator", "expression": f"request.userInfo.username != {json.dumps(username)}"}
    message = (
        "'Deployment ' + object.metadata.name + ' is held by CanaryRollout ' + params.metadata.name + "
        "': its template has not passed its gates. To release it all the same: kubectl chaffinch promote ' + "
        "params.metadata.name + ' --force -n ' + params.metadata.namespace"
    )
    return {
        **_policy(_deployments(), [_IS_TARGET, released, stranger]),
        "validations": [{"expression": "false", "messageExpression": message, "reason": "Forbidden"}],
    }


def _keep_selector() -> Object:
    conditions = [
        {
            "name": "is-service",
            "expression": "has(params.spec) && has(params.spec.serviceRef) && "
            "params.spec.serviceRef.name == object.metadata.name",
        },
        {"name": "has-selector", "expression": "has(object.spec.selector) && size(object.spec.selector) > 0"},
        {
            "name": "isolated-or-released",
            "expression": f"({_ISOLATED}) || ('{_KEY}' in object.spec.selector && {_MARKED})",
        },
    ]
    path = f'path: "/spec/selector/{_KEY}"'
    narrow = f'[JSONPatch{{op: "add", {path}, value: params.status.isolatedHash}}]'
    widen = f'[JSONPatch{{op: "remove", {path}}}]'
    return {
        **_policy(_services(), conditions),
        "reinvocationPolicy": "IfNeeded",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"({_ISOLATED}) ? {narrow} : {widen}"}}],
    }


def _binding(name: str) -> Object:
    return {"policyName": name, "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}}
