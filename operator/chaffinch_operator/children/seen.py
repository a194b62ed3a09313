"""What objects of ours look like in the API: state of Jobs and pods, whose they are, content of Secrets. Pure."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from chaffinch_operator.children.owner import Owner
from chaffinch_operator.names import ANNOTATION_DIGEST, LABEL_MANAGED_BY, MANAGED_BY, label_value

Body = Mapping[str, Any]
Data = Mapping[str, bytes]


class JobState(StrEnum):
    """How far a Job is."""

    ABSENT = "Absent"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Found:
    """An object of a name that we need: the digest we noted on it, and whether it is ours."""

    digest: str = ""
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of a workload. current: the controller has seen the last change, and no older pod is left."""

    wanted: int = 0
    ready: int = 0
    current: bool = False
    stuck: str = ""
    """Why the controller has given up on the present version; empty while it has not."""


NO_PODS = Pods()


@dataclass(frozen=True, slots=True)
class Ended:
    """When a Job of a kind ended last well, and badly: that one's name, and what its pod said."""

    well: datetime | None = None
    badly: datetime | None = None
    job: str = ""
    why: str = ""
    running: bool = False
    """Whether one of them is under way."""

    @property
    def failing(self) -> bool:
        """Whether the last one of all went badly."""
        return self.badly is not None and (self.well is None or self.badly > self.well)


NOT_ENDED = Ended()


def data(secret: Body) -> Data:
    """Content of a Secret, without what is no base64."""
    found: dict[str, bytes] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value, validate=True)
        except binascii.Error:
            continue
    return found


def found(body: Body, owner: Owner) -> Found:
    """The digest on an object, and whether it is a child of this very owner, or one that outlived it."""
    meta = body["metadata"]
    labels = meta.get("labels") or {}
    marked = labels.get(LABEL_MANAGED_BY) == MANAGED_BY and labels.get(owner.label) == label_value(owner.name)
    owners = {each["uid"] for each in meta.get("ownerReferences") or ()}
    ours = marked and owners <= {owner.uid} and "deletionTimestamp" not in meta
    return Found((meta.get("annotations") or {}).get(ANNOTATION_DIGEST, ""), ours)


def job(body: Body | None) -> JobState:
    """State of a Job."""
    if body is None:
        return JobState.ABSENT
    reached = {c["type"] for c in (body.get("status") or {}).get("conditions") or () if c.get("status") == "True"}
    if "Complete" in reached:
        return JobState.SUCCEEDED
    return JobState.FAILED if "Failed" in reached else JobState.RUNNING


def ended(jobs: Iterable[Body]) -> Ended:
    """Of Jobs that do the same again and again: the last that went well, and the last that did not."""
    found = NOT_ENDED
    for body in jobs:
        name, state, at = body["metadata"]["name"], job(body), _ended_at(body)
        if state is JobState.SUCCEEDED and at and (found.well is None or at > found.well):
            found = replace(found, well=at)
        if state is JobState.FAILED and at and (found.badly is None or at > found.badly):
            found = replace(found, badly=at, job=name)
        if state is JobState.RUNNING:
            found = replace(found, running=True)
    return found


def _ended_at(body: Body) -> datetime | None:
    last = [c for c in (body.get("status") or {}).get("conditions") or () if c["type"] in {"Complete", "Failed"}]
    text = last[0].get("lastTransitionTime") if last else None
    return datetime.fromisoformat(text) if text else None


def last_words(pods: Iterable[Body]) -> str:
    """Of the newest pod with a container that failed, what that container said last; empty when there is none."""
    for pod in sorted(pods, key=lambda each: str(each["metadata"].get("creationTimestamp", "")), reverse=True):
        status = pod.get("status") or {}
        # where one of those that run last has failed, those before it had done their work, and sidecars were ended
        for container in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            for state in (container.get("state") or {}, container.get("lastState") or {}):
                end = state.get("terminated") or {}
                if end.get("exitCode"):
                    words = str(end.get("message") or f"exit status {end['exitCode']}").strip()
                    return f"{container['name']}: {words}"
    return ""


def stateful(body: Body | None) -> Pods:
    """Pods of a StatefulSet."""
    if body is None:
        return Pods()
    status = body.get("status") or {}
    return Pods(int(body["spec"].get("replicas", 1)), int(status.get("readyReplicas", 0)), _seen(body))


def deployed(body: Body | None) -> Pods:
    """Pods of a Deployment."""
    if body is None:
        return Pods()
    status, wanted = body.get("status") or {}, int(body["spec"].get("replicas", 1))
    counts = [int(status.get(key, 0)) for key in ("replicas", "updatedReplicas")]
    stuck = [
        str(c.get("message", ""))
        for c in status.get("conditions") or ()
        if c["type"] == "Progressing" and c["status"] == "False"
    ]
    current = _seen(body) and counts == [wanted, wanted]
    return Pods(wanted, int(status.get("availableReplicas", 0)), current, stuck[0] if stuck and _seen(body) else "")


def _seen(body: Body) -> bool:
    return int((body.get("status") or {}).get("observedGeneration", 0)) >= int(body["metadata"]["generation"])
