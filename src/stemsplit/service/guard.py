"""Keeps other sites out, and tells browsers what the page may do.

A page of another site can send requests to this computer. It cannot read the answers, unless the site makes
its own name lead here (DNS rebinding): so where the service listens on this computer only, it answers only
to this computer's names. And nothing is changed for a page that came from elsewhere.
"""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stemsplit.service.answers import answer_refusal
from stemsplit.service.errors import ForeignHostError, ForeignOriginError, RefusedError

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:@/?#\\\s]+))(?::\d{1,5})?", re.IGNORECASE)
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware.

    Parameters
    ----------
    app
        What is guarded.
    names
        The names that requests may be sent to; None for all.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] | None) -> None:
        self._app = app
        self._names = None if names is None else {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(Headers(scope=scope), scope["method"])
        except RefusedError as refusal:
            await answer_refusal(refusal)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check(self, headers: Headers, method: str) -> None:
        host = headers.get("host", "")
        if self._names is not None and read_host(host) not in self._names:
            raise ForeignHostError(
                f"the host {host!r} is not this computer; open the address that was printed"
            )
        origin = headers.get("origin")
        if method not in _READING and origin is not None and _read_origin(origin) != host.lower():
            raise ForeignOriginError(f"a page of {origin} may not change anything here")


def _read_origin(header: str) -> str | None:
    """Return the host in an Origin header; None if it is malformed."""
    try:
        return urlsplit(header).netloc.lower()
    except ValueError:
        return None


def read_host(header: str) -> str | None:
    """Return the name in a Host header, without port and brackets; None if it is malformed.

    >>> read_host("LocalHost:8000"), read_host("[::1]:8000"), read_host("evil@localhost")
    ('localhost', '::1', None)
    """
    match = _HOST.fullmatch(header)
    return (match[1] or match[2]).lower() if match else None
