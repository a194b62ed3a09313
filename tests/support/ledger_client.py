"""A client of a ledger that runs in a pod: one request, or steady load. Standard library only; also a script.

    python ledger_client.py ask METHOD PATH [JSON]     prints {"status": ..., "body": ...}
    python ledger_client.py load                       prints a line of counts each second, until SIGTERM

Every request has a connection of its own and is never repeated, so that a request that fails is seen to fail.
URL, LEDGER, API_KEY and CA come from the environment.
"""

import http.client
import json
import os
import signal
import ssl
import sys
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

THREADS, PAUSE, TIMEOUT = 4, 0.05, 10.0


def ask(method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
    """One request; path relative to the ledger. Status and answer."""
    status, _, answer = exchange(method, path, body, key=key)
    return status, answer


def exchange(method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, str | None, Any]:
    """The same, with Retry-After between them."""
    url = urlsplit(os.environ["URL"])
    context = ssl.create_default_context(cafile=os.environ["CA"])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=TIMEOUT, context=context)
    try:
        headers = {"Authorization": f"Bearer {os.environ['API_KEY'] if key is None else key}", "Connection": "close"}
        text = None if body is None else json.dumps(body)
        if text is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, f"/v1/ledgers/{os.environ['LEDGER']}/{path}", text, headers)
        answer = connection.getresponse()
        said = answer.read()
        is_json = "json" in answer.getheader("Content-Type", "")
        after = answer.getheader("Retry-After")
        return answer.status, after, json.loads(said) if is_json else said.decode()
    finally:
        connection.close()


class Load:
    """Transfers of one from `world` to `alice`, one after the other in each of a few threads.

    An answer with Retry-After is a refusal, counted apart from failures, with the time from the first to the last.
    """

    def __init__(self) -> None:
        self.stop, self._lock = threading.Event(), threading.Lock()
        self.done, self.failed, self.last, self.slowest = 0, 0, "", 0.0
        self.refused, self.first_refusal, self.last_refusal = 0, 0.0, 0.0

    def run(self) -> None:
        """Run until told to stop."""
        while not self.stop.wait(PAUSE):
            began, after = time.monotonic(), None
            body = {"id": str(uuid.uuid4()), "debit": "world", "credit": "alice", "amount": "1"}
            try:
                status, after, answer = exchange("POST", "transfers", body)
                problem = "" if status in {200, 201} else f"{status} {answer}"
            except (OSError, ValueError, http.client.HTTPException) as error:
                problem = f"{type(error).__name__}: {error}"
            with self._lock:
                now = time.monotonic()
                self.slowest = max(self.slowest, now - began)
                self.last = problem or self.last
                if problem and after:
                    self.refused += 1
                    self.first_refusal, self.last_refusal = self.first_refusal or now, now
                else:
                    self.done += not problem
                    self.failed += bool(problem)

    def counts(self) -> str:
        """As a line of JSON."""
        with self._lock:
            found = {
                "done": self.done,
                "failed": self.failed,
                "refused": self.refused,
                "secondsOfRefusals": round(self.last_refusal - self.first_refusal, 3),
                "last": self.last,
                "slowest": round(self.slowest, 3),
            }
        return json.dumps(found)


def load() -> None:
    """Make the accounts, then transfer until SIGTERM."""
    for name, allow_negative in (("world", True), ("alice", False)):
        body = {"id": str(uuid.uuid4()), "account": name, "asset": "CREDIT", "allow_negative": allow_negative}
        status, answer = ask("POST", "accounts", body)
        if status not in {200, 201} and answer.get("code") != "account_exists":
            sys.exit(f"account {name}: {status} {answer}")
    work = Load()
    signal.signal(signal.SIGTERM, lambda *_: work.stop.set())
    threads = [threading.Thread(target=work.run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    while not work.stop.wait(1.0):
        _say(work.counts())
    for thread in threads:
        thread.join()
    _say(work.counts())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """The script."""
    if arguments[0] == "load":
        return load()
    method, path, *rest = arguments[1:]
    body = json.loads(rest[0]) if rest else None
    status, answer = ask(method, path, body, key=os.environ.get("OTHER_KEY"))
    _say(json.dumps({"status": status, "body": answer}))
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
