"""A real HTTP server in a thread, with configurable faults."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Behaviour:
    """How the server responds with `body`, and the requests that it received."""

    body: bytes = b""
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)  # lengths after which the next responses break off
    knows_ranges: bool = True
    says_length: bool = True
    endless: bool = False
    pause_s: float = 0.0
    closed: threading.Lock = field(default_factory=threading.Lock)  # no response is sent while it is locked
    redirect: str | None = None
    status: int = 200
    length: str = ""  # sent in place of the true length
    ranges: list[str | None] = field(default_factory=list)
    n_tails: int = 0  # requests for the end of the file, which are in no other list
    paths: list[str] = field(default_factory=list)


class _Server(http.server.ThreadingHTTPServer):
    behaviour: Behaviour

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: tests disconnect on purpose."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Respond as configured."""
        behaviour = self.server.behaviour
        if self.headers.get("Range", "").startswith("bytes=-"):
            self._send_tail(behaviour)
            return
        behaviour.paths.append(self.path)
        with behaviour.closed:
            self._answer(behaviour)

    def _send_tail(self, behaviour: Behaviour) -> None:
        behaviour.n_tails += 1
        if not behaviour.knows_ranges or behaviour.status != 200:
            self.send_error(behaviour.status if behaviour.status != 200 else 416)
            return
        tail = behaviour.body[-int(self.headers["Range"].removeprefix("bytes=-")) :]
        self.send_response(206)
        self.send_header("Content-Length", str(len(tail)))
        self.end_headers()
        self.wfile.write(tail)

    def _answer(self, behaviour: Behaviour) -> None:
        if behaviour.redirect and not self.path.endswith("/moved.onnx"):
            self.send_response(302)
            self.send_header("Location", behaviour.redirect)
            self.end_headers()
            return
        if behaviour.status != 200:
            self.send_error(behaviour.status)
            return
        behaviour.ranges.append(self.headers.get("Range"))
        start = self._find_start(behaviour)
        if start >= len(behaviour.body) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(behaviour.body)}")
            self.end_headers()
            return
        self._send(behaviour, start)

    def _find_start(self, behaviour: Behaviour) -> int:
        asked = self.headers.get("Range")
        if (
            not asked
            or not behaviour.knows_ranges
            or self.headers.get("If-Range", behaviour.etag) != behaviour.etag
        ):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send(self, behaviour: Behaviour, start: int) -> None:
        body = behaviour.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(behaviour.body) - 1}/{len(behaviour.body)}"
            )
        if behaviour.etag:
            self.send_header("ETag", behaviour.etag)
        if behaviour.says_length and not behaviour.endless:
            self.send_header("Content-Length", behaviour.length or str(len(body)))
        self.end_headers()
        if behaviour.cuts:
            body = body[: behaviour.cuts.pop(0)]
        while behaviour.endless:
            self.wfile.write(b"x" * 65536)
        for byte in range(0, len(body) if behaviour.pause_s else 0):
            self.wfile.write(body[byte : byte + 1])
            time.sleep(behaviour.pause_s)
        if not behaviour.pause_s:
            self.wfile.write(body)


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """Run a server; the address of its file is given."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.behaviour = behaviour
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/model.onnx"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
