"""The page as people meet it: accessible in every state, light and dark, from a phone to a wide screen."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

pytest.importorskip("starlette")

from stemsplit.music.analysis import SongAnalysis
from stemsplit.music.key import Key
from stemsplit.music.tempo import Beats
from stemsplit.service.password import PasswordGate
from tests.support.browser import listening
from tests.support.marks import mark_slow, slow_but
from tests.support.service import Gate, Running, make_wav, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open: TypeAlias = Callable[..., "Page"]

WAV = make_wav(3)
LOOKS = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark"), (1920, "dark")]
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service, whose client has separated a song."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        service.separate(WAV, name="A song with a rather long name, as they are (live, remastered).wav")
        yield service


@pytest.fixture
def open_page(browser: "Browser", address: str, service: Running) -> Iterator[Open]:
    """Open the page; with `has_song` as the client that has a song. Any error in it fails the test."""
    contexts, problems = [], []

    def open_page(
        width: int = 1280, scheme: str = "light", *, has_song: bool = False, **settings: Any
    ) -> "Page":
        context = browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme=scheme,
            has_touch=width < 500,
            bypass_csp=True,
            **settings,
        )
        contexts.append(context)
        if has_song:
            cookies = [
                {"name": name, "value": value, "url": address}
                for name, value in service.client.cookies.items()
            ]
            context.add_cookies(cookies)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".ready")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def check_access(page: "Page") -> None:
    """Have axe look for what some people could not use."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=RULES)
    problems = [
        {"id": each["id"], "nodes": [node["html"][:200] for node in each["nodes"]]}
        for each in found.response["violations"]
    ]
    assert not problems, json.dumps(problems, indent=1)


