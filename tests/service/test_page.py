"""The files of the page: whole, from this service alone, careful with names, in five languages."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from stemsplit.service.page_files import page_folder
from tests.support.scripts import run_script
from tests.support.service import Running, running

FOLDER = Path(str(page_folder()))
HTML = (FOLDER / "index.html").read_text(encoding="utf-8")
STYLE = (FOLDER / "style.css").read_text(encoding="utf-8")
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.js"))}
LOGIN = (FOLDER / "login.html").read_text(encoding="utf-8")
SCRIPT = "\n".join(SCRIPTS.values())
TABLE = json.loads((FOLDER / "texts.json").read_text(encoding="utf-8"))


class _Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, html: str = HTML) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep one."""
        self.found.append((tag, dict(attrs)))


TAGS = _Tags().found
KEYS = ("data-text", "data-label")  # attributes that name a text


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Any service."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        yield service


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/page/app.js", "app.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "style.css", "text/css; charset=utf-8"),
        ("/page/mark.svg", "mark.svg", "image/svg+xml"),
        ("/page/manifest.webmanifest", "manifest.webmanifest", "application/manifest+json"),
        ("/service-worker.js", "service-worker.js", "text/javascript; charset=utf-8"),
    ],
)
def test_the_page_is_served(service: Running, path: str, name: str, kind: str) -> None:
    response = service.client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert response.content == (FOLDER / name).read_bytes()
    again = service.client.get(path, headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_everything_comes_from_the_service(service: Running) -> None:
    links = [str(attrs[key]) for _, attrs in TAGS for key in ("src", "href") if attrs.get(key)]
    links += [f"/page/{name}" for name in re.findall(r'from "\./([\w-]+\.js)"', SCRIPT)]
    links += [icon["src"] for icon in json.loads((FOLDER / "manifest.webmanifest").read_text())["icons"]]
    assert "/page/app.js" in links and "/page/style.css" in links and "/page/player.js" in links
    for link in links:
        assert service.client.get(link).status_code == 200, link
    code = re.sub(r"^\s*//.*$", "", SCRIPT, flags=re.MULTILINE).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//\w|@import|url\(", STYLE + code)


def test_the_policy_for_scripts_and_styles_is_kept() -> None:
    assert not [attrs for tag, attrs in TAGS if tag == "style" or "style" in attrs]
    assert not [name for _, attrs in TAGS for name in attrs if name.startswith("on")]
    assert all("src" in attrs for tag, attrs in TAGS if tag == "script")
    assert not re.search(r"\beval\b|\bFunction\(|setAttribute\(\"(style|on)", SCRIPT)


def test_each_colour_is_stated_once() -> None:
    colours = re.findall(r"^\s+--(\w[\w-]*): light-dark\(", STYLE, flags=re.MULTILINE)
    assert len(colours) > 10
    for name in colours:
        assert len(re.findall(rf"^\s+--{name}:", STYLE, flags=re.MULTILINE)) == 1, name


def test_names_are_text_and_never_html() -> None:
    assert "textContent" in SCRIPT
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser", SCRIPT)


def test_the_scripts_find_what_they_look_for() -> None:
    ids = {attrs["id"] for _, attrs in TAGS if "id" in attrs}
    wanted = set(re.findall(r'byId\("([\w-]+)"\)', SCRIPT))
    assert wanted and wanted <= ids


def test_every_language_has_every_text() -> None:
    codes = [code for code, _ in TABLE["languages"]]
    assert codes == ["en", "de", "es", "zh", "ja"]
    for key, texts in TABLE["texts"].items():
        assert len(texts) == len(codes) and all(texts), key
        places = [sorted(re.findall(r"\{(\w+)\}", text)) for text in texts]
        assert all(each == places[0] for each in places), key


def test_every_text_is_used_and_there() -> None:
    used = set(re.findall(r'\bt\(\s*"(\w+)"', SCRIPT))
    used |= {str(attrs[key]) for _, attrs in [*TAGS, *_Tags(LOGIN).found] for key in KEYS if key in attrs}
    built = ("error_", "stem_", "quality_", "theme_", "preset_", "commercial_", "tonics_", "tonality_")
    assert used <= set(TABLE["texts"]), used - set(TABLE["texts"])
    unused = {key for key in TABLE["texts"] if key not in used and not key.startswith(built)}
    assert not {key for key in unused if f'"{key}"' not in SCRIPT}


def test_times_are_rounded_before_they_are_split(tmp_path: Path) -> None:
    script = """
    import { formatTime } from "./dom.js";
    const shown = [[59.97, 1], [59.94, 1], [65.1, 1], [119.96, 1], [0, 1], [59.97, 0], [60, 0]];
    console.log(JSON.stringify(shown.map((each) => formatTime(...each))));
    """
    assert run_script(script, folder=tmp_path) == [
        "1:00.0", "0:59.9", "1:05.1", "2:00.0", "0:00.0", "0:59", "1:00"
    ]  # fmt: skip


def test_the_scripts_can_be_read() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    parse = "new vm.SourceTextModule(fs.readFileSync(name, 'utf8'), {identifier: name})"
    check = subprocess.run(
        [node, "--experimental-vm-modules", "--eval", f"for (const name of process.argv.slice(1)) {parse}"]
        + [str(FOLDER / name) for name in SCRIPTS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr
