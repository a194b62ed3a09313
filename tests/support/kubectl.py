"""kubectl against the cluster that `cluster.connect()` found: commands with a time limit, objects, watches."""

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

Object = dict[str, Any]
SECONDS = 60.0
FIELD_MANAGER = "kubectl"
_RESTART_SECONDS = 0.5
_MESSAGE_CHARACTERS = 2000


class Reach(Protocol):
    """The part of `cluster.Access` that is needed here."""

    @property
    def command_prefix(self) -> list[str]:
        """Put before a command, it runs inside the cluster's network."""

    @property
    def settings(self) -> dict[str, str]:
        """Environment of commands."""

    @property
    def context(self) -> str:
        """The context of the kubeconfig."""


class KubectlError(Exception):
    """A command failed; the message has the command and what it said."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change of one object."""

    type: str
    """ADDED, MODIFIED or DELETED; a watch that began anew tells ADDED again."""
    object: Object


class Kubectl:
    """Runs kubectl."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._command = [*reach.command_prefix, "kubectl", f"--context={reach.context}"]

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which commands find the cluster."""
        return {**os.environ, **self._reach.settings}

    def __call__(self, *arguments: str, stdin: str | None = None, seconds: float = SECONDS) -> str:
        """Run a command and return its output; KubectlError when it fails or takes longer."""
        return self._run([*self._command, *arguments], stdin, seconds)

    def plugin(self, program: Sequence[str], *arguments: str, seconds: float = SECONDS) -> str:
        """Run a plugin, such as kubectl-chaffinch, where kubectl runs."""
        return self._run([*self._reach.command_prefix, *program, *arguments], None, seconds)

    def get(self, kind: str, name: str, namespace: str) -> Object | None:
        """One object; None when there is none of that name."""
        found = self("get", f"--namespace={namespace}", "--ignore-not-found", "--output=json", kind, name)
        return json.loads(found) if found.strip() else None

    def list(self, kind: str, namespace: str, labels: str = "") -> list[Object]:
        """All objects of a kind that match."""
        found = json.loads(self("get", f"--namespace={namespace}", f"--selector={labels}", "--output=json", kind))
        return list(found["items"])

    def apply(self, *objects: Object, manager: str = FIELD_MANAGER) -> None:
        """Server-side apply, as a GitOps tool does it."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "--filename=-", stdin=text)

    def apply_folder(self, folder: str, manager: str = FIELD_MANAGER) -> None:
        """Apply a kustomization."""
        self("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", f"--kustomize={folder}")

    def delete(self, kind: str, name: str, namespace: str, *, seconds: float = SECONDS) -> None:
        """Delete an object and wait until it is gone; nothing happens when there is none."""
        self(
            "delete",
            f"--namespace={namespace}",
            "--ignore-not-found",
            "--wait=true",
            f"--timeout={seconds:.0f}s",
            kind,
            name,
            seconds=seconds + 10,
        )

    def wait(self, condition: str, target: str, namespace: str, *, seconds: float) -> None:
        """Wait until a target such as `deployment/shop` has a condition such as `condition=Available`."""
        self(
            "wait",
            f"--namespace={namespace}",
            f"--for={condition}",
            target,
            f"--timeout={seconds:.0f}s",
            seconds=seconds + 10,
        )

    def watch(self, kind: str, namespace: str, labels: str = "") -> "Watch":
        """All changes of a kind in a namespace, as a context manager."""
        return Watch(
            [
                *dies_with_us(),
                *self._command,
                "get",
                f"--namespace={namespace}",
                f"--selector={labels}",
                "--watch",
                "--output-watch-events",
                "--output=json",
                kind,
            ],
            self.environment,
        )

    def _run(self, command: Sequence[str], stdin: str | None, seconds: float) -> str:
        try:
            done = subprocess.run(
                command,
                input=stdin or "",
                capture_output=True,
                text=True,
                timeout=seconds,
                env=self.environment,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"no end after {seconds:.0f} s: {' '.join(command)}") from error
        except OSError as error:
            raise KubectlError(f"cannot run {command[0]}: {error}") from error
        if done.returncode:
            said = (done.stderr + done.stdout).strip()[-_MESSAGE_CHARACTERS:]
            raise KubectlError(f"status {done.returncode} from {' '.join(command)}: {said}")
        return done.stdout


def dies_with_us() -> list[str]:
    """A prefix by which a process ends when the thread that started it does, however that happens."""
    return ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []


class Watch:
    """`kubectl get --watch`, begun anew when it ends; events are put into a queue."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, environment
        self._events: queue.Queue[WatchEvent] = queue.Queue()
        self._ending = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        with self._lock:
            if self._process is not None:
                self._process.terminate()
        self._thread.join(SECONDS)

    def next(self, seconds: float) -> WatchEvent | None:
        """The next event; None when there is none in that time."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None

    def drain(self) -> list[WatchEvent]:
        """All events that are there already."""
        events: list[WatchEvent] = []
        while (event := self._take()) is not None:
            events.append(event)
        return events

    def _take(self) -> WatchEvent | None:
        try:
            return self._events.get_nowait()
        except queue.Empty:
            return None

    def _read(self) -> None:
        while not self._ending.is_set():
            with self._start() as process:
                assert process.stdout is not None
                for line in process.stdout:
                    self._put(line)
            self._ending.wait(_RESTART_SECONDS)

    def _start(self) -> "subprocess.Popen[str]":
        with self._lock:
            # a session of its own: Ctrl-C in the terminal is for the program that watches
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                text=True,
                env=dict(self._environment),
                start_new_session=True,
            )
            if self._ending.is_set():
                self._process.terminate()
            return self._process

    def _put(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return  # the last line of a watch that broke off
        if event.get("type") in ("ADDED", "MODIFIED", "DELETED"):
            self._events.put(WatchEvent(event["type"], event["object"]))
