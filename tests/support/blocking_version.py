"""A version of a rule set, in a pod: 403 for a path that has one of its words, else 200; or a fault instead.

BLOCKS: words, comma-separated. FAULT: none, hang (no answer), error (500), reset (closes half-way), flood (endless).
"""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = tuple(word for word in os.environ.get("BLOCKS", "").split(",") if word)
FAULT = os.environ.get("FAULT", "none")
HANG_SECONDS = 3600
FLOOD = b"x" * 65536


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer by the words, or by the fault."""
        if FAULT == "hang":
            time.sleep(HANG_SECONDS)
        elif FAULT == "reset":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            self.close_connection = True
        elif FAULT == "flood":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(FLOOD)
        else:
            blocked = any(word in self.path for word in WORDS)
            self.send_response(500 if FAULT == "error" else 403 if blocked else 200)
            self.send_header("content-length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
