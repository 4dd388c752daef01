"""The password: who knows it is let in, who guesses is stopped, and the page's shell is no secret."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from stemsplit.service.password import PasswordGate, make_password
from tests.support.service import HOST, Clock, Running, running

PASSWORD = "correct horse/+ü"


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Any service."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        yield service


@pytest.fixture
def clock() -> Clock:
    """A time of its own."""
    return Clock()


@pytest.fixture
def client(service: Running, clock: Clock) -> TestClient:
    """A client that knows nothing yet."""
    app = PasswordGate(service.app, PASSWORD, clock)
    return TestClient(app, base_url=f"http://{HOST}", follow_redirects=False)


@pytest.mark.parametrize("path", ["/api", "/api/songs", "/api/songs/x/stems/bass", "/api/address.svg"])
def test_nothing_is_told_without_the_password(client: TestClient, path: str) -> None:
    refused = client.get(path)
    assert (refused.status_code, refused.json()["error_type"]) == (401, "PasswordError")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert client.post("/api/songs", content=b"x").status_code == 401


def test_the_page_asks_for_it(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 401
    assert 'type="password"' in page.text and 'name="key"' in page.text
    for path in ("/page/style.css", "/page/login.js", "/page/texts.json", "/service-worker.js"):
        assert client.get(path).status_code == 200


def test_the_address_lets_in_and_the_password_leaves_it(client: TestClient) -> None:
    answer = client.get("/", params={"key": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert PASSWORD not in cookie
    assert client.get("/").status_code == client.get("/api").status_code == 200


def test_programs_send_it_in_a_header(client: TestClient) -> None:
    plain = {"Authorization": "Bearer secret"}
    assert client.get("/api", headers=plain).status_code == 401
    assert client.get("/api", auth=("", PASSWORD)).status_code == 200
    assert client.get("/api", auth=("anybody", PASSWORD)).status_code == 200


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_may_come_in_both_encodings_of_headers(encoding: str) -> None:
    """curl sends what the terminal has, UTF-8; Python's libraries send Latin-1."""
    bearer = f"Bearer {PASSWORD}".encode(encoding)
    basic = b"Basic " + base64.b64encode(f"x:{PASSWORD}".encode(encoding))
    for header in (bearer, basic):
        assert ask(header, PASSWORD) == 200
        assert ask(header[:-4], PASSWORD) == 401


def test_a_password_beyond_latin_1_is_taken() -> None:
    assert ask("Bearer 密码".encode(), "密码") == 200
    assert ask(b"Bearer ??", "密码") == 401


def ask(authorization: bytes, password: str) -> int:
    """Return the status that a gate answers with; the bytes of the header are sent as they are."""
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    gate = PasswordGate(PlainTextResponse("in"), password)
    scope = {"type": "http", "method": "GET", "path": "/api", "query_string": b""}
    asyncio.run(gate(scope | {"headers": [(b"authorization", authorization)]}, receive, send))
    return int(messages[0]["status"])


@pytest.mark.parametrize("header", [b"Basic !!", b"Basic", b"Basic \xe4", b"Digest x", b"Bearer", b"\xff"])
def test_a_header_that_is_none_lets_nobody_in(header: bytes) -> None:
    assert ask(header, PASSWORD) == 401


def test_who_guesses_is_stopped_for_a_minute(client: TestClient, clock: Clock) -> None:
    for _ in range(10):
        assert client.get("/", params={"key": "guess"}).status_code == 401
    assert 'data-error="PasswordError"' in client.get("/").text
    assert 'data-error="TooManyAttemptsError"' in client.get("/", params={"key": PASSWORD}).text
    stopped = client.get("/api", auth=("", PASSWORD))
    assert (stopped.status_code, stopped.headers["retry-after"]) == (429, "60")
    clock.now_s = 61
    assert client.get("/api", auth=("", PASSWORD)).status_code == 200


def test_who_is_in_is_not_stopped_by_others(client: TestClient) -> None:
    client.get("/", params={"key": PASSWORD})
    cookies = dict(client.cookies)
    client.cookies.clear()
    for _ in range(10):
        client.get("/", params={"key": "guess"})
    client.cookies.update(cookies)
    assert client.get("/api").status_code == 200


def test_random_passwords_differ() -> None:
    made = {make_password() for _ in range(100)}
    assert len(made) == 100 and all(len(password) >= 16 for password in made)
