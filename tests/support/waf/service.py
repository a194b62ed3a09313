"""A web application firewall over HTTP: ModSecurity with the Core Rule Set. 403: blocked, 200: let through.

A program of its own: it runs in an image without the rest of the repository.

    PARANOIA  paranoia level of the rules, 1 (default) to 4
    RULES     folder of the rules, default that of Debian's package modsecurity-crs
    PORT      default 8080
"""

import os
import signal
import sys
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from libmodsecurity import ModSecurity, RulesSet

RULES = "/usr/share/modsecurity-crs/rules"
HEALTH = "/healthz"
LEFT_OUT = ("REQUEST-903", "REQUEST-910", "REQUEST-912", "RESPONSE-")
"""Exclusions of known applications, reputation of addresses, floods, and answers: not about one request."""
SETUP = """
SecRuleEngine On
SecRequestBodyAccess On
SecDefaultAction "phase:1,log,noauditlog,pass"
SecDefaultAction "phase:2,log,noauditlog,pass"
SecAction "id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level={paranoia}"
SecAction "id:900110,phase:1,nolog,pass,t:none,setvar:tx.inbound_anomaly_score_threshold=5"
SecAction "id:900990,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=334"
"""
"""Blocks at an anomaly score of 5, the rules' own default: one critical match."""


class Firewall:
    """One configuration of the rules.

    Raises:
        RuntimeError: there are no rules, or they cannot be read.

    """

    def __init__(self, paranoia: int, folder: Path) -> None:
        self._engine, self._rules = ModSecurity(), RulesSet()
        self._engine.set_log_callback(lambda _: None)
        files = [file for file in sorted(folder.glob("*.conf")) if not file.name.startswith(LEFT_OUT)]
        if not files:
            raise RuntimeError(f"{folder} has no rules: apt-get install modsecurity-crs, or set RULES")
        if self._rules.load(SETUP.format(paranoia=paranoia)) < 0:
            raise RuntimeError(self._rules.get_parser_error())
        for file in files:
            if self._rules.load_from_uri(str(file)) < 0:
                raise RuntimeError(f"{file}: {self._rules.get_parser_error()}")

    def blocks(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> bool:
        """Whether a request is refused."""
        with self._engine.transaction(self._rules) as one:
            one.process_connection("192.0.2.1", 40000, "192.0.2.2", 80)
            one.process_uri(target, method, "1.1")
            for name, value in headers:
                one.add_request_header(name, value)
            one.process_request_headers()
            if body:
                one.append_request_body(body)
            one.process_request_body()
            found = one.intervention()
            return found is not None and found.disruptive


class Server(ThreadingHTTPServer):
    """A server with its firewall."""

    daemon_threads = True

    def __init__(self, port: int, firewall: Firewall) -> None:
        self.firewall = firewall
        super().__init__(("0.0.0.0", port), Handler)


class Handler(BaseHTTPRequestHandler):
    """Answers of the firewall; nothing lies behind it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        """403 or 200."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == HEALTH:
            return self._say(200)
        blocked = self.server.firewall.blocks(self.command, self.path, self.headers.items(), body)
        return self._say(403 if blocked else 200)

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - names of the standard library

    def log_message(self, *_: object) -> None:
        """Quiet: targets are attacks."""


def main() -> None:
    """Serve until SIGTERM."""
    firewall = Firewall(int(os.environ.get("PARANOIA", "1")), Path(os.environ.get("RULES", RULES)))
    server = Server(int(os.environ.get("PORT", "8080")), firewall)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
