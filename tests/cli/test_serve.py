"""``stemsplit serve`` as it is typed: a process that serves, and leaves nothing when it is told to stop."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

pytest.importorskip("starlette")

from benchmarks.songs import EXAMPLE
from stemsplit.cli.certificate import make_certificate
from stemsplit.errors import AudioError
from stemsplit.service.temp_folder import PREFIX, private_folder
from tests.support.cli import call, make_command, make_environment, make_song
from tests.support.marks import mark_slow
from tests.support.service import read_audio
from tests.support.tiny_models import make_spec, write_model


@dataclass
class Server:
    """A process that serves at `address`, with its temporary files in `folder`."""

    process: "subprocess.Popen[str]"
    address: str
    folder: Path
    said: list[str]

    def ask(self, path: str, data: bytes | None = None, method: str | None = None) -> Any:
        """Send a request; return its answer."""
        request = urllib.request.Request(self.address + path, data, method=method)
        return urllib.request.urlopen(request, timeout=20)

    def ask_json(self, path: str, data: bytes | None = None) -> Any:
        """Send a request that is answered in JSON."""
        with self.ask(path, data) as response:
            return json.loads(response.read())

    def wait(self, song: dict[str, Any], status: str) -> dict[str, Any]:
        """Wait for a song to be as far as `status`."""
        end_s = time.monotonic() + 30
        while (said := self.ask_json(f"/api/songs/{song['id']}"))["status"] != status:
            assert time.monotonic() < end_s, said
            time.sleep(0.05)
        return dict(said)

    def stop(self, number: signal.Signals) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


@contextmanager
def serving(folder: Path, *args: object) -> Iterator[Server]:
    """Start the command at a free port."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        make_command(["serve", "--port", "0", "--device", "cpu", "--threads", "1", *args]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=make_environment() | {"TMPDIR": str(folder)},
    )
    assert process.stderr is not None
    said: list[str] = []
    try:
        address = None
        while address is None:
            line = process.stderr.readline()
            assert line, said
            said.append(line.rstrip())
            address = re.match(r"serving: (https?://\S+:[1-9]\d*)/", line)
        yield Server(process, address[1], folder, said)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_song_goes_up_and_its_stems_come_back(tmp_path: Path) -> None:
    with serving(tmp_path / "tmp") as server:
        assert server.address.startswith("http://127.0.0.1:")
        with server.ask("/") as page:
            assert b"<title>stemsplit</title>" in page.read()
        song = server.ask_json(
            "/api/songs?name=caesium.mp3&bits=32f&stems=vocals&residual=true", EXAMPLE.read_bytes()
        )
        (own,) = server.folder.glob(PREFIX + "*")
        assert own.stat().st_mode & 0o777 == 0o700
        done = server.wait(song, "done")
        stems = {}
        for stem, path in done["outputs"].items():
            with server.ask(path) as response:
                assert response.headers.get_filename() == f"caesium ({stem}).wav"
                stems[stem] = read_audio(response.read())
        assert list(stems) == ["vocals", "residual"]
        assert np.abs(sum(stems.values()) - read_audio(EXAMPLE.read_bytes())).max() < 1e-5
        assert server.stop(signal.SIGINT) == 130
        assert list(server.folder.iterdir()) == []
        out, err = server.process.communicate()
        assert (out, err) == ("", "")


