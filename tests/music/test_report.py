"""The report: a page that holds everything itself."""

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from stemsplit.music import spectrum_picture
from stemsplit.music.analysis import SongAnalysis, StemAnalysis
from stemsplit.music.chords import Chord
from stemsplit.music.key import Key
from stemsplit.music.report import STYLE, make_report
from stemsplit.music.spectrum_picture import N_BANDS, SpectrumColumns, make_png
from stemsplit.music.tempo import Beats
from stemsplit.types import FloatArray
from tests.support import ROOT
from tests.support.browser import ARGUMENTS, require_browser

RATE = 44_100


def make_tone(hz: float, seconds: float, level: float = 0.5) -> FloatArray:
    tone = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([tone, -tone]).astype(np.float32)  # which a sum of the channels would lose


def write_stems(folder: Path, seconds: float = 4.0, level: float = 0.5) -> dict[str, Path]:
    stems = {"vocals": 1000.0, "drums": 200.0, "odd <one>": 5000.0}
    paths = {name: folder / f"{number}.wav" for number, name in enumerate(stems)}
    for name, hz in stems.items():
        soundfile.write(paths[name], make_tone(hz, seconds, level).T, RATE, subtype="FLOAT")
    return paths


def know(stems: dict[str, Path], duration_s: float = 4.0) -> SongAnalysis:
    beats = Beats(120.0, np.arange(0, duration_s, 0.5), np.arange(0, duration_s, 2.0))
    chords = (Chord(0.0, 2.0, "C:maj"), Chord(2.0, duration_s, "N"))
    known = {name: StemAnalysis(-20.0, [(0.0, duration_s)]) for name in stems}
    return SongAnalysis(duration_s, -14.0, beats, Key(9, "minor", 0.5), 3.0, chords, known)


# --- the picture ------------------------------------------------------------------------------------------


def collect(waveform: FloatArray, block: int = 9999) -> SpectrumColumns:
    columns = SpectrumColumns(RATE, waveform.shape[0])
    for start in range(0, waveform.shape[1], block):
        columns.process(waveform[:, start : start + block])
    return columns


def test_a_tone_is_a_line_at_its_pitch_and_its_level() -> None:
    spectrum = collect(make_tone(1000, 3.0)).finish()
    expected = round(N_BANDS * np.log(1000 / 40) / np.log(16_000 / 40))
    assert abs(int(spectrum.bands_db.mean(axis=1).argmax()) - expected) <= 1
    assert np.allclose(spectrum.level_db, 20 * np.log10(0.5 / np.sqrt(2)), atol=0.1)


def test_the_picture_does_not_depend_on_the_blocks_and_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum_picture, "MAX_COLUMNS", 100)
    rng = np.random.default_rng(0)
    waveform = rng.standard_normal((1, 2048 * 230)).astype(np.float32)
    waveform[:, : waveform.shape[1] // 2] = 0
    whole = collect(waveform, 10**9).finish()
    np.testing.assert_allclose(collect(waveform, 70_001).finish().bands_db, whole.bands_db, atol=1e-3)
    n_columns = whole.bands_db.shape[1]
    assert 50 <= n_columns <= 100
    assert not (whole.level_db[: n_columns // 2 - 2] > -100).any()
    assert (whole.level_db[n_columns // 2 + 2 :] > -1).all()


def test_a_png_has_the_lowest_band_at_the_bottom() -> None:
    levels = np.full((N_BANDS, 30), -70.0, np.float32)
    levels[0] = 0
    picture = imread(BytesIO(make_png(levels, 0.0, (255, 111, 156))))
    picture = picture[..., :3]
    assert picture.shape == (N_BANDS, 30, 3)
    assert (picture[-1] == 1).all() and (picture[:-1] < 0.1).all()


# --- the page ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    stems = write_stems(tmp_path_factory.mktemp("stems"))
    return make_report("Songs & <b>Co</b>", stems, know(stems), 2.0).decode()


def test_the_page_holds_everything_itself(page: str) -> None:
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 8 and all(source.startswith("data:") for source in sources)
    rest = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//|@import|url\(|<link|<iframe|fetch|import\(", rest)


def test_names_are_text_and_not_markup(page: str) -> None:
    assert "<h1>Songs &amp; &lt;b&gt;Co&lt;/b&gt;</h1>" in page
    assert "<h2>odd &lt;one&gt;</h2>" in page and "<one>" not in page


def test_the_page_says_what_was_found(page: str) -> None:
    for text in ("120.0 bpm", "A minor (8A)", "+3 cents", "-14.0 LUFS", "-20.0 LUFS", "C:maj", "0:04"):
        assert text in page
    assert 'class="bars" d="M0.0 0V100M500.0 0V100"' in page
    assert "Excerpts from 0:00 to 0:02, mp3 of 128 kbit/s." in page


def test_the_excerpts_are_those_of_the_stems_and_their_sum(page: str) -> None:
    sounds = [base64.b64decode(data) for data in re.findall(r"data:audio/mpeg;base64,([^\"]+)", page)]
    assert len(sounds) == 4
    mixture, vocals, drums, other = (soundfile.read(BytesIO(sound))[0] for sound in sounds)
    assert mixture.shape == (2 * RATE, 2)
    inner = slice(RATE // 2, RATE)
    for sound, hz in ((vocals, 1000), (drums, 200), (other, 5000)):
        peak_hz = np.abs(np.fft.rfft(sound[inner, 0])).argmax() * 2
        assert abs(peak_hz - hz) <= 2
    # three tones of 0.5 would clip: all have one gain
    assert 0.9 < np.abs(mixture).max() <= 1.01
    assert np.abs(vocals[inner]).max() == pytest.approx(np.abs(mixture).max() / 3, rel=0.1)


@pytest.mark.parametrize("seconds", [0.01, 1.0])
def test_silence_and_the_shortest_song_have_a_page(tmp_path: Path, seconds: float) -> None:
    stems = write_stems(tmp_path, seconds, level=0.0)
    known = {name: StemAnalysis(None, []) for name in stems}
    found = SongAnalysis(seconds, None, None, None, None, (), known)
    page = make_report("silence", stems, found, 20.0).decode()
    for text in ("no beat", "no key", "silent", "No chords were found.", "No excerpts."):
        assert text in page
    assert "<audio" not in page.partition("<script>")[0]


def test_the_colours_are_those_of_the_web_page() -> None:
    names = ("paper", "panel", "ink", "quiet", "line", "vocals", "drums", "bass", "other", "original")
    own = STYLE.read_text(encoding="utf-8")
    theirs = (ROOT / "src/stemsplit/service/page/style.css").read_text(encoding="utf-8")
    for name in names:
        (colour,) = re.findall(rf"--{name}: (.*);", own)
        assert f"--{name}: {colour};" in theirs


@pytest.mark.slow
def test_a_browser_opens_it_without_a_network(page: str, tmp_path: Path) -> None:
    path = require_browser()
    from playwright.sync_api import sync_playwright

    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        window = browser.new_page(offline=True, viewport={"width": 400, "height": 800})
        asked: list[str] = []
        window.on("request", lambda request: asked.append(request.url.partition(":")[0]))
        window.goto((tmp_path / "report.html").as_uri())
        widths = window.eval_on_selector_all("img", "all => all.map(each => each.naturalWidth)")
        window.wait_for_function(
            "[...document.querySelectorAll('audio')].every(each => Math.abs(each.duration - 2) < 0.1)"
        )
        assert len(widths) == 4 and all(widths)
        assert set(asked) <= {"file", "data"}
        assert window.evaluate("document.documentElement.scrollWidth") <= 400
        browser.close()
