"""Analysis of music: known answers for songs that are made here."""

import re

import numpy as np
import pyloudnorm
import pytest

from stemsplit.music.analysis import Analyser, SongAnalysis
from stemsplit.music.chords import Chord, format_lab
from stemsplit.music.style import Style
from stemsplit.types import FloatArray
from tests.support import ROOT

# the analysis needs librosa, whose import alone takes seconds
pytestmark = pytest.mark.slow

SAMPLE_RATE = 44100
MAJOR, MINOR = (0, 4, 7), (0, 3, 7)


def hit(hz: float, length_s: float, *, noise: float, seed: int) -> FloatArray:
    """A drum: a decaying tone and a decaying noise."""
    time_s = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * hz * time_s) * np.exp(-time_s / 0.06)
    rattle = np.random.default_rng(seed).standard_normal(len(time_s)) * np.exp(-time_s / 0.03)
    return ((1 - noise) * tone + noise * rattle).astype(np.float32)


def make_drums(bpm: float, duration_s: float, *, first_s: float = 0.0) -> FloatArray:
    """Kick on one and three, louder on one, snare on two and four, hi-hat on eighths."""
    out = np.zeros(round(duration_s * SAMPLE_RATE), dtype=np.float32)

    def lay(at_s: float, drum: FloatArray, gain: float) -> None:
        start = round(at_s * SAMPLE_RATE)
        part = drum[: max(0, len(out) - start)]
        out[start : start + len(part)] += gain * part

    kick, snare, hat = (
        hit(55, 0.3, noise=0.05, seed=1),
        hit(190, 0.2, noise=0.7, seed=2),
        np.diff(hit(9000, 0.05, noise=1, seed=3), n=2, prepend=[0, 0]).astype(np.float32),
    )
    beat_s = 60 / bpm
    for number in range(int((duration_s - first_s) / beat_s)):
        at_s = first_s + number * beat_s
        lay(at_s, *((kick, 0.9 if number % 4 == 0 else 0.5) if number % 2 == 0 else (snare, 0.5)))
        lay(at_s, hat, 0.15)
        lay(at_s + beat_s / 2, hat, 0.15)
    return np.stack([out, out])


def make_chords(
    roots: list[tuple[int, tuple[int, ...]]], chord_s: float, *, cents: float = 0.0
) -> FloatArray:
    """Chords of four partials a note, one after the other; roots as MIDI pitches."""
    time_s = np.arange(round(chord_s * SAMPLE_RATE)) / SAMPLE_RATE
    fade = np.minimum(1, np.minimum(time_s, chord_s - time_s) / 0.02)
    parts = []
    for root, notes in roots:
        hz = [440 * 2 ** ((root + note - 69 + cents / 100) / 12) for note in notes]
        tones = [np.sin(2 * np.pi * k * f * time_s) / k for f in hz for k in range(1, 5)]
        parts.append(0.05 * fade * np.sum(tones, axis=0))
    mono = np.concatenate(parts).astype(np.float32)
    return np.stack([mono, mono])


def analyse(stems: dict[str, FloatArray], *, block: int = 65536) -> SongAnalysis:
    mixture = np.sum(list(stems.values()), axis=0, dtype=np.float32)
    analyser = Analyser(sample_rate=SAMPLE_RATE, n_channels=2)
    for start in range(0, mixture.shape[1], block):
        part = slice(start, start + block)
        analyser.process(mixture[:, part], {name: stem[:, part] for name, stem in stems.items()})
    return analyser.finish()


@pytest.mark.parametrize("bpm", [72.0, 100.0, 128.0, 174.0])
def test_the_beat_of_drums_is_found(bpm: float) -> None:
    drums = make_drums(bpm, 30, first_s=0.4)
    beats = analyse({"drums": drums, "other": 0 * drums}).beats
    assert beats is not None
    ratio = beats.bpm / bpm
    assert ratio == pytest.approx(1, abs=0.01) or (bpm > 160 and ratio == pytest.approx(0.5, abs=0.005))
    expected = 0.4 + np.arange(1, 40) * 60 / bpm
    for time_s in expected[(expected > 2) & (expected < 25)][:: 2 if ratio < 0.6 else 1]:
        nearest = np.abs(beats.times_s - time_s).min()
        assert nearest < 0.04 or ratio < 0.6


def test_bars_begin_with_the_kick() -> None:
    drums = make_drums(110, 30, first_s=0.3)
    beats = analyse({"drums": drums}).beats
    assert beats is not None
    bar_s = 4 * 60 / 110
    places = (beats.downbeats_s - 0.3) / bar_s
    assert np.abs(places - np.rint(places))[:-1].max() < 0.05