@pytest.mark.parametrize(("number", "code"), [mark_slow((signal.SIGINT, 130)), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_song_and_leaves_nothing(
    tiny_model: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    song = make_song(tmp_path / "long.flac", seconds=120, n_channels=1).read_bytes()
    with serving(tmp_path / "tmp", "-m", tiny_model) as server:
        server.wait(server.ask_json("/api/songs?name=long.flac", song), "separating")
        assert list(server.folder.iterdir())
        assert server.stop(number) == code
        assert list(server.folder.iterdir()) == []
        assert server.process.communicate()[1] == ""


@pytest.mark.slow
def test_a_second_signal_leaves_nothing_either(tiny_model: Path, tmp_path: Path) -> None:
    song = make_song(tmp_path / "long.flac", seconds=300, n_channels=1).read_bytes()
    with serving(tmp_path / "tmp", "-m", tiny_model) as server:
        server.wait(server.ask_json("/api/songs?name=long.flac", song), "separating")
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)  # what is sent twice at once arrives once
        assert server.process.poll() is None
        assert server.stop(signal.SIGINT) == 130
        assert list(server.folder.iterdir()) == []


@pytest.mark.slow
def test_a_download_that_does_not_end_keeps_nobody(tiny_model: Path, tmp_path: Path) -> None:
    song = make_song(tmp_path / "a.wav", seconds=25).read_bytes()
    with serving(tmp_path / "tmp", "-m", tiny_model, "--device", "auto", "--quiet") as server:
        assert len(server.said) == 1
        done = server.wait(server.ask_json("/api/songs?stems=bass&bits=32f", song), "done")
        with server.ask(done["outputs"]["bass"]) as response:
            response.read(10)
            started_s = time.monotonic()
            assert server.stop(signal.SIGTERM) == 143
            assert time.monotonic() - started_s < 5
        assert list(server.folder.iterdir()) == []


@pytest.mark.slow
def test_the_device_that_was_chosen_and_the_licence_are_told(tmp_path: Path) -> None:
    model = write_model(tmp_path / "nc.onnx", make_spec(licence="CC-BY-NC-4.0"))
    with serving(tmp_path / "tmp", "-m", model, "--device", "auto") as server:
        assert server.said[0].startswith("licence: tiny (CC-BY-NC-4.0, no commercial use)")
        assert server.said[1].startswith("device: ")
        assert len(server.said) == 3


def open_wide(address: str, path: str, password: str | None, context: Any = None) -> Any:
    """Ask a service; one that other computers reach, under a name that it does not know."""
    headers = {} if "127.0.0.1" in address else {"Host": "studio.lan"}
    if password is not None:
        headers["Authorization"] = f"Bearer {password}"
    scheme, _, rest = address.partition("://")
    port = rest.rpartition(":")[2].partition("/")[0]
    request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}{path}", headers=headers)
    return urllib.request.urlopen(request, timeout=20, context=context)


def test_a_wide_host_needs_a_password_which_is_in_the_address(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "tmp", "-m", tiny_model, "--host", "0.0.0.0") as server:
        address, _, password = server.said[-1].split()[1].partition("?key=")
        assert len(password) >= 16
        assert server.process.stderr is not None
        assert "unencrypted" in server.process.stderr.readline()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            open_wide(address, "/api", None)
        with open_wide(address, "/api", password) as response:
            about = json.loads(response.read())
        assert about["address"] == f"{address}?key={password}"
        with open_wide(address, "/api/address.svg", password) as response:
            assert b"<svg" in response.read()


@pytest.mark.slow
def test_a_wide_host_without_a_password_is_warned_of(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "tmp", "-m", tiny_model, "--host", "0.0.0.0", "--insecure") as server:
        assert "?key=" not in server.said[-1]
        assert server.process.stderr is not None
        assert "without a password" in server.process.stderr.readline()
        with open_wide(server.said[-1].split()[1], "/api", None) as response:
            assert response.status == 200


@pytest.mark.slow
def test_the_service_can_be_encrypted(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "tmp", "-m", tiny_model, "--tls", "--password", "secret") as server:
        address = server.said[-1].split()[1]
        assert address.startswith("https://127.0.0.1:") and address.endswith("/?key=secret")
        (own,) = server.folder.glob(PREFIX + "*")
        context = ssl.create_default_context(cafile=str(own / "certificate.pem"))
        with open_wide(address, "/api", "secret", context) as response:
            assert json.loads(response.read())["address"] is None
        assert server.process.stderr is not None
        assert "certificate: SHA-256 " in server.process.stderr.readline()


@pytest.mark.slow
def test_a_certificate_of_ones_own_is_used(tiny_model: Path, tmp_path: Path) -> None:
    made = make_certificate(tmp_path, ["127.0.0.1"])
    with serving(tmp_path / "tmp", "-m", tiny_model, "--cert", made.certificate, "--key", made.key) as server:
        context = ssl.create_default_context(cafile=str(made.certificate))
        with open_wide(server.said[-1].split()[1], "/api", None, context) as response:
            assert response.status == 200


# what cannot be done


def test_a_port_in_use_is_1(tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = call("serve", "--port", port, "-m", tiny_model)
    assert refused.code == 1
    assert refused.stderr == (
        f"stemsplit: port {port} of 127.0.0.1 is in use; choose another with --port, or 0 for a free one\n"
    )


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--host", "no such host"], "'no such host' is unknown"),
        (["--host", "a..b"], "'a..b' is unknown"),
        (["--host", "192.0.2.1"], "not an address of this computer"),
        (["--device", "gpu"], "gpu"),
        (["--model", "no-such-model"], "there is no model 'no-such-model'"),
        (["--port", "65536"], "port"),
        (["--max-mb", "0"], "max-mb"),
        (["--keep-minutes", "0"], "keep-minutes"),
        (["--password", "x", "--insecure"], "exclude each other"),
        (["--password", ""], "--password is empty"),
        (["--cert", "a.pem"], "--cert and --key belong together"),
        (["--cert", "a.pem", "--key", "b.pem"], "a.pem"),
        (["song.mp3"], "song.mp3"),
    ],
)
def test_a_mistake_in_the_call_is_2(args: list[str], reason: str) -> None:
    refused = call("serve", "--port", "0", *args)
    assert refused.code == 2
    assert reason in refused.stderr


