"""`stemsplit.client` against a service that listens."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette")

from stemsplit.client import Client, ServiceError
from stemsplit.errors import AudioError, OutputError
from stemsplit.service.password import PasswordGate
from tests.support.browser import listening
from tests.support.cli import STEMS
from tests.support.service import Running, make_wav, read_audio, running

PASSWORD = "a b/+ü密"


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Any service."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        yield service


@pytest.fixture(scope="module")
def address(service: Running) -> Iterator[str]:
    """Where it listens, with its password."""
    with listening(PasswordGate(service.app, PASSWORD)) as address:
        yield f"{address}/?key=a%20b%2F%2B%C3%BC%E5%AF%86"


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """A client of it."""
    with Client(address) as client:
        yield client


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A song to upload."""
    path = tmp_path / "Été.wav"
    path.write_bytes(make_wav())
    return path


def test_a_song_is_separated_and_saved(client: Client, song: Path, tmp_path: Path) -> None:
    done = client.separate(song, stems=["bass"], residual=True, bits="32f")
    assert (done.status, done.stems, done.progress) == ("done", ("bass", "residual"), 1.0)
    assert done.details["input"] == "Été.wav"
    stems = [read_audio(done.save(stem, tmp_path / f"{stem}.wav").read_bytes()) for stem in done.stems]
    assert np.abs(sum(stems) - read_audio(song.read_bytes())).max() < 1e-6
    mix = done.save_mix(tmp_path / "mix.wav", stems=["bass"], gains_db={"bass": -6}, bits="32f")
    assert np.abs(read_audio(mix.read_bytes()) - stems[0] * 10 ** (-6 / 20)).max() < 1e-6
    assert done.save("bass", tmp_path / "bass.flac", format="flac").read_bytes().startswith(b"fLaC")
    assert [each.id for each in client.songs()] == [done.id]
    done.remove()
    assert client.songs() == []
    assert client.separate(song, start_s=0.1, end_s=0.3).details["duration_s"] == pytest.approx(0.2)


def test_progress_is_followed(client: Client, song: Path) -> None:
    uploaded = client.upload(song)
    seen = list(client.follow(uploaded))
    assert seen[-1].status == "done"
    assert client.wait(uploaded).status == "done"


def test_what_is_offered_is_told(client: Client) -> None:
    assert client.about()["stems"] == list(STEMS)


def test_a_refusal_is_an_error_with_its_status(client: Client, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no song")
    with pytest.raises(ServiceError, match=r"notes\.txt") as refused:
        client.upload(text)
    assert (refused.value.status, refused.value.kind) == (422, "AudioError")
    with pytest.raises(ServiceError) as missing:
        client.song("x")
    assert missing.value.status == 404


def test_a_wrong_password_is_refused(address: str) -> None:
    with (
        Client(address.partition("?")[0], password="guess") as client,
        pytest.raises(ServiceError) as refused,
    ):
        client.about()
    assert (refused.value.status, refused.value.kind) == (401, "PasswordError")


def test_a_service_that_is_away_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(ServiceError, match="cannot be reached"):
        client.about()


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000,
        b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_an_error_and_no_file(tmp_path: Path, answer: bytes) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n" + answer) as address, Client(address) as client:
        with pytest.raises(ServiceError, match="breaks off") as broken:
            client.save("/api/songs/x/stems/bass", tmp_path / "bass.wav", {})
        assert broken.value.status is None
        with pytest.raises(ServiceError, match="breaks off"):
            client.about()
    assert list(tmp_path.iterdir()) == []


def test_events_that_break_off_are_an_error(client: Client, song: Path) -> None:
    uploaded = client.upload(song)
    answer = b"HTTP/1.1 200 OK\r\n\r\nevent: song\ndata: %s\n\n" % json.dumps(uploaded.details).encode()
    with answering(answer) as address, Client(address) as other:
        events = other.follow(uploaded)
        assert next(events).id == uploaded.id
        with pytest.raises(ServiceError, match="breaks off"):
            next(events)
    client.wait(uploaded)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\n[1]",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 30\r\n\r\n{",
        b"SSH-2.0\r\n",
    ],
)
def test_what_is_no_service_is_an_error(answer: bytes) -> None:
    with answering(answer) as address, Client(address) as client, pytest.raises(ServiceError):
        client.about()


def test_a_download_that_cannot_be_written_is_an_error(client: Client, song: Path, tmp_path: Path) -> None:
    done = client.separate(song, stems=["bass"])
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken: cannot be written: there is a folder of this name"):
        done.save("bass", tmp_path / "taken")


def test_a_song_that_cannot_be_read_is_not_uploaded(client: Client, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nowhere\.wav: .*; check the name"):
        client.upload(tmp_path / "nowhere.wav")


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that sends `answer` to whoever asks, and hangs up."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_upload_that_breaks_off_is_sent_again(song: Path, service: Running) -> None:
    """The first connection is cut after the song has been taken."""
    with listening(service.app) as address, cutting(address) as cut, Client(cut) as client:
        uploaded = client.upload(song)
        assert [each.id for each in client.songs()] == [uploaded.id]


class cutting:  # noqa: N801 - used like a function
    """A relay to `address` that cuts its first connection when the answer comes."""

    def __init__(self, address: str) -> None:
        self._target = ("127.0.0.1", int(address.rpartition(":")[2]))
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> str:
        self._start(self._accept)
        return f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, run: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=run, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = self._sockets[0].accept()[0], socket.create_connection(self._target)
                is_first = len(self._sockets) == 1
                self._sockets += [near, far]
                self._start(self._copy, near, far)
                if is_first:
                    far.recv(1)
                    near.shutdown(socket.SHUT_RDWR)
                else:
                    self._start(self._copy, far, near)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
