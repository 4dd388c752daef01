"""Fetching models: from an address or a list, pinned, and whole or not at all."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemsplit.files import user_dirs
from stemsplit.registry.index import find_remote, list_remote
from stemsplit.registry.installed import read_model, resolve
from stemsplit.registry.store import Registry
from tests.support.cli import call, make_environment, make_song
from tests.support.external_graphs import write_wave_model
from tests.support.http_server import Behaviour, serve


@pytest.fixture
def told(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Behaviour:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Behaviour(tiny_model.read_bytes())


@pytest.fixture
def url(told: Behaviour) -> Iterator[str]:
    with serve(told) as address:
        yield address


@pytest.fixture
def pinned(told: Behaviour) -> str:
    return hashlib.sha256(told.body).hexdigest()


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_pinned_address_becomes_a_model(url: str, pinned: str) -> None:
    done = call("models", "pull", url, "--sha256", pinned, "--name", "mine")
    assert done.code == 0, done.stderr
    assert read_model(resolve("mine")).sha256 == pinned
    assert listed(Registry().folder) == ["mine"]


def test_nothing_comes_unpinned_unless_it_may(url: str, told: Behaviour) -> None:
    refused = call("models", "pull", url)
    assert refused.code == 2
    assert "nothing pins" in refused.stderr
    assert told.paths == []
    taken = call("models", "pull", url, "--allow-unpinned")
    assert taken.code == 0
    assert "accepted unchecked" in taken.stderr
    assert Registry().names() == ["tiny"]


def test_another_file_is_no_model(url: str) -> None:
    refused = call("models", "pull", url, "--sha256", "0" * 64)
    assert refused.code == 1
    assert "SHA-256" in refused.stderr
    assert Registry().names() == []


def test_a_call_after_a_cut_goes_on(url: str, told: Behaviour, pinned: str) -> None:
    told.cuts = [100, 0]
    assert call("models", "pull", url, "--sha256", pinned).code == 1
    assert Registry().names() == []
    assert call("models", "pull", url, "--sha256", pinned).code == 0
    assert told.ranges[-1] == "bytes=100-"


def test_two_calls_do_not_write_into_one_download(url: str, told: Behaviour, pinned: str) -> None:
    args = ["models", "pull", url, "--sha256", pinned]
    command = [sys.executable, "-m", "stemsplit", *args]
    with subprocess.Popen(command, env=make_environment(), stderr=subprocess.DEVNULL) as first:
        with told.closed:
            while not told.paths:
                assert first.poll() is None
                time.sleep(0.02)
            second = call(*args)
        assert first.wait() == 0
    assert second.code == 1 and "being fetched by another call" in second.stderr
    assert len(told.paths) == 1
    assert listed(Registry().folder) == ["tiny"]


def test_a_failed_call_leaves_an_empty_folder_empty(told: Behaviour, url: str, pinned: str) -> None:
    told.status = 404
    assert call("models", "pull", url, "--sha256", pinned).code == 1
    assert listed(Registry().folder) == []


def test_a_download_that_was_damaged_meanwhile_is_fetched_again(url: str, told: Behaviour) -> None:
    told.body = told.body[:-9]  # of the right hash, and no model
    cut = hashlib.sha256(told.body).hexdigest()
    assert call("models", "pull", url, "--sha256", cut).code == 1
    (kept,) = (Registry().folder / ".downloads").glob("*/*.onnx")
    kept.write_bytes(told.body[:100])
    told.paths.clear()
    call("models", "pull", url, "--sha256", cut)
    assert len(told.paths) == 1
    assert kept.read_bytes() == told.body


@pytest.mark.parametrize("name", ["a%00.onnx", "a%0A.onnx"])
def test_an_address_of_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    refused = call("models", "pull", f"http://127.0.0.1:9/{name}", "--allow-unpinned")
    assert refused.code == 2
    assert "name of a file, such as model.onnx" in refused.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_sees_how_much_has_come(url: str, told: Behaviour, pinned: str) -> None:
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "stemsplit", "models", "pull", url, "--sha256", pinned]
    done = subprocess.run(
        command, env=make_environment() | {"TERM": "xterm", "COLUMNS": "120"}, check=False, stderr=end
    )
    os.close(end)
    shown = os.read(terminal, 2**16).decode()
    os.close(terminal)
    assert done.returncode == 0 and Registry().names() == ["tiny"]
    assert Path(url).name in shown and f"{len(told.body) / 1000:.1f} kB" in shown


def test_offline_is_said_by_option_and_by_environment(
    url: str, told: Behaviour, pinned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("models", "pull", url, "--sha256", pinned, "--offline").code == 1
    monkeypatch.setenv("STEMSPLIT_OFFLINE", "1")
    refused = call("models", "pull", url, "--sha256", pinned)
    assert refused.code == 1
    assert "STEMSPLIT_OFFLINE" in refused.stderr
    assert told.paths == []


def test_a_name_of_the_list_becomes_a_model_that_runs(
    told: Behaviour, url: str, tmp_path: Path, own_folders: Path
) -> None:
    described = write_wave_model(tmp_path / "external")
    told.body = (tmp_path / "external" / "halves.onnx").read_bytes()
    pinned = hashlib.sha256(told.body).hexdigest()
    text = described.read_text(encoding="utf-8").replace('name = "halves"', "[halves]")
    text += f'urls = {{ "halves.onnx" = ["http://127.0.0.1:9/gone.onnx", "{url}"] }}\n'
    text += f'sha256 = {{ "halves.onnx" = "{pinned}" }}\n'
    (own_folders / "config").mkdir()
    (own_folders / "config" / "models.toml").write_text(text, encoding="utf-8")
    done = call("models", "pull", "halves", "--json")
    assert done.code == 0, done.stderr
    assert done.records[0]["commercial"] is False
    assert done.records[0]["source"] == "http://127.0.0.1:9/gone.onnx"
    song = make_song(tmp_path / "a.wav", seconds=0.2)
    assert call(song, "-m", "halves", "-o", tmp_path / "out", "-q").code == 0
    assert call("models", "pull", "halvs").code == 2
    again = call("models", "pull", "halves")
    assert again.code == 2
    assert "--overwrite" in again.stderr


def test_a_name_that_nothing_has_is_proposed() -> None:
    found = call("models", "pull", "htdemuks")
    assert found.code == 2
    assert (
        "neither your list nor the catalogue has a model 'htdemuks'; did you mean 'htdemucs'?" in found.stderr
    )


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = call("models", "pull", "umxhq", "--index", tmp_path / "none.toml")
    assert found.code == 2 and "none.toml does not exist" in found.stderr


def test_a_list_of_ones_own_overrides_the_catalogue(
    url: str, pinned: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(user_dirs, "config_folder", lambda: tmp_path)
    (tmp_path / "models.toml").write_text(f'[umxhq]\nurl = "{url}"\nsha256 = "{pinned}"\n', encoding="utf-8")
    assert find_remote("umxhq").files[0].urls == (url,)
    assert [each.name for each in list_remote()].count("umxhq") == 1


def test_a_list_that_contradicts_the_file_is_refused(url: str, pinned: str, tmp_path: Path) -> None:
    text = f'[x]\nurl = "{url}"\nsha256 = "{pinned}"\nlicence = "CC0-1.0"\n'
    (tmp_path / "list.toml").write_text(text, encoding="utf-8")
    refused = call("models", "pull", "x", "--index", tmp_path / "list.toml")
    assert refused.code == 1
    assert "says that licence is 'CC0-1.0', the file says 'MIT'" in refused.stderr
    assert Registry().names() == []


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('urls = { "../x.onnx" = "http://a/x.onnx" }', "leads out"),
        ('urls = { "/x.onnx" = "http://a/x.onnx" }', "leads out"),
        ('url = "http://a/x.onnx"\nsha256 = "12"', "no SHA-256"),
        (f'url = "http://a/x.onnx"\nsha256 = {{ "y.onnx" = "{64 * "0"}" }}', "sha256 names 'y.onnx'"),
        (
            f'urls = {{ "x.onnx" = "http://a/x.onnx" }}\nsha256 = {{ "x.onx" = "{64 * "0"}" }}',
            "names 'x.onx'",
        ),
        ('urls = { "x\\u0000.onnx" = "http://a/x.onnx" }', "leads out"),
        ('url = "http://a/x"', "name of a file, such as model.onnx"),
        ("url = 3", "url is 3; it must be text or a list"),
        ('licence = "MIT"', "say where"),
        ('url = "ftp://a/x.onnx"', "begins with https://"),
        ('url = "http://a/x.onnx"\nweird = 1', "name the files once"),
    ],
)
def test_a_wrong_entry_is_refused(entry: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text(f"[x]\n{entry}\n", encoding="utf-8")
    refused = call("models", "pull", "x", "--index", tmp_path / "list.toml", "--allow-unpinned")
    assert refused.code in {1, 2}
    assert reason in refused.stderr
    assert Registry().names() == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://[", "Invalid IPv6"),
        ("http://localhost:abc/x.onnx", "Port could not"),
        ("http://localhost:99999/x.onnx", "Port out of range"),
        ("http://exa mple/x.onnx", "holds ' '"),
        ("http://example/é.onnx", "holds 'é'"),
        ("http:///x.onnx", "names no server"),
        ("https://:443/x.onnx", "names no server"),
        ("ftp://example/x.onnx", "begins with https://"),
    ],
)
def test_what_is_no_address_is_a_mistake_in_the_call(address: str, reason: str, tmp_path: Path) -> None:
    refused = call("models", "pull", address, "--allow-unpinned")
    assert refused.code == 2
    assert f"{address}: " in refused.stderr and reason in refused.stderr
    text = f'[x]\nurls = {{ "x.onnx" = ["http://example/x.onnx", "{address}"] }}\n'
    (tmp_path / "list.toml").write_text(text, encoding="utf-8")
    refused = call("models", "pull", "x", "--index", tmp_path / "list.toml", "--allow-unpinned")
    assert refused.code == 2
    assert "list.toml: x: " in refused.stderr and reason in refused.stderr


@pytest.mark.parametrize("option", ["--max-size", "--timeout"])
@pytest.mark.parametrize("number", ["inf", "nan", "-1"])
def test_limits_out_of_range_are_refused(url: str, told: Behaviour, option: str, number: str) -> None:
    refused = call("models", "pull", url, "--allow-unpinned", option, number)
    assert refused.code == 2
    assert f"{option} is {number}" in refused.stderr
    assert told.paths == []


def test_a_kill_after_the_download_leaves_no_half_model(url: str, told: Behaviour, pinned: str) -> None:
    code = (
        "import os, sys; from stemsplit.registry import pull; from stemsplit.cli.app import app\n"
        "pull.add_model = lambda *_, **__: os._exit(9)\n"
        "app(sys.argv[1:])\n"
    )
    args = ["models", "pull", url, "--sha256", pinned]
    killed = subprocess.run(
        [sys.executable, "-c", code, *args], env=make_environment(), check=False, capture_output=True
    )
    assert killed.returncode == 9, killed.stderr
    assert Registry().names() == []
    assert call(*args).code == 0
    assert len(told.ranges) == 1
    assert listed(Registry().folder) == ["tiny"]
