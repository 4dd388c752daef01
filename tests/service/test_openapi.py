"""The OpenAPI document: valid, and about what there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("openapi_spec_validator")

import openapi_spec_validator

from stemsplit.service.openapi import OPERATIONS, make_document
from stemsplit.service.request import MIX_PARAMETERS, PARAMETERS
from tests.support.service import Running, make_wav, running


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Any service."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        yield service


def test_it_is_valid(service: Running) -> None:
    document = service.client.get("/api/openapi.json").json()
    openapi_spec_validator.validate(document)
    assert document == make_document()


def test_it_has_every_address_and_no_other(service: Running) -> None:
    starlette: Any = service.app._app  # type: ignore[attr-defined]
    routes = {
        (method.lower(), route.path.replace(":path", ""))
        for route in starlette.routes
        if route.path.startswith("/api")
        for method in route.methods - {"HEAD"}
    }
    assert {(operation.method, operation.path) for operation in OPERATIONS} == routes


def test_every_parameter_is_understood_and_no_other(service: Running) -> None:
    song = service.separate(make_wav())
    for operation in OPERATIONS:
        if operation.method != "get":
            continue
        path = operation.path.replace("{id}", song["id"]).replace("{stem}", "bass")
        refused = service.client.get(path, params={"nonsense": "1"})
        assert refused.status_code == 400, path
        known = re.findall(r"there are: (.*)", refused.json()["error"])[0]
        assert known == (", ".join(operation.parameters) or "none"), path
    takes = {operation.path: tuple(operation.parameters) for operation in OPERATIONS}
    assert takes["/api/songs/{id}/mix"] == MIX_PARAMETERS
    posts = [operation for operation in OPERATIONS if operation.method == "post"]
    assert all(tuple(operation.parameters) == PARAMETERS for operation in posts)


def test_people_can_read_it(service: Running) -> None:
    page = service.client.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    for operation in OPERATIONS:
        assert f"{operation.method.upper()} {operation.path}" in page.text