@pytest.mark.parametrize(
    ("roots", "name", "camelot"),
    [
        ([(60, MAJOR), (65, MAJOR), (67, MAJOR), (60, MAJOR)], "C major", "8B"),
        ([(57, MINOR), (62, MINOR), (64, MINOR), (57, MINOR)], "A minor", "8A"),
        ([(66, MAJOR), (59, MAJOR), (61, MAJOR), (66, MAJOR)], "F# major", "2B"),
    ],
)
def test_the_key_of_a_cadence_is_found(
    roots: list[tuple[int, tuple[int, ...]]], name: str, camelot: str
) -> None:
    key = analyse({"other": make_chords(2 * roots, 1.5)}).key
    assert key is not None
    assert (key.name, key.camelot) == (name, camelot)


def test_chords_are_found_where_they_sound() -> None:
    song = analyse({"other": make_chords([(60, MAJOR), (57, MINOR), (65, MAJOR), (67, MAJOR)], 2.0)})
    assert [chord.name for chord in song.chords] == ["C:maj", "A:min", "F:maj", "G:maj"]
    assert [chord.start_s for chord in song.chords] == pytest.approx([0, 2, 4, 6], abs=0.26)
    assert song.chords[0].start_s == 0 and song.chords[-1].stop_s == pytest.approx(8, abs=0.01)
    assert format_lab(song.chords).splitlines()[0].split("\t")[2] == "C:maj"


@pytest.mark.parametrize("cents", [-30.0, 0.0, 20.0])
def test_the_tuning_is_measured_and_does_not_move_the_key(cents: float) -> None:
    roots = [(60, MAJOR), (65, MAJOR), (67, MAJOR), (60, MAJOR)]
    song = analyse({"other": make_chords(2 * roots, 1.5, cents=cents)})
    assert song.tuning_cents == pytest.approx(cents, abs=12)
    assert song.key is not None and song.key.name == "C major"


def test_loudness_is_that_of_the_standard() -> None:
    drums, chords = make_drums(100, 12), make_chords([(60, MAJOR)] * 6, 2.0)
    song = analyse({"drums": drums, "other": chords}, block=10_007)
    meter = pyloudnorm.Meter(SAMPLE_RATE)
    assert song.loudness_lufs == pytest.approx(meter.integrated_loudness((drums + chords).T), abs=0.1)
    assert song.stems["drums"].loudness_lufs == pytest.approx(meter.integrated_loudness(drums.T), abs=0.1)


def test_where_a_stem_sounds() -> None:
    chords = make_chords([(60, MAJOR)] * 5, 2.0)
    chords[:, 2 * SAMPLE_RATE : 6 * SAMPLE_RATE] = 0
    (first, second) = analyse({"other": chords}).stems["other"].intervals_s
    assert first == pytest.approx((0, 2), abs=0.11)
    assert second == pytest.approx((6, 10), abs=0.11)


def test_blocks_change_nothing() -> None:
    stems = {"drums": make_drums(120, 10), "bass": make_chords([(36, MAJOR)] * 5, 2.0)}
    whole, cut = analyse(stems, block=10**9).to_dict(), analyse(stems, block=7_001).to_dict()
    assert whole == cut


@pytest.mark.parametrize("duration_s", [0.05, 1.0, 20.0])
def test_silence_has_nothing(duration_s: float) -> None:
    silence = np.zeros((2, round(duration_s * SAMPLE_RATE)), dtype=np.float32)
    song = analyse({"drums": silence, "other": silence}).to_dict()
    assert (song["bpm"], song["key"], song["loudness_lufs"], song["chords"]) == (None, None, None, [])
    assert song["style"] is None
    assert song["stems"]["drums"] == {"loudness_lufs": None, "intervals_s": []}


def test_noise_has_neither_beat_nor_key() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 20 * SAMPLE_RATE)).astype(np.float32)
    song = analyse({"drums": noise, "other": noise})
    assert song.beats is None
    assert song.key is None or song.key.confidence < 0.3


def test_chords_without_drums_have_no_beat_by_the_half_second_grid() -> None:
    song = analyse({"other": make_chords([(60, MAJOR)], 8.0)})
    assert song.beats is None
    assert [chord.name for chord in song.chords] == ["C:maj"]
    assert song.chords == [Chord(0.0, 8.0, "C:maj")]


def test_json_has_every_field_that_the_page_names() -> None:
    page = (ROOT / "docs/producers.md").read_text(encoding="utf-8")
    rows = page.split("| field | meaning |")[1].split("\n\n")[0].splitlines()[2:]
    documented = {name for row in rows for name in re.findall("`([a-z_]+)`", row.split("|")[1])}
    song = SongAnalysis(1.0, None, None, None, None, style=Style("acoustic", {"acoustic": 1.0})).to_dict()
    assert documented == song.keys()
    assert song["style"] == {"name": "acoustic", "probabilities": {"acoustic": 1.0}}
