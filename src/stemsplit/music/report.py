"""The report: one HTML page with what is known of a song, its stems to look at, and excerpts to listen to.

The page holds everything itself, pictures and audio included, so that it opens without a network and can be
sent as one file. Colours are those of the web page.
"""

import base64
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from stemsplit.audio.encoders import open_encoder
from stemsplit.audio.encoding import Encoding
from stemsplit.music.analysis import SongAnalysis
from stemsplit.music.preview import find_excerpt
from stemsplit.music.spectrum_picture import Colour, Spectrum, SpectrumColumns, make_png
from stemsplit.types import FloatArray

MIXTURE: Final = "mixture"
STYLE: Final = Path(__file__).with_name("report.css")
_BLOCK_SAMPLES: Final = 65536
_KBITS: Final = 128
_LEAST_DB: Final = -60.0
# of the pictures, on their dark ground; the page has those of the light as well
_COLOURS: Final[Mapping[str, Colour]] = {
    "vocals": (255, 111, 156),
    "drums": (255, 177, 74),
    "bass": (165, 148, 255),
    "other": (63, 216, 196),
}
_PLAIN: Final[Colour] = (164, 169, 186)


@dataclass(frozen=True)
class Track:
    """What is shown of the mixture or of one stem.

    Attributes
    ----------
    name : str
    spectrum : Spectrum
        Its spectrogram and its level.
    audio : bytes
        The excerpt, mp3; empty if there is none.
    """

    name: str
    spectrum: Spectrum
    audio: bytes = b""


@dataclass(frozen=True)
class Excerpt:
    """The part of the song that the page plays, in seconds."""

    start_s: float
    length_s: float


def make_report(title: str, stems: Mapping[str, Path], found: SongAnalysis, excerpt_s: float) -> bytes:
    """Return the page of a song.

    Parameters
    ----------
    title
        What the song is called.
    stems
        The file of each stem, of one length, rate and number of channels; they sum to the song.
    found
        The analysis of the song.
    excerpt_s
        Length of the excerpts in seconds; 0 for none. They come from where most of the stems sound.
    """
    start_s = find_excerpt(found, excerpt_s) if excerpt_s else None
    excerpt = None if start_s is None else Excerpt(start_s, min(excerpt_s, found.duration_s - start_s))
    tracks = collect(stems, excerpt)
    return make_page(title, tracks, found, excerpt).encode()


def collect(stems: Mapping[str, Path], excerpt: Excerpt | None) -> list[Track]:
    """Read the stems side by side, once; return what is shown of their sum and of each."""
    info = soundfile.info(next(iter(stems.values())))
    columns = {name: SpectrumColumns(info.samplerate, info.channels) for name in (MIXTURE, *stems)}
    for blocks in _read(stems):
        for name, block in blocks.items():
            columns[name].process(block)
    audio = dict.fromkeys(columns, b"") if excerpt is None else _encode(stems, excerpt)
    return [Track(name, each.finish(), audio[name]) for name, each in columns.items()]


def _read(stems: Mapping[str, Path]) -> Iterator[dict[str, FloatArray]]:
    """Yield blocks ``(channels, samples)`` of the mixture and of the stems."""
    sources = [
        soundfile.blocks(path, _BLOCK_SAMPLES, dtype="float32", always_2d=True) for path in stems.values()
    ]
    for blocks in zip(*sources, strict=True):
        parts = {name: block.T for name, block in zip(stems, blocks, strict=True)}
        yield {MIXTURE: np.sum(list(parts.values()), axis=0), **parts}


def _encode(stems: Mapping[str, Path], excerpt: Excerpt) -> dict[str, bytes]:
    parts: dict[str, FloatArray] = {}
    sample_rate = 0
    for name, path in stems.items():
        with soundfile.SoundFile(path) as file:
            sample_rate = file.samplerate
            file.seek(round(excerpt.start_s * sample_rate))
            parts[name] = file.read(round(excerpt.length_s * sample_rate), dtype="float32", always_2d=True)
    tracks = {MIXTURE: np.asarray(np.sum(list(parts.values()), axis=0)), **parts}
    # one gain for all, as of stems that are written
    gain = 1 / max(1.0, *(float(np.abs(track).max(initial=0)) for track in tracks.values()))
    return {name: _encode_mp3(track * np.float32(gain), sample_rate) for name, track in tracks.items()}


def _encode_mp3(samples: FloatArray, sample_rate: int) -> bytes:
    """Return samples ``(samples, channels)`` as mp3, of more than two channels their mean."""
    if samples.shape[1] > 2:
        samples = samples.mean(axis=1, keepdims=True)
    file = BytesIO()
    encoding = Encoding("mp3", "MPEG_LAYER_III", _KBITS)
    encoder = open_encoder(
        file, encoding, sample_rate=sample_rate, n_channels=samples.shape[1], n_samples=len(samples)
    )
    encoder.write(np.ascontiguousarray(samples))
    encoder.finish()
    return file.getvalue()


