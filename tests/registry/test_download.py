"""Downloads from a real server with the faults of real servers."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemsplit.errors import DownloadError, OutputError, SettingsError
from stemsplit.registry import download
from stemsplit.registry.download import DownloadLimits, fetch
from tests.support.http_server import Behaviour, serve

BODY = bytes(range(256)) * 400
SHA256 = hashlib.sha256(BODY).hexdigest()
LIMITS = DownloadLimits(timeout_s=5)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def told() -> Behaviour:
    return Behaviour(BODY)


@pytest.fixture
def url(told: Behaviour) -> Iterator[str]:
    with serve(told) as address:
        yield address


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole(url: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(
        url, tmp_path / "m", sha256=SHA256.upper(), limits=LIMITS, progress=lambda *state: seen.append(state)
    )
    assert (tmp_path / "m").read_bytes() == BODY
    assert names(tmp_path) == ["m"]
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_cut_is_mended_from_where_it_was(url: str, told: Behaviour, tmp_path: Path) -> None:
    told.cuts = [1000, 500]
    fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert (tmp_path / "m").read_bytes() == BODY
    assert told.ranges == [None, "bytes=1000-", "bytes=1500-"]


def test_a_server_that_always_cuts_leaves_what_came_for_the_next_call(
    url: str, told: Behaviour, tmp_path: Path
) -> None:
    told.cuts = [1000, 0]
    with pytest.raises(DownloadError, match="call again"):
        fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert names(tmp_path) == ["m.from", "m.part"]
    fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert told.ranges[-1] == "bytes=1000-"
    assert names(tmp_path) == ["m"]
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_begun_anew(url: str, told: Behaviour, tmp_path: Path) -> None:
    told.cuts = [1000, 0]
    with pytest.raises(DownloadError):
        fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    told.body, told.etag = BODY[::-1], '"two"'
    fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    assert (tmp_path / "m").read_bytes() == BODY[::-1]


def test_a_server_without_ranges_is_begun_anew(url: str, told: Behaviour, tmp_path: Path) -> None:
    told.knows_ranges = False
    told.cuts = [1000]
    fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert told.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "m").read_bytes() == BODY


def test_nothing_tells_whether_parts_fit_so_it_is_begun_anew(
    url: str, told: Behaviour, tmp_path: Path
) -> None:
    told.etag = ""
    told.cuts = [1000]
    fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    assert told.ranges == [None, None]
    assert (tmp_path / "m").read_bytes() == BODY


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_call_that_was_killed_at_the_end_goes_on_there(
    sha256: str | None, url: str, told: Behaviour, tmp_path: Path
) -> None:
    (tmp_path / "m.part").write_bytes(BODY)
    (tmp_path / "m.from").write_text(told.etag, encoding="ascii")
    fetch(url, tmp_path / "m", sha256=sha256, limits=LIMITS)
    assert (tmp_path / "m").read_bytes() == BODY
    assert told.ranges == [f"bytes={len(BODY)}-"]
    assert names(tmp_path) == ["m"]


def test_more_than_the_server_has_is_thrown_away(url: str, tmp_path: Path) -> None:
    (tmp_path / "m.part").write_bytes(BODY + b"x")
    with pytest.raises(DownloadError, match="thrown away; call again"):
        fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_length_of_endless_digits_is_no_length(url: str, told: Behaviour, tmp_path: Path) -> None:
    told.length = 5000 * "9"
    fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert (tmp_path / "m").read_bytes() == BODY


def test_the_part_of_an_old_file_is_never_taken_for_one_of_the_new(
    url: str, told: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.cuts = [1000, 0]
    with pytest.raises(DownloadError, match="cut off"):
        fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    told.body, told.etag = BODY[::-1], '"two"'
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", _fail_to_open)
        with pytest.raises(OutputError, match="disk is full"):
            fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    assert (tmp_path / "m").read_bytes() == BODY[::-1]


def _fail_to_open(path: Path, mode: str = "r", *rest: object, **named: object) -> object:
    if path.suffix == ".part":
        raise OSError(28, "No space left on device")
    return open(path, mode, *rest, **named)  # type: ignore[call-overload]  # noqa: PTH123 - it stands for that


def test_another_file_is_refused_and_not_kept(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"SHA-256 is {SHA256}, not 0000"):
        fetch(url, tmp_path / "m", sha256="0" * 64, limits=LIMITS)
    assert names(tmp_path) == []


@pytest.mark.parametrize("pause_s", [0.05, 20.0])
def test_a_server_that_falls_asleep_is_given_up(
    url: str, told: Behaviour, tmp_path: Path, pause_s: float
) -> None:
    told.pause_s = pause_s
    with pytest.raises(DownloadError, match=r"nothing came for 0\.3 s"):
        fetch(url, tmp_path / "m", sha256=SHA256, limits=DownloadLimits(timeout_s=0.3))
    assert "m" not in names(tmp_path)


def test_an_endless_body_is_given_up(url: str, told: Behaviour, tmp_path: Path) -> None:
    told.endless = True
    with pytest.raises(DownloadError, match="does not end"):
        fetch(url, tmp_path / "m", sha256=None, limits=DownloadLimits(max_bytes=10**6, timeout_s=5))
    assert names(tmp_path) == []


def test_a_body_that_announces_too_much_is_not_begun(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"has {len(BODY)} bytes; 1000 are allowed"):
        fetch(url, tmp_path / "m", sha256=None, limits=DownloadLimits(max_bytes=1000, timeout_s=5))
    assert names(tmp_path) == []


def test_a_body_without_a_length_is_fine(url: str, told: Behaviour, tmp_path: Path) -> None:
    told.says_length = False
    fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert (tmp_path / "m").read_bytes() == BODY


def test_a_redirect_is_followed(url: str, told: Behaviour, tmp_path: Path) -> None:
    told.redirect = "/moved.onnx"
    fetch(url, tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert told.paths == ["/model.onnx", "/moved.onnx"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_to_elsewhere_is_refused(url: str, told: Behaviour, tmp_path: Path, target: str) -> None:
    told.redirect = target
    with pytest.raises(DownloadError, match=r"not safe|302"):
        fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    assert names(tmp_path) == []


@pytest.mark.parametrize("target", ["http://[", "http://localhost:abc/x", "http://a..b/x"])
def test_a_redirect_to_no_address_is_not_called_a_cut(
    url: str, told: Behaviour, tmp_path: Path, target: str
) -> None:
    told.redirect = target
    with pytest.raises(DownloadError, match="what is no address"):
        fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -1, 1e300], ids=str)
def test_limits_are_numbers_that_can_be_kept(number: float) -> None:
    with pytest.raises(SettingsError, match="--max-size"):
        DownloadLimits(max_bytes=number)
    with pytest.raises(SettingsError, match="--timeout"):
        DownloadLimits(timeout_s=number)


def test_a_proxy_of_the_environment_is_asked(
    url: str, told: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", url.removesuffix("/model.onnx"))
    monkeypatch.delenv("no_proxy", raising=False)
    fetch("http://models.invalid/a.onnx", tmp_path / "m", sha256=SHA256, limits=LIMITS)
    assert told.paths == ["http://models.invalid/a.onnx"]


@pytest.mark.parametrize("status", [404, 500])
def test_what_the_server_says_is_said(url: str, told: Behaviour, tmp_path: Path, status: int) -> None:
    told.status = status
    with pytest.raises(DownloadError, match=f"server says {status}"):
        fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)


def test_no_server_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/a.onnx", tmp_path / "m", sha256=None, limits=LIMITS)


def test_offline_asks_nobody(url: str, told: Behaviour, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="--offline"):
        fetch(url, tmp_path / "m", sha256=None, limits=DownloadLimits(offline=True))
    assert told.paths == []


def test_a_file_on_the_disk_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "a b.onnx").write_bytes(BODY)
    where = (tmp_path / "a b.onnx").as_uri()
    fetch(where, tmp_path / "m", sha256=SHA256, limits=DownloadLimits(offline=True))
    assert (tmp_path / "m").read_bytes() == BODY
    with pytest.raises(DownloadError, match="cannot be re"):
        fetch((tmp_path / "gone.onnx").as_uri(), tmp_path / "n", sha256=None, limits=LIMITS)


@pytest.mark.parametrize("address", ["ftp://x/a.onnx", "data:text/plain,x", "gopher://x/a.onnx"])
def test_other_addresses_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="begins with https://"):
        fetch(address, tmp_path / "m", sha256=None, limits=LIMITS)


def test_a_full_disk_says_so(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download._Download, "_check_size", fail)
    with pytest.raises(OutputError, match="disk is full"):
        fetch(url, tmp_path / "m", sha256=None, limits=LIMITS)
    assert "m" not in names(tmp_path)
