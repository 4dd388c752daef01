"""The mixer in a real browser: tracks that stay together, what is downloaded, keys, memory."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import psutil
import pytest
import soundfile

pytest.importorskip("starlette")

from tests.support.service import Running, make_wav, read_audio, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Upload: TypeAlias = Callable[..., dict[str, Any]]

RATE = 44100
CLICK_S = 0.5
SECONDS = "parseFloat(document.querySelector('.clock').textContent.split(':')[1])"  # that are shown
# what a track plays above a threshold, with the frame of the audio clock, for every track at once
RECORDER = """
registerProcessor("recorder", class extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.thresholds = processorOptions;
  }
  process([input]) {
    input.forEach((samples, track) => samples.forEach((value, index) => {
      const loud = Math.abs(value);
      if (loud > this.thresholds[track]) this.port.postMessage([track, currentFrame + index, loud]);
    }));
    return true;
  }
});
"""
PLAY = """
async ([recorder, song, seconds, start, thresholds]) => {
  const { Player } = await import("/page/player.js");
  const preview = await (await fetch(song.preview)).json();
  const player = new Player(preview);
  const { context } = player;
  const names = [...Object.keys(preview.stems), null];
  const module = new Blob([recorder], { type: "text/javascript" });
  await context.audioWorklet.addModule(URL.createObjectURL(module));
  const node = new AudioWorkletNode(context, "recorder", {
    channelCount: names.length,
    channelCountMode: "explicit",
    channelInterpretation: "discrete",
    processorOptions: thresholds,
  });
  const merger = context.createChannelMerger(names.length);
  names.forEach((name, index) => {
    const mono = context.createGain();
    mono.channelCount = 1;
    mono.channelCountMode = "explicit";
    player.output(name).connect(mono).connect(merger, 0, index);
  });
  const found = names.map(() => []);
  node.port.onmessage = ({ data: [track, frame, value] }) => found[track].push([frame, value]);
  merger.connect(node).connect(context.destination);
  player.seek(start);
  const before = context.currentTime;
  await player.play();
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const result = { found, clock: context.currentTime - before, position: player.position - start };
  player.close();
  return result;
}
"""


def make_clicks(duration_s: float) -> bytes:
    """A stereo song with a click every half second, which every stem has a share of."""
    samples = np.zeros((round(duration_s * RATE), 2), np.float32)
    samples[RATE // 4 :: round(CLICK_S * RATE)] = 0.9
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture(scope="module")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a song in it."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        yield service


@pytest.fixture
def page(browser: "Browser", address: str) -> Iterator["Page"]:
    """The page, in a browser that knows nothing yet; any error in it fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".ready")
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def upload(page: "Page", tmp_path: Path) -> Upload:
    """Split a song on the page; return what the service says of it."""

    def upload(data: bytes, name: str = "song.wav") -> dict[str, Any]:
        (tmp_path / name).write_bytes(data)
        page.set_input_files("#files", tmp_path / name)
        page.click("#split")
        page.wait_for_selector(".mixer", timeout=120_000)
        songs: dict[str, Any] = page.evaluate("async () => (await fetch('/api/songs')).json()")
        return dict(songs["songs"][-1])

    return upload


def find_clicks(loud: list[list[float]]) -> list[int]:
    """Return the frame of each click, where it is loudest."""
    clicks: list[tuple[float, int]] = []
    for frame, value in loud:
        if clicks and frame - clicks[-1][1] < 0.2 * RATE:
            clicks[-1] = max(clicks[-1], (value, int(frame)))
        else:
            clicks.append((value, int(frame)))
    return [frame for _, frame in clicks]


@pytest.mark.slow
def test_tracks_stay_together_while_the_audio_clock_advances(
    page: "Page", upload: Upload, address: str
) -> None:
    """Over two borders of segments; the loudest sample of each click is at one time in every track."""
    song = upload(make_clicks(14))
    peaks = [
        float(np.abs(read_audio(page.request.get(address + url).body()).mean(axis=1)).max())
        for url in song["outputs"].values()
    ]
    audible = [index for index, peak in enumerate([*peaks, 0.9]) if peak > 0.1]
    assert len(audible) >= 3
    heard = page.evaluate(PLAY, [RECORDER, song, 6.5, 2.0, [peak / 2 for peak in [*peaks, 0.9]]])
    assert 5 < heard["clock"] < 10
    assert abs(heard["position"] - heard["clock"]) < 0.5
    tracks = [find_clicks(heard["found"][index]) for index in audible]
    assert all(len(clicks) >= 10 for clicks in tracks), [len(clicks) for clicks in tracks]
    for together in zip(*tracks, strict=False):
        assert max(together) - min(together) < 0.005 * RATE
    for clicks in tracks:
        assert np.abs(np.diff(clicks) - CLICK_S * RATE).max() <= 1


