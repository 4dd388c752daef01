"""The page: whole, from this service alone, and careful with names."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from tests.support.service import Running, running

FOLDER = Path(str(files("stemsplit.service")))
HTML, SCRIPT, STYLE = (
    (FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "js", "css")
)


class _Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(HTML)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep one."""
        self.found.append((tag, dict(attrs)))


TAGS = _Tags().found


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Any service."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        yield service


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/", "page.html", "text/html; charset=utf-8"),
        ("/page.js", "page.js", "text/javascript; charset=utf-8"),
        ("/page.css", "page.css", "text/css; charset=utf-8"),
    ],
)
def test_the_page_is_served(service: Running, path: str, name: str, kind: str) -> None:
    response = service.client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert response.content == (FOLDER / name).read_bytes()


def test_everything_comes_from_the_service(service: Running) -> None:
    links = [attrs[key] for _, attrs in TAGS for key in ("src", "href") if attrs.get(key)]
    assert "/page.js" in links and "/page.css" in links
    for link in links:
        assert link == "data:," or service.client.get(str(link)).status_code == 200
    assert not re.search(
        r"https?://|//\w|@import|url\(", STYLE + re.sub(r"^\s*//.*$", "", SCRIPT, flags=re.M)
    )


def test_the_policy_for_scripts_and_styles_is_kept() -> None:
    assert not [attrs for tag, attrs in TAGS if tag == "style" or "style" in attrs]
    assert not [name for _, attrs in TAGS for name in attrs if name.startswith("on")]
    assert all("src" in attrs for tag, attrs in TAGS if tag == "script")
    assert not re.search(r"\beval\b|\bFunction\(|\.style\b|setAttribute\(\"(style|on)", SCRIPT)


def test_names_are_text_and_never_html() -> None:
    assert "textContent" in SCRIPT
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser", SCRIPT)


def test_the_script_finds_what_it_looks_for() -> None:
    ids = {attrs["id"] for _, attrs in TAGS if "id" in attrs}
    wanted = set(re.findall(r'byId\("([\w-]+)"\)', SCRIPT))
    assert wanted and wanted <= ids
    classes = {name for _, attrs in TAGS for name in (attrs.get("class") or "").split()}
    assert set(re.findall(r'querySelector\("\.([\w-]+)"\)', SCRIPT)) <= classes


def test_every_control_has_a_label() -> None:
    labelled = re.findall(r"<label.*?</label>", HTML, flags=re.DOTALL)
    controls = [attrs["id"] for tag, attrs in TAGS if tag in ("input", "select")]
    assert controls
    for control in controls:
        assert any(f'id="{control}"' in label for label in labelled), control
    assert 'lang="en"' in HTML and "viewport" in HTML and 'aria-live="polite"' in HTML


def test_the_script_can_be_read() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    check = subprocess.run([node, "--check", FOLDER / "page.js"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr
