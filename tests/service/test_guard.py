"""Who is answered, and what browsers are told: other sites are kept out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from stemsplit.cli.door import find_names, is_local, listen
from stemsplit.errors import StemsplitError
from stemsplit.service.guard import LOCAL_NAMES
from tests.support.service import HOST, Running, make_wav, running


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that answers to this computer's names only."""
    with running(
        tiny_model, tmp_path_factory.mktemp("serve") / "songs", names={*LOCAL_NAMES, "box.local"}
    ) as service:
        yield service


@pytest.mark.parametrize(
    "host", ["localhost:8000", "LOCALHOST", "127.0.0.1:1", "[::1]:8000", "box.local:8000"]
)
def test_names_of_this_computer_are_answered(service: Running, host: str) -> None:
    assert service.client.get("/api", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "localhost.evil.example",
        "evil@localhost",
        "localhost:8000@evil",
        "",
        "[::1",
        "192.168.0.1",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api", "/api/songs/x"])
def test_other_names_are_refused(service: Running, host: str, path: str) -> None:
    """A site that makes its own name lead here (DNS rebinding) sends that name."""
    refused = service.client.get(path, headers={"Host": host})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "ForeignHostError")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:3000",
        "http://localhost",
        "http://localhost:8000.evil.example",
        "http://[",
        "http://[::1]:x]",
    ],
)
def test_no_other_site_changes_anything(service: Running, origin: str) -> None:
    before = service.songs
    headers = {"Host": HOST, "Origin": origin}
    for method, path in (("POST", "/api/songs"), ("DELETE", "/api/songs/x")):
        refused = service.client.request(method, path, headers=headers, content=b"x")
        assert (refused.status_code, refused.json()["error_type"]) == (403, "ForeignOriginError")
    assert service.songs == before


def test_the_page_itself_may(service: Running) -> None:
    headers = {"Host": HOST, "Origin": f"http://{HOST}"}
    assert service.client.post("/api/songs", headers=headers, content=make_wav()).status_code == 202
    assert service.client.delete("/api/songs/x", headers=headers).status_code == 404


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/api", "/api/songs/x", "/nowhere"])
def test_browsers_are_told_what_the_page_may(service: Running, path: str) -> None:
    headers = service.client.get(path).headers
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_a_refusal_has_the_headers_too(service: Running) -> None:
    refused = service.client.get("/", headers={"Host": "evil.example"})
    assert refused.headers["x-content-type-options"] == "nosniff"


def test_only_a_service_of_this_computer_is_particular_about_its_name() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert is_local(listener)
        assert find_names(listener, "127.0.0.1") == LOCAL_NAMES
    with listen("0.0.0.0", 0) as listener:
        assert not is_local(listener)
        assert find_names(listener, "0.0.0.0") is None


def test_the_name_that_was_given_is_answered() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert "box.local" in (find_names(listener, "box.local") or ())


def test_the_other_loopback_is_local() -> None:
    try:
        listener = listen("::1", 0)
    except StemsplitError:
        pytest.skip("no IPv6")
    with listener:
        assert is_local(listener)
