"""The files of the page, as they lie in the package."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stemsplit.service.answers import answer_unchanged
from stemsplit.service.owner import read_owner, remember_owner

_MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_INDEX: Final = "index.html"


def page_folder() -> Traversable:
    """Return the folder of the page."""
    return files("stemsplit.service") / "page"


def make_page_routes() -> list[Route]:
    """Return the addresses of the page: ``/``, ``/page/NAME``, and the service worker at the root."""
    contents = {file.name: file.read_bytes() for file in page_folder().iterdir()}
    return [
        Route(_find_path(name), _Sender(name, content).send, name=name) for name, content in contents.items()
    ]


def _find_path(name: str) -> str:
    if name == _INDEX:
        return "/"
    return f"/{name}" if name == "service-worker.js" else f"/page/{name}"


class _Sender:
    """Sends one file."""

    def __init__(self, name: str, content: bytes) -> None:
        self._content = content
        self._media_type = _MEDIA_TYPES[PurePath(name).suffix]
        self._is_page = name == _INDEX
        self._etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    async def send(self, request: Request) -> Response:
        """Send it, unless the browser has it."""
        headers = {"Cache-Control": "no-cache", "ETag": self._etag}
        response = answer_unchanged(
            request, Response(self._content, media_type=self._media_type, headers=headers)
        )
        if self._is_page:
            remember_owner(request, response, read_owner(request))
        return response