def test_a_song_is_uploaded_played_and_soloed(page: "Page", upload: Upload) -> None:
    song = upload(make_wav(8))
    assert page.evaluate("location.hash") == f"#{song['id']}"
    rows = page.locator(".track:not(.original)")
    assert rows.count() == 4
    page.click(".play")
    page.wait_for_function(f"{SECONDS} > 0.5")
    assert page.get_attribute(".play", "aria-label") == "Pause"
    page.keyboard.press("2")
    silent = [bool(rows.nth(index).get_attribute("class").count("silent")) for index in range(4)]
    assert silent == [True, False, True, True]
    page.keyboard.press("o")
    assert page.locator(".original.silent").count() == 0 and page.locator(".track.silent").count() == 4


def fetch_audio(page: "Page", selector: str, folder: Path) -> np.ndarray[Any, Any]:
    """Click on a download; return its samples."""
    with page.expect_download() as started:
        page.click(selector)
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return read_audio(path.read_bytes())


def set_slider(page: "Page", label: str, value: float) -> None:
    """Move a fader."""
    page.get_by_label(label, exact=True).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


@pytest.mark.slow
def test_a_mix_is_downloaded_as_it_is_set(page: "Page", upload: Upload, address: str, tmp_path: Path) -> None:
    song = upload(make_wav(3), name="Song.wav")
    stems = {
        stem: read_audio(page.request.get(address + url).body()) for stem, url in song["outputs"].items()
    }
    page.select_option("#mix-bits", "32f")
    whole = fetch_audio(page, "#download-mix", tmp_path)
    assert (tmp_path / "Song (mix).wav").exists()
    assert np.array_equal(whole, np.sum(list(stems.values()), axis=0, dtype=np.float32))
    page.get_by_label("Mute: Vocals").click()
    set_slider(page, "Volume: Drums", -6)
    set_slider(page, "Pan: Bass", 100)
    mixed = fetch_audio(page, "#download-mix", tmp_path)
    left, right = stems["bass"].T
    expected = stems["other"] + 10 ** (-6 / 20) * stems["drums"] + np.stack([0 * left, left + right], axis=1)
    assert mixed.shape == expected.shape
    assert np.abs(mixed - expected).max() < 1e-6


@pytest.mark.slow
def test_what_is_played_is_what_is_downloaded(page: "Page", upload: Upload, address: str) -> None:
    """The browser's own panner and gains, rendered offline, agree with the service's."""
    song = upload(make_wav(2))
    render = """
    async ([url, pan]) => {
      const context = new OfflineAudioContext(2, 44100, 44100);
      const source = context.createBufferSource();
      source.buffer = await context.decodeAudioData(await (await fetch(url)).arrayBuffer());
      const panner = context.createStereoPanner();
      panner.pan.value = pan;
      source.connect(panner).connect(context.destination);
      source.start();
      const buffer = await context.startRendering();
      return [0, 1].map((channel) => [...buffer.getChannelData(channel)]);
    }
    """
    for pan in (-1.0, -0.35, 0.6):
        played = np.array(page.evaluate(render, [song["outputs"]["drums"], pan]), np.float32).T
        mix = page.request.get(f"{address}{song['mix']}?stems=drums&pans=drums:{pan}&bits=32f")
        assert np.abs(played - read_audio(mix.body())[:44100]).max() < 1e-5


@pytest.mark.slow
def test_a_stretch_that_is_drawn_is_repeated(page: "Page", upload: Upload) -> None:
    upload(make_wav(8))
    box = page.locator(".track .wave").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.375, middle, steps=4)
    page.mouse.up()
    assert page.get_by_label("Loop", exact=True).get_attribute("aria-pressed") == "true"
    page.keyboard.press(" ")
    page.wait_for_function(f"{SECONDS} > 2.5")
    page.wait_for_function(f"{SECONDS} < 2.5")
    assert page.get_attribute(".play", "aria-label") == "Pause"
    assert 1.9 <= page.evaluate(SECONDS) <= 3.1