def check_width(page: "Page") -> None:
    """Nothing sticks out of the screen."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_in_the_mixer(open_page: Open, width: int, scheme: str) -> None:
    page = open_page(width, scheme, has_song=True)
    page.wait_for_selector(".mixer")
    page.get_by_label("Solo: Drums").click()
    check_access(page)
    check_width(page)


@pytest.mark.parametrize(("width", "scheme"), slow_but([(1280, "light")], LOOKS[:4]))
def test_axe_finds_nothing_before_there_is_a_song(
    open_page: Open, tmp_path: Path, width: int, scheme: str
) -> None:
    page = open_page(width, scheme)
    (tmp_path / "song.wav").write_bytes(WAV)
    page.set_input_files("#files", tmp_path / "song.wav")
    page.get_by_label("Some stems").check()
    check_access(page)
    check_width(page)
    page.get_by_label("Keyboard shortcuts").first.click()
    check_access(page)


@pytest.mark.slow
def test_axe_finds_nothing_where_the_password_is_asked_for(browser: "Browser", service: Running) -> None:
    with listening(PasswordGate(service.app, "secret")) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("input[type=password]")
        check_access(page)
        assert page.text_content("#problem") == ""
        page.fill("input[type=password]", "guess")
        page.click("button")
        page.wait_for_function("/is wrong/.test(document.querySelector('[role=alert]').textContent)")
        assert page.url.rstrip("/") == address
        check_access(page)
        page.fill("input[type=password]", "secret")
        page.click("button")
        page.wait_for_selector(".ready")
        assert page.url.rstrip("/") == address
        page.close()


def test_what_is_no_audio_is_refused_before_it_is_uploaded(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    for name, data in (
        ("notes.txt", b"words"),
        ("cover.mp3", b"\x89PNG\r\n\x1a\n" + b"x" * 99),
        ("no.wav", b""),
    ):
        (tmp_path / name).write_bytes(data)
        page.set_input_files("#files", tmp_path / name)
        page.wait_for_function(
            "name => document.querySelector('#problem').textContent.includes(name)", arg=name
        )
    assert page.locator("#chosen li").count() == 0
    assert page.locator("#split").is_disabled()
    assert "POST" not in sent


@pytest.mark.slow
def test_a_folder_leaves_the_songs_that_are_dropped_with_it(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """() => {
          const folder = new File(["x"], "Album");
          folder.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotFoundError")) });
          const files = [new File(["RIFF"], "one.wav"), folder, new File(["RIFF"], "two.wav")];
          const dropped = Object.assign(new Event("drop"), { dataTransfer: { files, types: ["Files"] } });
          document.dispatchEvent(dropped);
        }"""
    )
    page.wait_for_function(
        "document.querySelector('#problem').textContent.startsWith('Album cannot be read')"
    )
    assert [words.split("\n")[0] for words in page.locator("#chosen li").all_inner_texts()] == [
        "one.wav",
        "two.wav",
    ]


@pytest.mark.slow
def test_a_file_can_be_left_out_again(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    for name in ("one.wav", "two.wav"):
        (tmp_path / name).write_bytes(WAV)
    page.set_input_files("#files", [tmp_path / "one.wav", tmp_path / "two.wav"])
    page.wait_for_function("document.querySelector('#split').textContent === 'Split 2 songs'")
    page.get_by_label("Do not split one.wav").click()
    assert page.locator("#chosen li").all_inner_texts()[0].startswith("two.wav")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "120 BPM · B♭ minor (3A)"), ("de", "120 BPM · b-Moll (3A)"), ("es", "120 BPM · Si♭ menor (3A)")],
)
def test_tempo_and_key_are_shown_when_asked_for(
    open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, language: str, words: str
) -> None:
    beats = Beats(120.0, np.arange(4) / 2, np.zeros(1))
    found = SongAnalysis(3.0, -14.0, beats, Key(10, "minor", 0.9), 0.0)
    monkeypatch.setattr("stemsplit.service.worker.analyse_tracks", lambda *_: found)
    (tmp_path / "song.wav").write_bytes(WAV)
    page = open_page(390, locale=language)
    page.set_input_files("#files", tmp_path / "song.wav")
    page.check("#analyse")
    page.click("#split")
    page.wait_for_selector(".mixer")
    assert words in page.inner_text(".facts")


@pytest.mark.slow
def test_an_excerpt_is_separated(open_page: Open, tmp_path: Path) -> None:
    page = open_page(390)
    (tmp_path / "song.wav").write_bytes(make_wav(8))
    page.set_input_files("#files", tmp_path / "song.wav")
    page.check("#excerpt")
    check_access(page)
    for start, end in (("0:01", "soon"), ("0:07", "0:01")):
        page.fill("#excerpt-start", start)
        page.fill("#excerpt-end", end)
        page.keyboard.press("Tab")
        assert "1:23" in page.inner_text("#problem")
        assert page.locator("#split").is_disabled()
    page.fill("#excerpt-end", "7,5")
    page.fill("#excerpt-start", "0:01.5")
    page.click("#split")
    page.wait_for_selector(".mixer")
    assert page.inner_text(".facts").startswith("0:06 · 44.1 kHz")
    assert page.locator("#problem").inner_text() == ""
    check_width(page)


@pytest.mark.slow
def test_a_song_that_fails_says_what_to_do(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    (tmp_path / "broken.mp3").write_bytes(b"not really an mp3" * 100)
    page.set_input_files("#files", tmp_path / "broken.mp3")
    page.click("#split")
    page.wait_for_selector("#stage.failed")
    assert "broken.mp3" in page.inner_text("#stage .status") and "copy" in page.inner_text("#stage .status")
    assert page.get_by_text("Try again").is_visible()
    check_access(page)


@pytest.mark.slow
def test_progress_survives_a_reload(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    try:
        page = open_page()
        (tmp_path / "song.wav").write_bytes(make_wav(4))
        page.set_input_files("#files", tmp_path / "song.wav")
        page.click("#split")
        page.wait_for_function("/^Separating/.test(document.querySelector('#stage .status')?.textContent)")
        check_access(page)
        page.reload()
        page.wait_for_function("/^Separating/.test(document.querySelector('#stage .status')?.textContent)")
    finally:
        gate.open()
    page.wait_for_selector(".mixer")
    page.reload()
    page.wait_for_selector(".mixer")
    page.get_by_role("button", name="Remove").click()
    page.wait_for_selector("#empty:not([hidden])")


@pytest.mark.slow
def test_a_lost_connection_is_told_and_found_again(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    try:
        page = open_page()
        (tmp_path / "song.wav").write_bytes(make_wav(4))
        page.set_input_files("#files", tmp_path / "song.wav")
        page.click("#split")
        page.wait_for_function("/^Separating/.test(document.querySelector('#stage .status')?.textContent)")
        page.route("**/api/**", lambda route: route.abort())
        page.evaluate("dispatchEvent(new Event('offline'))")
        page.wait_for_function(
            "/cannot be reached/.test(document.querySelector('#stage .status')?.textContent)"
        )
        page.unroute("**/api/**")
        page.wait_for_function("/^Separating/.test(document.querySelector('#stage .status')?.textContent)")
    finally:
        gate.open()
    page.wait_for_selector(".mixer")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "word"),
    [("de", "Trennen"), *map(mark_slow, [("es", "Separar"), ("zh", "分离"), ("ja", "分離する")])],
)
def test_the_page_speaks_the_language_of_its_reader(open_page: Open, language: str, word: str) -> None:
    page = open_page(390, locale=language, has_song=True)
    assert page.inner_text("#split") == word
    assert page.get_attribute("html", "lang") == language
    page.wait_for_selector(".mixer")
    check_width(page)
    page.select_option("#language", "en")
    assert page.inner_text("#split") == "Split"
    page.reload()
    page.wait_for_selector(".ready")
    assert page.inner_text("#split") == "Split"


@pytest.mark.slow
def test_light_and_dark_can_be_chosen(open_page: Open) -> None:
    page = open_page(scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    page.click("#theme")
    assert page.evaluate(paper) != light
    page.reload()
    page.wait_for_selector(".ready")
    assert page.evaluate(paper) != light


@pytest.mark.slow
def test_the_page_keeps_its_own_policy(browser: "Browser", address: str, service: Running) -> None:
    context = browser.new_context()
    context.add_cookies(
        [{"name": name, "value": value, "url": address} for name, value in service.client.cookies.items()]
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(address)
    page.wait_for_selector(".mixer", timeout=120_000)
    page.click(".play")
    page.wait_for_timeout(500)
    context.close()
    assert said == []


@pytest.mark.slow
def test_nothing_moves_for_those_who_want_that(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    moving = "document.getAnimations().filter(({ playState }) => playState === 'running').length"
    assert page.evaluate(moving) == 0
    assert open_page().evaluate(moving) > 0


@pytest.mark.slow
def test_a_finger_is_enough(open_page: Open) -> None:
    page = open_page(390, has_song=True)
    page.wait_for_selector(".mixer")
    box = page.locator(".track .wave").first.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.inner_text(".clock").startswith("0:01.5")
    for target in page.locator(".transport button:visible, .track button:visible").all():
        size = target.bounding_box()
        assert size is not None and min(size["width"], size["height"]) >= 24


@pytest.mark.slow
def test_an_error_leaves_the_transport_of_a_phone_as_it_is(open_page: Open) -> None:
    page = open_page(390, locale="de", has_song=True)
    page.wait_for_selector(".mixer")
    controls = page.locator(".transport button:visible, .clock")
    before = [controls.nth(index).bounding_box() for index in range(controls.count())]
    page.route("**/*segment=*", lambda route: route.abort())
    page.locator(".seek").evaluate("input => { input.value = 2.5; input.dispatchEvent(new Event('input')); }")
    page.wait_for_function("document.querySelector('.transport .problem').textContent.includes('läuft')")
    assert [controls.nth(index).bounding_box() for index in range(controls.count())] == before
    check_width(page)
    page.unroute("**/*segment=*")
    page.click(".play")
    page.wait_for_function("document.querySelector('.transport .problem').textContent === ''")


@pytest.mark.slow
def test_the_shell_opens_without_the_service(browser: "Browser", service: Running) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    with listening(service.app) as address:
        page.goto(address)
        page.wait_for_selector(".ready")
        page.evaluate("navigator.serviceWorker.ready")
        page.reload()
        page.wait_for_selector(".ready")
        page.wait_for_function(
            "async () => (await (await caches.open('stemsplit-shell')).keys()).length > 10"
        )
    page.goto(address)
    page.wait_for_function("document.querySelector('#problem').textContent.includes('cannot be reached')")
    context.close()
