"""Fetching a model of the catalogue where something is wrong with the network, the file or the disk.

Nothing is registered then, what has come stays for the next call, and the error says what to do. A stand-in
of two and a half megabytes takes the place of the model.
"""

import dataclasses
import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemsplit.registry import index
from stemsplit.registry.index import RemoteModel, find_in_catalogue
from stemsplit.registry.store import Registry
from tests.registry.test_catalogue import make_stand_in
from tests.support.cli import Call, call
from tests.support.http_server import Behaviour, serve

NAME = "UVR_MDXNET_KARA_2"
PADDING = 2_500_000


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    """The stand-in on a server, in the place of the catalogue's entry."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    remote = find_in_catalogue(NAME)
    assert remote is not None
    content = make_stand_in(NAME, (0.5,))
    # a field of the file's own metadata that holds random bytes: what comes does not get smaller on its way
    value = os.urandom(PADDING // 2).hex().encode()
    entry = b"\x0a\x01x\x12" + _varint(len(value)) + value
    behaviour = Behaviour(content + b"\x72" + _varint(len(entry)) + entry)
    with serve(behaviour) as url:
        file = dataclasses.replace(
            remote.files[0], urls=(url,), sha256=hashlib.sha256(behaviour.body).hexdigest()
        )
        local = dataclasses.replace(remote, files=(file,))
        monkeypatch.setattr(index, "find_in_catalogue", lambda _: local)
        yield behaviour


def _varint(number: int) -> bytes:
    digits = [number >> shift & 127 for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([digit | 128 for digit in digits[:-1]] + digits[-1:])


def pull(folder: Path) -> Call:
    return call("models", "pull", "kara_2", "--models-dir", folder)


def refuse(folder: Path, words: str) -> None:
    refused = pull(folder)
    assert refused.code == 1
    assert words in refused.stderr, refused.stderr
    assert Registry(folder).names() == []


def test_a_file_of_another_hash_is_thrown_away(served: Behaviour, tmp_path: Path) -> None:
    whole, served.body = served.body, served.body[:-1] + b"!"
    refuse(tmp_path, "it is damaged or another file, and was thrown away")
    assert list(tmp_path.rglob("*.onnx*")) == []
    served.body = whole
    assert pull(tmp_path).code == 0


def test_a_download_that_was_cut_goes_on(served: Behaviour, tmp_path: Path) -> None:
    served.cuts = [1_000_000, 0]
    refuse(tmp_path, "call again to go on from there")
    assert pull(tmp_path).code == 0
    assert served.ranges[-1] == "bytes=1000000-"
    assert Registry(tmp_path).names() == [NAME]


def test_a_full_disk_keeps_what_has_come(served: Behaviour, small_disk: Path) -> None:
    refuse(small_disk, "disk is full")
    (part,) = small_disk.rglob("*.part")
    n_bytes = part.stat().st_size
    assert 500_000 < n_bytes < PADDING
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert pull(small_disk).code == 0
    assert served.ranges[-1] == f"bytes={n_bytes}-"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_file_that_may_not_grow_says_so(served: Behaviour, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        refuse(tmp_path, "cannot be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert pull(tmp_path).code == 0


def test_a_folder_of_models_that_is_read_only(served: Behaviour, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refuse(small_disk, "read-only")
    assert served.paths == []  # nobody waits for a download that has no place


def test_no_network(served: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _move_to(monkeypatch, "http://127.0.0.1:9/model.onnx")
    refuse(tmp_path, "cannot be reached")
    _move_to(monkeypatch, "http://models.invalid/model.onnx")
    refuse(tmp_path, "cannot be reached")


def test_a_proxy(served: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (url,) = _find().files[0].urls
    _move_to(monkeypatch, "http://models.invalid/model.onnx")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    refuse(tmp_path, "cannot be reached")
    monkeypatch.setenv("http_proxy", url.removesuffix("/model.onnx"))
    done = pull(tmp_path)
    assert done.code == 0, done.stderr
    assert served.paths == ["http://models.invalid/model.onnx"]


def _find() -> RemoteModel:
    found = index.find_in_catalogue(NAME)
    assert found is not None
    return found


def _move_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let the entry have another address."""
    file = dataclasses.replace(_find().files[0], urls=(url,))
    moved = dataclasses.replace(_find(), files=(file,))
    monkeypatch.setattr(index, "find_in_catalogue", lambda _: moved)
