"""Whose songs are listed: each client has a random name in a cookie that its page cannot read.

A song itself can be opened by anyone who knows its address, which cannot be guessed.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from stemsplit.service.request import UploadRequest

_COOKIE: Final = "stemsplit-owner"
_N_BYTES: Final = 18
_LONGEST: Final = 64


@dataclass(frozen=True)
class Repeat:
    """An upload that may come twice: the same `key` of one of `clients` stands for the same song."""

    clients: tuple[str, ...]
    key: str
    wanted: UploadRequest

    @property
    def keys(self) -> list[tuple[str, str]]:
        """What it is found by: the key of each of its clients."""
        return [(client, self.key) for client in self.clients]


def read_owner(request: Request) -> str:
    """Return who sends a request: as its cookie says, or somebody new."""
    known = request.cookies.get(_COOKIE, "")
    return known if 0 < len(known) <= _LONGEST else secrets.token_urlsafe(_N_BYTES)


def read_repeat(request: Request, owner: str, wanted: UploadRequest) -> Repeat | None:
    """Return what tells an upload that is sent again from a new one: its ``Idempotency-Key``, if it has one.

    A client that has no cookie yet, or keeps none, is distinguished from others by its network address.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    address = request.client.host if request.client else ""
    clients = (owner,) if _COOKIE in request.cookies else (owner, address)
    return Repeat(clients, key, wanted)


def remember_owner(request: Request, response: Response, owner: str) -> None:
    """Have the client say next time that it is `owner`."""
    if request.cookies.get(_COOKIE) != owner:
        response.set_cookie(
            _COOKIE, owner, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
