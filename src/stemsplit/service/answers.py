"""What is answered: JSON, files, and errors with their HTTP status."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response

from stemsplit.errors import AudioError, OutputError, SettingsError, StemsplitError
from stemsplit.jobs.failure import wrap_bug
from stemsplit.service.errors import NoSuchSongError, RefusedError

MEDIA_TYPES: Final = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "aiff": "audio/aiff",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "zip": "application/zip",
}

_STATUSES: Final[Mapping[type[Exception], int]] = {SettingsError: 400, AudioError: 422, OutputError: 507}
_log = logging.getLogger(__name__)


def answer_json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer in JSON that no cache keeps."""
    return JSONResponse(content, status, {"Cache-Control": "no-store"} | dict(headers or {}))


def answer_error(error: Exception, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error in JSON."""
    return answer_json({"error": str(error), "error_type": type(error).__name__}, status, headers)


def answer_refusal(refusal: RefusedError) -> Response:
    """Answer with the reason why a request is refused."""
    return answer_error(refusal, refusal.status, refusal.headers)


def answer_file(request: Request, path: Path, name: str) -> Response:
    """Answer with a file to download, or a part of it; 304 to a client that has it already.

    Raises
    ------
    NoSuchSongError
        If the file is gone.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise NoSuchSongError("the song has been removed") from error
    response = FileResponse(
        path,
        media_type=MEDIA_TYPES[path.suffix[1:]],
        filename=name,
        stat_result=found,
        headers={"Cache-Control": "private, no-cache"},
    )
    return answer_unchanged(request, response)


def answer_unchanged(request: Request, response: Response) -> Response:
    """Return `response`, or 304 where the client has named its ETag."""
    known = Headers(scope=request.scope).get("if-none-match", "")
    if response.headers["etag"] not in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return response
    kept = ("etag", "cache-control", "last-modified")
    return Response(
        status_code=304, headers={key: response.headers[key] for key in kept if key in response.headers}
    )


async def _refuse(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the signature is given
    if isinstance(error, RefusedError):
        return answer_refusal(error)
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
    return answer_error(error, status)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    content = {"error": f"{error.detail}: {request.method} {request.url.path}", "error_type": "HTTPException"}
    return JSONResponse(content, error.status_code, error.headers)


async def _answer_nobody(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the signature is given
    return Response(status_code=400)


async def _answer_bug(request: Request, error: Exception) -> Response:
    bug = wrap_bug(error)
    _log.error("%s %s: %s", request.method, request.url.path, bug)
    return answer_error(bug, 500)


HANDLERS: Final[Mapping[Any, Any]] = {
    StemsplitError: _refuse,
    HTTPException: _answer_http,
    ClientDisconnect: _answer_nobody,
    Exception: _answer_bug,
}
