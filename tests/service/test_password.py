"""The password: who knows it is let in, who guesses is stopped, and the page's shell is no secret."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")

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


@pytest.mark.parametrize("header", ["Basic !!", "Basic", "Digest x", "Bearer"])
def test_a_header_that_is_none_lets_nobody_in(client: TestClient, header: str) -> None:
    assert client.get("/api", headers={"Authorization": header}).status_code == 401


def test_who_guesses_is_stopped_for_a_minute(client: TestClient, clock: Clock) -> None:
    for _ in range(10):
        assert client.get("/", params={"key": "guess"}).status_code == 401
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