def make_page(title: str, tracks: list[Track], found: SongAnalysis, excerpt: Excerpt | None) -> str:
    """Return the page as HTML."""
    top_db = max(float(track.spectrum.bands_db.max()) for track in tracks)
    rows = "\n".join(_make_row(track, found, top_db) for track in tracks)
    shown = html.escape(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{shown}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1>{shown}</h1>
<dl>
{_make_facts(found)}
</dl>
</header>
<main>
{_make_chords(found)}
{rows}
{_make_axis(found)}
</main>
<footer>
{_describe_excerpt(excerpt)} Spectrograms from 40 Hz to 16 kHz on one scale of 70 dB, levels from -60 to 0 dB.
</footer>
<script>
for (const player of document.querySelectorAll("audio"))
  player.addEventListener("play", () => {{
    for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
  }});
</script>
</body>
</html>
"""


def _make_facts(found: SongAnalysis) -> str:
    facts = {
        "length": clock(found.duration_s),
        "tempo": "no beat" if found.beats is None else f"{found.beats.bpm:.1f} bpm",
        "key": "no key" if found.key is None else f"{found.key.name} ({found.key.camelot})",
        "tuning": "unknown" if found.tuning_cents is None else f"{found.tuning_cents:+.0f} cents",
        "loudness": _describe_loudness(found.loudness_lufs),
    }
    return "\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())


def _describe_loudness(lufs: float | None) -> str:
    return "silent" if lufs is None else f"{lufs:.1f} LUFS"


def _make_chords(found: SongAnalysis) -> str:
    named = [chord for chord in found.chords if chord.name != "N"]
    if not named:
        return '<p class="none">No chords were found.</p>'
    spans = "".join(
        f'<span style="left:{_percent(chord.start_s, found)};'
        f'width:{_percent(chord.stop_s - chord.start_s, found)}" '
        f'title="{html.escape(chord.name)} at {clock(chord.start_s)}">{html.escape(chord.name)}</span>'
        for chord in named
    )
    return f'<div class="lane chords" role="img" aria-label="{len(named)} chords">{spans}</div>'


def _make_row(track: Track, found: SongAnalysis, top_db: float) -> str:
    """Return one track: its name, loudness and player, and its spectrogram with levels and bars over it."""
    colour = _COLOURS.get(track.name, _PLAIN)
    picture = base64.b64encode(make_png(track.spectrum.bands_db, top_db, colour)).decode()
    name = html.escape(track.name)
    lufs = found.loudness_lufs if track.name == MIXTURE else found.stems[track.name].loudness_lufs
    player = ""
    if track.audio:
        data = base64.b64encode(track.audio).decode()
        player = f'<audio controls aria-label="{name}" src="data:audio/mpeg;base64,{data}"></audio>'
    kind = track.name if track.name in _COLOURS else "original"
    return f"""<section style="--colour: var(--{kind})">
<div class="side"><h2>{name}</h2><p>{_describe_loudness(lufs)}</p>{player}</div>
<div class="picture">
<img alt="Spectrogram of {name}" src="data:image/png;base64,{picture}">
{_make_lines(track, found)}
</div>
</section>"""


def _make_lines(track: Track, found: SongAnalysis) -> str:
    """Return the level curve, the bars, and where the stem sounds, over a picture of 1000 x 100."""
    heights = 100 * np.clip(track.spectrum.level_db / _LEAST_DB, 0, 1)
    places = np.linspace(0, 1000, len(heights)) if len(heights) > 1 else np.zeros(1)
    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True))
    downbeats = () if found.beats is None else tuple(found.beats.downbeats_s)
    bars = "".join(f"M{_scale(time, found):.1f} 0V100" for time in downbeats)
    analysed = found.stems.get(track.name)
    sounds = "".join(
        f"M{_scale(start_s, found):.1f} 99H{_scale(stop_s, found):.1f}"
        for start_s, stop_s in (() if analysed is None else analysed.intervals_s)
    )
    return (
        '<svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="bars" d="{bars}"/><path class="sounds" d="{sounds}"/>'
        f'<polyline class="level" points="{curve}"/></svg>'
    )


def _make_axis(found: SongAnalysis) -> str:
    step_s = next((step for step in (1, 2, 5, 10, 30, 60, 300) if found.duration_s / step <= 12), 600)
    marks = "".join(
        f'<span style="left:{_percent(time, found)}">{clock(time)}</span>'
        for time in range(0, int(found.duration_s) + 1, step_s)
    )
    return f'<div class="lane axis" aria-hidden="true">{marks}</div>'


def _describe_excerpt(excerpt: Excerpt | None) -> str:
    if excerpt is None:
        return "No excerpts."
    start, stop = clock(excerpt.start_s), clock(excerpt.start_s + excerpt.length_s)
    return f"Excerpts from {start} to {stop}, mp3 of {_KBITS} kbit/s."


def _scale(time_s: float, found: SongAnalysis) -> float:
    return 1000 * time_s / found.duration_s


def _percent(time_s: float, found: SongAnalysis) -> str:
    return f"{100 * time_s / found.duration_s:.2f}%"


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds.

    >>> clock(222.4), clock(0)
    ('3:42', '0:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
