"""The password of the service: in its address, in a cookie, or in a header.

``/?key=PASSWORD``, the address that is printed, sets a cookie and leads to the page, so that the password
does not stay in its address. Programs send ``Authorization: Bearer PASSWORD``, or ``curl -u :PASSWORD``.
Whoever guesses is stopped after ten wrong passwords a minute.
"""

import base64
import contextlib
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from stemsplit.service.answers import answer_refusal
from stemsplit.service.errors import PasswordError, RefusedError, TooManyAttemptsError
from stemsplit.service.page_files import page_folder

PARAMETER: Final = "key"

_COOKIE: Final = "stemsplit-key"
_N_BYTES: Final = 12
_MAX_ATTEMPTS: Final = 10
_MEMORY_S: Final = 60.0
# what everybody who has installed the package has, too
_PUBLIC: Final = ("/page/", "/service-worker.js")


def make_password() -> str:
    """Return a random password of 96 bits."""
    return secrets.token_urlsafe(_N_BYTES)


class PasswordGate:
    """ASGI middleware that answers only to those who know the password.

    Parameters
    ----------
    app
        What lies behind it.
    password
        What they have to know.
    clock
        Tells the time in seconds.
    """

    def __init__(self, app: ASGIApp, password: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._passwords = _encode(password)
        self._session = secrets.token_urlsafe(_N_BYTES)
        self._attempts = Attempts(clock)
        self._login = (page_folder() / "login.html").read_bytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_PUBLIC):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            response = self._check(request)
        except RefusedError as refusal:
            response = self._refuse(request, refusal)
        await (response or self._app)(scope, receive, send)

    def _check(self, request: Request) -> Response | None:
        """Return how a login is answered, and None to whoever has logged in."""
        if secrets.compare_digest(request.cookies.get(_COOKIE, "").encode(), self._session.encode()):
            return None
        given = self._read_password(request)
        if given is None:
            raise PasswordError("a password is needed; send it like curl -u :PASSWORD")
        client = request.client.host if request.client else ""
        self._attempts.check(client)
        if not any(secrets.compare_digest(given, known) for known in self._passwords):
            self._attempts.note(client)
            raise PasswordError("the password is wrong; it is in the address that the service has printed")
        return self._welcome(request) if PARAMETER in request.query_params else None

    def _read_password(self, request: Request) -> bytes | None:
        if request.url.path == "/" and PARAMETER in request.query_params:
            return request.query_params[PARAMETER].encode()
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return value.strip().encode("latin-1")
        if scheme.lower() == "basic":
            try:
                return base64.b64decode(value, validate=True).partition(b":")[2]
            except ValueError:
                return None
        return None

    def _welcome(self, request: Request) -> Response:
        response = RedirectResponse("/", status_code=303, headers={"Cache-Control": "no-store"})
        # a link that somebody was sent must work: what changes anything is checked for its origin
        response.set_cookie(
            _COOKIE, self._session, httponly=True, samesite="lax", secure=request.url.scheme == "https"
        )
        return response

    def _refuse(self, request: Request, refusal: RefusedError) -> Response:
        if request.url.path != "/":
            return answer_refusal(refusal)
        headers = {"Cache-Control": "no-store", **refusal.headers}
        error = f'data-error="{type(refusal).__name__}"'.encode()
        login = self._login.replace(b'data-error=""', error)
        return Response(login, refusal.status, headers, "text/html")


def _encode(password: str) -> list[bytes]:
    """Return the password as clients send it: in UTF-8 or, as far as that has its characters, in Latin-1."""
    encoded = [password.encode()]
    with contextlib.suppress(UnicodeEncodeError):
        encoded.append(password.encode("latin-1"))
    return encoded


class Attempts:
    """Wrong passwords of the last minute, by the address they came from."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times_s: defaultdict[str, deque[float]] = defaultdict(deque)

    def note(self, client: str) -> None:
        """Count one."""
        self._times_s[client].append(self._clock())

    def check(self, client: str) -> None:
        """Make sure that a client has not had too many.

        Raises
        ------
        TooManyAttemptsError
            If it has.
        """
        latest_s = self._clock() - _MEMORY_S
        for known in list(self._times_s):
            times_s = self._times_s[known]
            while times_s and times_s[0] <= latest_s:
                times_s.popleft()
            if not times_s:
                del self._times_s[known]
        if client in self._times_s and len(self._times_s[client]) >= _MAX_ATTEMPTS:
            raise TooManyAttemptsError("too many wrong passwords; wait a minute")
