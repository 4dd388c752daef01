"""The addresses of the service, each with what it does."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stemsplit import __version__
from stemsplit.audio.encoding import FORMATS, depths
from stemsplit.errors import AudioError, OutputError, SettingsError, StemsplitError
from stemsplit.files.atomic import explaining
from stemsplit.jobs.plan import OutputSettings, Provenance
from stemsplit.jobs.request import SeparationRequest
from stemsplit.jobs.worker import wrap_bug
from stemsplit.separation.separator import Separator
from stemsplit.service.errors import NoSuchSongError, RefusedError, SlowUploadError, TooLargeError
from stemsplit.service.guard import Guard, answer_error, answer_refusal
from stemsplit.service.queue import QueuedSong, SongQueue, Stage
from stemsplit.service.request import check_parameters, check_request, read_request

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

MEDIA_TYPES: Final = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
}
_log = logging.getLogger(__name__)

_PAGE: Final = {"page.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
_STATUSES: Final[Mapping[type[Exception], int]] = {SettingsError: 400, AudioError: 422, OutputError: 507}


@dataclass(frozen=True)
class ServiceLimits:
    """What the service takes and keeps.

    Parameters
    ----------
    max_bytes
        Of one song.
    keep_s
        Seconds that songs and stems are kept after the end of the song.
    max_waiting
        Songs in the queue.
    sweep_s
        Seconds between two looks at what is to be removed.
    patience_s
        Seconds without a byte after which an upload is given up.
    """

    max_bytes: int = 500_000_000
    keep_s: float = 3600.0
    max_waiting: int = 50
    sweep_s: float = 15.0
    patience_s: float = 60.0


class Service:
    """The REST service.

    Parameters
    ----------
    queue
        The songs.
    separator
        Of all stems; says what can be ordered.
    defaults
        What holds where an upload says nothing.
    limits
        See there.
    """

    def __init__(
        self, queue: SongQueue, separator: Separator, defaults: SeparationRequest, limits: ServiceLimits
    ) -> None:
        self._queue = queue
        self._models = separator.models
        self._defaults = defaults
        self._limits = limits
        self._about = describe_service(separator, limits)
        folder = files("stemsplit.service")
        self._page = {name: folder.joinpath(name).read_bytes() for name in _PAGE}

    def make_app(self, names: Collection[str] | None) -> ASGIApp:
        """Return the application; `names` are those that it answers to, None for all."""
        songs: list[tuple[str, str, Endpoint]] = [
            ("/api", "GET", self.about),
            ("/api/songs", "POST", self.add),
            ("/api/songs/{id}", "GET", self.show),
            ("/api/songs/{id}", "DELETE", self.remove),
            ("/api/songs/{id}/stems.zip", "GET", self.send_all),
            ("/api/songs/{id}/stems/{stem:path}", "GET", self.send_stem),
        ]
        routes = [Route(path, endpoint, methods=[method]) for path, method, endpoint in songs]
        routes += [Route("/" if name == "page.html" else f"/{name}", self.send_page) for name in _PAGE]
        app = Starlette(routes=routes, exception_handlers=_HANDLERS, lifespan=self._sweeping)
        return Guard(app, names)

    @contextlib.asynccontextmanager
    async def _sweeping(self, app: Starlette) -> AsyncIterator[None]:  # noqa: ARG002 - the signature is given
        async def sweep() -> None:
            while True:
                await asyncio.sleep(self._limits.sweep_s)
                await run_in_threadpool(self._queue.sweep)

        task = asyncio.create_task(sweep())
        try:
            yield
        finally:
            task.cancel()

    async def send_page(self, request: Request) -> Response:
        """Send the page, or a file that belongs to it."""
        name = request.url.path[1:] or "page.html"
        return Response(self._page[name], media_type=_PAGE[name], headers={"Cache-Control": "no-cache"})

    async def about(self, request: Request) -> Response:
        """Say what there is."""
        _check_no_parameters(request)
        return _answer(self._about)

    async def add(self, request: Request) -> Response:
        """Take a song."""
        wanted = read_request(request.query_params.multi_items(), self._defaults)
        check_request(wanted, self._models)
        size = request.headers.get("content-length")
        if size is not None:
            self._check_size(int(size))
        with explaining(Path(wanted.name)), self._queue.receive(wanted) as song:
            await self._receive(request, song)
        headers = {"Location": f"/api/songs/{song.id}"}
        return _answer(self._describe(song), 202, headers)

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self._limits.max_bytes:
            raise TooLargeError(
                f"the file has more than {self._limits.max_bytes / 1e6:g} MB; "
                "send a shorter or a compressed one, or start the service with a higher --max-mb"
            )

    async def _receive(self, request: Request, song: QueuedSong) -> None:
        n_bytes = 0
        with song.source.open("xb") as file:
            async for data in self._read(request):
                n_bytes += len(data)
                self._check_size(n_bytes)
                await run_in_threadpool(file.write, data)
        if not n_bytes:
            raise AudioError(f"{song.request.name}: is empty (0 bytes); get a whole copy of the file")

    async def _read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body of a request, as long as it comes."""
        body = request.stream()
        try:
            while True:
                async with asyncio.timeout(self._limits.patience_s):
                    data = await anext(body)
                yield data
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise SlowUploadError("the upload has stopped on its way; send the file again") from error

    async def show(self, request: Request) -> Response:
        """Say how a song gets on, or what came of it."""
        _check_no_parameters(request)
        return _answer(self._describe(self._find(request)))

    async def remove(self, request: Request) -> Response:
        """Remove a song."""
        _check_no_parameters(request)
        await run_in_threadpool(self._queue.remove, request.path_params["id"])
        return Response(status_code=204)

    async def send_stem(self, request: Request) -> Response:
        """Send one stem."""
        _check_no_parameters(request)
        song, stem = self._find(request), request.path_params["stem"]
        if stem not in song.stems:
            raise NoSuchSongError(f"the song has no stem {stem!r}; there are: {', '.join(song.stems)}")
        format = song.request.separation.format
        return _send_file(song.stems[stem], song.name_stem(stem), MEDIA_TYPES[format])

    async def send_all(self, request: Request) -> Response:
        """Send all stems in one file."""
        _check_no_parameters(request)
        song = self._find(request)
        path = await run_in_threadpool(song.pack)
        return _send_file(path, song.request.name_download("stems", "zip"), "application/zip")

    def _find(self, request: Request) -> QueuedSong:
        return self._queue.find(request.path_params["id"])

    def _describe(self, song: QueuedSong) -> dict[str, Any]:
        address = f"/api/songs/{song.id}"
        stage, place, result = self._queue.look(song)
        known: dict[str, Any] = {"id": song.id, "input": song.request.name, "status": stage}
        known |= {"place": place, "progress": song.progress}
        if result is None:
            return known
        made = result.outputs if stage is Stage.DONE else {}
        outputs = {stem: f"{address}/stems/{quote(stem, safe='')}" for stem in made}
        zipped = f"{address}/stems.zip" if made else None
        return result.to_dict() | known | {"outputs": outputs, "zip": zipped}


