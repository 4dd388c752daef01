"""A real HTTP server in a thread, with the faults of real servers."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Behaviour:
    """What the server does with the bytes of `body`, and what it was asked."""

    body: bytes = b""
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)  # the next answers end after so many bytes
    knows_ranges: bool = True
    says_length: bool = True
    endless: bool = False
    pause_s: float = 0.0
    closed: threading.Lock = field(default_factory=threading.Lock)  # nothing is answered while it is held
    redirect: str | None = None
    status: int = 200
    length: str = ""  # said in place of the true one
    ranges: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


class _Server(http.server.ThreadingHTTPServer):
    behaviour: Behaviour

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what is tested."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer as told."""
        told = self.server.behaviour
        told.paths.append(self.path)
        with told.closed:
            self._answer(told)

    def _answer(self, told: Behaviour) -> None:
        if told.redirect and not self.path.endswith("/moved.onnx"):
            self.send_response(302)
            self.send_header("Location", told.redirect)
            self.end_headers()
            return
        if told.status != 200:
            self.send_error(told.status)
            return
        told.ranges.append(self.headers.get("Range"))
        start = self._find_start(told)
        if start >= len(told.body) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(told.body)}")
            self.end_headers()
            return
        self._send(told, start)

    def _find_start(self, told: Behaviour) -> int:
        asked = self.headers.get("Range")
        if not asked or not told.knows_ranges or self.headers.get("If-Range", told.etag) != told.etag:
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send(self, told: Behaviour, start: int) -> None:
        body = told.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(told.body) - 1}/{len(told.body)}")
        if told.etag:
            self.send_header("ETag", told.etag)
        if told.says_length and not told.endless:
            self.send_header("Content-Length", told.length or str(len(body)))
        self.end_headers()
        if told.cuts:
            body = body[: told.cuts.pop(0)]
        while told.endless:
            self.wfile.write(b"x" * 65536)
        for byte in range(0, len(body) if told.pause_s else 0):
            self.wfile.write(body[byte : byte + 1])
            time.sleep(told.pause_s)
        if not told.pause_s:
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
