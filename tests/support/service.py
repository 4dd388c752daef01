"""A service to be tested: with a tiny model, in this process, and a gate that holds its worker."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import soundfile
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from stemsplit.jobs.request import SeparationRequest
from stemsplit.service.app import Service
from stemsplit.service.limits import ServiceLimits
from stemsplit.service.queue import SongQueue
from stemsplit.service.worker import Separators, Worker, _Progress
from stemsplit.types import FloatArray
from tests.conftest import make_noise

HOST = "localhost:8000"


@dataclass
class Clock:
    """A time that passes when it is told to."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Running:
    """A service that runs, seen from outside and from inside."""

    client: TestClient
    app: ASGIApp
    folder: Path
    queue: SongQueue
    clock: Clock = field(default_factory=Clock)

    def upload(self, data: bytes, **parameters: str) -> dict[str, Any]:
        """Upload a song; return what is said of it."""
        response = self.client.post("/api/songs", params=parameters, content=data)
        assert response.status_code == 202, response.text
        return dict(response.json())

    def wait(self, song: dict[str, Any], *statuses: str) -> dict[str, Any]:
        """Wait until a song is over, or in one of `statuses`; return what is said of it."""
        end_s = time.monotonic() + 120
        while (said := self.client.get(f"/api/songs/{song['id']}").json())["status"] not in (
            statuses or ("done", "failed")
        ):
            assert time.monotonic() < end_s, said
            time.sleep(0.01)
        return dict(said)

    def separate(self, data: bytes, **parameters: str) -> dict[str, Any]:
        """Upload a song and wait for its end."""
        return self.wait(self.upload(data, **parameters))

    @property
    def songs(self) -> list[str]:
        """The folders of songs that are there."""
        return sorted(path.name for path in self.folder.iterdir())


@contextmanager
def running(
    model: Path, folder: Path, *, limits: ServiceLimits | None = None, names: set[str] | None = None
) -> Iterator[Running]:
    """Run a service in `folder`."""
    limits = limits or ServiceLimits()
    folder.mkdir(exist_ok=True)
    clock = Clock()
    queue = SongQueue(folder, max_waiting=limits.max_waiting, keep_s=limits.keep_s, clock=clock)
    request = SeparationRequest(device="cpu", models=(str(model),), threads=1)
    separators = Separators()
    app = Service(queue, separators.open(request), request, limits).make_app(names)
    with (
        Worker(queue, separators),
        TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False) as client,
    ):
        yield Running(client, app, folder, queue, clock)


class Gate:
    """Holds the worker after the first block of a song, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        advance = _Progress.advance

        def advance_and_wait(progress: _Progress, job: Any, n_samples: int) -> None:
            advance(progress, job, n_samples)
            assert self._open.wait(20)

        monkeypatch.setattr(_Progress, "advance", advance_and_wait)

    def open(self) -> None:
        """Let all songs pass from now on."""
        self._open.set()


def make_wav(seconds: float = 0.5, *, n_channels: int = 2, seed: int = 0) -> bytes:
    """Noise as a wav, in bytes."""
    file = io.BytesIO()
    noise = make_noise(n_channels, round(seconds * 44100), seed=seed)
    soundfile.write(file, noise.T, 44100, format="WAV", subtype="PCM_16")
    return file.getvalue()


def read_audio(data: bytes) -> FloatArray:
    """Samples of a file in bytes, ``(samples, channels)``."""
    samples: FloatArray = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]
    return samples


WAV = make_wav()


def is_error(response: Any, status: int, kind: str, *words: str) -> bool:
    """Tell whether a request was refused as it should be."""
    said = response.json()
    assert (response.status_code, said["error_type"]) == (status, kind), response.text
    assert all(word in said["error"] for word in words), said
    return set(said) == {"error", "error_type"}