def describe_service(separator: Separator, limits: ServiceLimits) -> dict[str, Any]:
    """Return what a client can order, and what it can not."""
    stems = list(dict.fromkeys(target for model in separator.models for target in model.spec.targets))
    made = Provenance.of(separator, OutputSettings(Path()))
    models = [asdict(model) for model in made.models]
    return {
        "version": __version__,
        "stems": stems,
        "stems_sum_to_song": set(stems) == set(separator.stems),
        "models": [
            {key: model[key] for key in ("name", "version", "licence", "commercial")} for model in models
        ],
        "device": made.device,
        "formats": {format: list(depths(format)) for format in FORMATS},
        "limits": {
            "max_bytes": limits.max_bytes,
            "max_waiting": limits.max_waiting,
            "keep_minutes": limits.keep_s / 60,
        },
    }


def _check_no_parameters(request: Request) -> None:
    check_parameters(request.query_params.multi_items(), ())


def _answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(content, status, {"Cache-Control": "no-store"} | dict(headers or {}))


def _send_file(path: Path, name: str, media_type: str) -> Response:
    try:
        found = path.stat()
    except OSError as error:
        raise NoSuchSongError("the song has been removed") from error
    headers = {"Cache-Control": "private, no-cache"}
    return FileResponse(path, media_type=media_type, filename=name, stat_result=found, headers=headers)


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


_HANDLERS: Final[Mapping[Any, Any]] = {
    StemsplitError: _refuse,
    HTTPException: _answer_http,
    ClientDisconnect: _answer_nobody,
    Exception: _answer_bug,
}