@pytest.mark.slow
def test_a_press_that_is_let_go_elsewhere_draws_no_loop(page: "Page", upload: Upload) -> None:
    upload(make_wav(2))
    box = page.locator(".track .wave").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 200, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] - 60, steps=3)
    page.mouse.up()
    page.mouse.move(box["x"] + 100, middle, steps=3)
    assert page.locator(".tracks.looped").count() == 0


@pytest.mark.slow
def test_all_can_be_done_with_the_keyboard(page: "Page") -> None:
    page.keyboard.press("Tab")
    for _ in range(12):
        if page.evaluate("document.activeElement.id") == "demo":
            break
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "demo"
    page.keyboard.press("Enter")
    page.wait_for_selector(".mixer", timeout=60_000)
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('.play').getAttribute('aria-label') === 'Pause'")
    page.keyboard.press(" ")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".clock").startswith("0:05.0")
    page.keyboard.press("1")
    assert page.locator(".track").first.get_by_text("S", exact=True).get_attribute("aria-pressed") == "true"
    page.keyboard.press("m")
    assert page.locator(".track").first.get_by_text("M", exact=True).get_attribute("aria-pressed") == "true"
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()
    page.check("#excerpt")
    page.type("#excerpt-end", "?")
    assert page.input_value("#excerpt-end") == "?" and not page.locator("#keys").is_visible()
    page.evaluate("document.querySelector('#phone').showModal()")
    page.keyboard.press("l")
    assert page.get_by_label("Loop", exact=True).get_attribute("aria-pressed") == "false"


@pytest.mark.slow
def test_another_language_leaves_the_mix_as_it_is(page: "Page", upload: Upload) -> None:
    upload(make_wav(8))
    page.get_by_label("Mute: Vocals").click()
    page.get_by_label("Solo: Drums").click()
    set_slider(page, "Volume: Bass", -6)
    set_slider(page, "Pan: Bass", 35)
    set_slider(page, "Volume", 30)
    page.get_by_label("Loop", exact=True).click()
    page.check("#only-loop")
    page.select_option("#mix-bits", "32f")
    page.click(".play")
    page.wait_for_function(f"{SECONDS} > 0.5")
    page.select_option("#language", "de")
    assert page.get_by_label("Pause", exact=True).is_visible()
    pressed = page.locator(".mixer [aria-pressed=true]")
    labels = [pressed.nth(index).get_attribute("aria-label") for index in range(pressed.count())]
    assert labels == ["Schleife", "Stumm: Gesang", "Solo: Schlagzeug"]
    for label, value in (("Lautstärke: Bass", "-6"), ("Panorama: Bass", "35"), ("Lautstärke", "30")):
        assert page.get_by_label(label, exact=True).input_value() == value
    assert page.is_checked("#only-loop") and page.input_value("#mix-bits") == "32f"
    assert page.inner_text("#privacy").startswith("Songs werden nur auf den Computer übertragen")
    page.wait_for_function(f"{SECONDS} > 1")
    assert page.inner_text("#download-mix") == "Diesen Mix herunterladen"


def measure_renderers() -> int:
    """Bytes that belong to nobody but the pages of the browser."""
    children = psutil.Process().children(recursive=True)
    pages = [child for child in children if "--type=renderer" in " ".join(child.cmdline())]
    assert pages
    return max(child.memory_full_info().uss for child in pages)


@pytest.mark.slow
def test_four_minutes_of_four_stems_stay_below_200_mb(page: "Page", upload: Upload) -> None:
    upload(make_wav(240))
    highest = 0
    page.click(".play")
    for minute in range(4):
        page.locator(".seek").evaluate(
            "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }",
            60 * minute + 10,
        )
        for _ in range(4):
            page.wait_for_timeout(1000)
            highest = max(highest, measure_renderers())
    assert page.inner_text(".clock").startswith("3:1")
    assert highest < 200e6
    print(json.dumps({"highest_mb": highest / 1e6}))