def test_a_missing_model_is_1(tmp_path: Path) -> None:
    refused = call("serve", "--port", "0", "-m", tmp_path / "gone.onnx")
    assert refused.code == 1
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "segno"])
def test_a_missing_extra_is_1_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr("stemsplit.cli.serve.find_spec", lambda name: None if name == missing else object())
    refused = call("serve", "--port", "0")
    assert refused.code == 1
    assert refused.stderr == (
        f"stemsplit: serve needs {missing}: pip install '.[serve]' (in your clone of stemsplit)\n"
    )


def test_help_says_who_is_let_in() -> None:
    text = " ".join(call("serve", "--help").text.split())
    assert "If other devices can reach it, as with --host 0.0.0.0, the service asks for a password" in text


# the folder


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that nobody else uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def make_leftover(temp: Path, name: str, *, age_s: float) -> Path:
    """A folder as a service leaves it that is killed."""
    folder = temp / (PREFIX + name)
    folder.mkdir()
    (folder / "alive").write_text("a file", encoding="utf-8")
    (folder / "song.mp3").touch()
    then_s = time.time() - age_s
    os.utime(folder / "alive", (then_s, then_s))
    return folder


def test_what_a_killed_service_left_is_removed(temp: Path) -> None:
    left, new = make_leftover(temp, "left", age_s=3600), make_leftover(temp, "new", age_s=1)
    other = temp / "other"
    other.mkdir()
    with private_folder() as own:
        assert not left.exists()
        assert new.exists() and other.exists() and own.exists()


@pytest.mark.slow
def test_a_killed_service_loses_nothing_that_it_had_taken(tiny_model: Path, tmp_path: Path) -> None:
    """One song is done, one is being separated, one waits, and then the service is killed."""
    folder = tmp_path / "tmp"
    long = make_song(tmp_path / "long.flac", seconds=120, n_channels=1).read_bytes()
    with serving(folder, "-m", tiny_model) as server:
        done = server.wait(server.ask_json("/api/songs?name=a.mp3&stems=bass", EXAMPLE.read_bytes()), "done")
        with server.ask(done["outputs"]["bass"]) as response:
            stem = response.read()
        busy = server.ask_json("/api/songs?name=b.flac", long)
        waiting = server.ask_json("/api/songs?name=c.mp3&karaoke=drums", EXAMPLE.read_bytes())
        server.wait(busy, "separating")
        server.process.kill()
        server.process.wait()
    (left,) = folder.iterdir()
    then_s = time.time() - 60
    os.utime(left / "alive", (then_s, then_s))
    with serving(folder, "-m", tiny_model) as server:
        assert not left.exists()
        again = server.ask_json(f"/api/songs/{done['id']}")
        assert (again["status"], again["input"], again["models"]) == ("done", "a.mp3", done["models"])
        with server.ask(done["outputs"]["bass"]) as response:
            assert response.read() == stem
        assert server.ask_json(f"/api/songs/{done['id']}/preview")["n_segments"] > 1
        assert server.wait(busy, "done")["input"] == "b.flac"
        assert list(server.wait(waiting, "done")["outputs"]) == ["drums", "no_drums"]
        assert server.stop(signal.SIGINT) == 130
        assert list(folder.iterdir()) == []


def test_what_a_running_service_needs_is_not_removed(temp: Path) -> None:
    folder = make_leftover(temp, "running", age_s=3600)
    with FileLock(folder / "alive"):
        then_s = time.time() - 3600
        os.utime(folder / "alive", (then_s, then_s))
        with private_folder():
            assert (folder / "song.mp3").exists()


def test_a_link_is_not_followed(temp: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = make_leftover(tmp_path_factory.mktemp("home"), "x", age_s=3600)
    (temp / (PREFIX + "link")).symlink_to(target)
    with private_folder():
        assert (target / "song.mp3").exists()
        assert (target / "alive").read_text(encoding="utf-8") == "a file"


def test_a_folder_goes_also_when_something_fails(temp: Path) -> None:
    with pytest.raises(AudioError), private_folder() as own:
        (own / "song").touch()
        raise AudioError("no")
    assert not own.exists()
