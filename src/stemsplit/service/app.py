"""The service as an ASGI application: which address leads where."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import segno
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stemsplit import __version__
from stemsplit.audio.encoding import FORMATS, depths
from stemsplit.audio.extensions import AUDIO_EXTENSIONS
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.provenance import Provenance
from stemsplit.jobs.request import SeparationRequest
from stemsplit.separation.base_separator import BaseSeparator
from stemsplit.service.answers import HANDLERS, answer_json
from stemsplit.service.choices import Choices
from stemsplit.service.endpoints import SongEndpoints
from stemsplit.service.errors import NoSuchSongError
from stemsplit.service.guard import Guard
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.openapi import make_document, make_page
from stemsplit.service.page_files import make_page_routes
from stemsplit.service.password import PasswordGate
from stemsplit.service.queue import SongQueue
from stemsplit.service.request import check_parameters


class Service:
    """The REST service and its page.

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
    address
        Where other devices of the network find the page; None if they cannot.
    """

    def __init__(
        self,
        queue: SongQueue,
        separator: BaseSeparator,
        defaults: SeparationRequest,
        limits: ServiceLimits,
        *,
        address: str | None = None,
    ) -> None:
        self._queue = queue
        self._limits = limits
        self._address = address
        choices = Choices.find(tuple(separator.models), defaults.models_dir)
        self._about = describe_service(separator, choices, limits) | {"address": address}
        self._songs = SongEndpoints(queue, choices, defaults, limits)

    def make_app(self, names: Collection[str] | None, password: str | None = None) -> ASGIApp:
        """Return the application.

        Parameters
        ----------
        names
            Those that it answers to, None for all.
        password
            What clients have to know; None where they need none.
        """
        routes = [*self._make_api_routes(), *make_page_routes()]
        app = Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=self._sweeping)
        return Guard(app if password is None else PasswordGate(app, password), names)

    def _make_api_routes(self) -> list[Route]:
        songs = self._songs
        addresses = [
            ("GET", "/api", self.about),
            ("GET", "/api/openapi.json", self.send_document),
            ("GET", "/api/docs", self.send_reference),
            ("GET", "/api/address.svg", self.send_address),
            ("POST", "/api/demo", songs.add_demo),
            ("GET", "/api/events", songs.send_events),
            ("GET", "/api/songs", songs.show_all),
            ("POST", "/api/songs", songs.add),
            ("GET", "/api/songs/{id}", songs.show),
            ("DELETE", "/api/songs/{id}", songs.remove),
            ("GET", "/api/songs/{id}/mix", songs.send_mix),
            ("GET", "/api/songs/{id}/preview", songs.send_preview),
            ("GET", "/api/songs/{id}/preview/original", songs.send_segment),
            ("GET", "/api/songs/{id}/preview/stems/{stem:path}", songs.send_segment),
            ("GET", "/api/songs/{id}/stems.zip", songs.send_all),
            ("GET", "/api/songs/{id}/stems/{stem:path}", songs.send_stem),
        ]
        return [Route(path, endpoint, methods=[method]) for method, path, endpoint in addresses]

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

    async def about(self, request: Request) -> Response:
        """Say what there is."""
        check_parameters(request.query_params.multi_items(), ())
        return answer_json(self._about)

    async def send_document(self, request: Request) -> Response:
        """Send the OpenAPI document."""
        check_parameters(request.query_params.multi_items(), ())
        return answer_json(make_document())

    async def send_reference(self, request: Request) -> Response:
        """Send the same for people."""
        check_parameters(request.query_params.multi_items(), ())
        return Response(make_page(), media_type="text/html", headers={"Cache-Control": "no-cache"})

    async def send_address(self, request: Request) -> Response:
        """Send the address of the page as a QR code."""
        check_parameters(request.query_params.multi_items(), ())
        if self._address is None:
            raise NoSuchSongError("no other device can reach this service; start it with --host 0.0.0.0")
        image = io.BytesIO()
        segno.make(self._address, error="m").save(image, kind="svg", scale=8, light="#fff")
        headers = {"Cache-Control": "no-store"}
        return Response(image.getvalue(), media_type="image/svg+xml", headers=headers)


def describe_service(separator: BaseSeparator, choices: Choices, limits: ServiceLimits) -> dict[str, Any]:
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
        "installed_models": choices.describe(),
        "presets": choices.presets,
        "device": made.device,
        "extensions": sorted(AUDIO_EXTENSIONS),
        "formats": {format: list(depths(format)) for format in FORMATS},
        "limits": {
            "max_bytes": limits.max_bytes,
            "max_waiting": limits.max_waiting,
            "keep_minutes": limits.keep_s / 60,
        },
    }
