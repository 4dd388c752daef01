"""Accompaniment stems: everything that is neither vocals, drums nor bass, arranged, rendered and mixed."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from scipy.ndimage import uniform_filter1d

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.synthesis.arrangement import Section, notes_in_sections
from stemsplit.training.synthesis.bus import apply_accompaniment_bus
from stemsplit.training.synthesis.effects import duck
from stemsplit.training.synthesis.ensemble import EnsembleRenderer, riser
from stemsplit.training.synthesis.guitars import GuitarRenderer, GuitarTone
from stemsplit.training.synthesis.harmony import Pulse
from stemsplit.training.synthesis.layers import (
    ACCOMPANIMENT_STYLES,
    VOICES,
    LayerScore,
    draw_accompaniment_style,
    draw_layers,
    layer_notes,
    parts_in_sections,
    read_score,
)
from stemsplit.training.synthesis.midi import MidiPart
from stemsplit.types import FloatArray

__all__ = ["BASSES", "VOICES", "OtherRenderer", "normalise_loudness"]

BASSES = range(32, 40)
# Relative loudness of each kind of layer in dB.
_LEVELS_DB = {"clean": -4, "acoustic": -3, "lead": -1, "solo": -1, "strings": -5, "pad": -7, "bell": -8}
_LEVELS_DB |= {
    "texture": -9,
    "riser": -9,
    "arpeggio": -4,
    "chip": -6,
    "e-piano": -4,
    "organ": -4,
    "skank": -3,
}
_DISTORTED = frozenset({"crunch", "high gain"})


class OtherRenderer:
    """Renders accompaniment stems; `items` are the notes that may be used."""

    def __init__(self, library: Library, items: Sequence[Item], rooms: Sequence[FloatArray]) -> None:
        self._rooms = rooms
        self._guitarist = GuitarRenderer(library, items, rooms)
        self._ensemble = EnsembleRenderer(library, items, rooms)

    def render(
        self, parts: Sequence[MidiPart], pulse: Pulse, *, length_s: float, rng: Generator
    ) -> RenderedStem:
        """Arrange and render the parts to the beat of the song, processed by the accompaniment's bus."""
        score = read_score(parts, pulse, length_s, rng)
        style = draw_accompaniment_style(rng)
        out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
        ingredients: set[str] = set()
        for kind, entry in draw_layers(ACCOMPANIMENT_STYLES[style], rng):
            layer, tone = self._render_layer(kind, entry, score, rng)
            if tone is not None and tone.sound in _DISTORTED and layer.any():
                ingredients.add("distortion")
            level_db = _LEVELS_DB.get(kind, 0) + rng.normal(0, 2.5)
            out += normalise_loudness(layer, level_db - 20)
        out *= _draw_dynamics(score.sections, out.shape[1], rng)
        if style == "electronic" and rng.random() < 0.6:
            beats_s = score.pulse.grid(1, length_s)
            depth, release_s = (
                float(rng.uniform(0.3, 0.95)),
                score.pulse.beat_s * float(rng.uniform(0.1, 0.4)),
            )
            out = duck(out, beats_s, depth=depth, release_s=release_s)
        return RenderedStem(apply_accompaniment_bus(rng, out, self._rooms), tuple(sorted(ingredients)))

    def _render_layer(
        self, kind: str, entry: float, score: LayerScore, rng: Generator
    ) -> tuple[FloatArray, GuitarTone | None]:
        """Render one layer, silent where it does not play; also return the tone if it is a guitar."""
        if kind == "riser":
            return self._render_risers(score, rng), None
        if kind == "texture":
            sound = self._ensemble.texture(score.pulse, length_s=score.length_s, rng=rng)
            return _gate(sound, score.sections, entry), None
        if kind == "parts":
            parts = parts_in_sections(score, entry, rng)
            return self._ensemble.parts(parts, length_s=score.length_s, rng=rng), None
        notes, tone = (
            notes_in_sections(layer_notes(kind, score, rng), score.sections, entry),
            _draw_tone(kind, rng),
        )
        if not notes:
            return np.zeros((2, round(score.length_s * SAMPLE_RATE)), np.float32), None
        if tone is not None:
            return self._guitarist.render(notes, tone, length_s=score.length_s, rng=rng), tone
        return self._ensemble.render(kind, notes, length_s=score.length_s, rng=rng), None

    def _render_risers(self, score: LayerScore, rng: Generator) -> FloatArray:
        out = np.zeros((2, round(score.length_s * SAMPLE_RATE)), np.float32)
        for section in score.sections[1:]:
            start_s = max(0.0, section.start_s - score.pulse.beat_s * float(rng.choice([4, 8])))
            out += riser(rng, start_s=start_s, end_s=section.start_s, length_s=score.length_s)
        return out


def normalise_loudness(waveform: FloatArray, level_db: float) -> FloatArray:
    """Scale to a root mean square of `level_db`, measured without pauses."""
    n_blocks = waveform.shape[1] // 2048
    if not n_blocks:
        return waveform
    powers = np.square(waveform[:, : 2048 * n_blocks]).reshape(2, n_blocks, 2048).mean((0, 2))
    sounding = powers[powers > 1e-4 * powers.max()]
    if not sounding.size or powers.max() < 1e-12:
        return waveform
    return waveform * np.float32(10 ** (level_db / 20) / np.sqrt(sounding.mean()))


def _draw_tone(kind: str, rng: Generator) -> GuitarTone | None:
    """Draw the tone of a guitar layer; None for other layers."""
    is_doubled = bool(rng.random() < 0.7)
    tones = {
        "power": GuitarTone("high gain", is_doubled=True),
        "crunch": GuitarTone("crunch", is_doubled=is_doubled),
        "clean": GuitarTone("clean", is_doubled=bool(rng.random() < 0.3)),
        "skank": GuitarTone("clean"),
        "acoustic": GuitarTone("acoustic", is_doubled=is_doubled),
        "lead": GuitarTone("high gain" if rng.random() < 0.6 else "crunch", is_lead=True),
    }
    return tones.get(kind)


def _draw_dynamics(sections: Sequence[Section], n_samples: int, rng: Generator) -> FloatArray:
    """Draw a gain per sample by which sparse sections are quieter."""
    range_db = float(rng.uniform(0, 14))
    gain_db = np.zeros(n_samples)
    for section in sections:
        piece = slice(round(section.start_s * SAMPLE_RATE), round(section.end_s * SAMPLE_RATE))
        gain_db[piece] = range_db * (section.density - 1)
    smooth = uniform_filter1d(gain_db, SAMPLE_RATE // 4, mode="nearest")
    return np.asarray(10 ** (smooth / 20), np.float32)


def _gate(waveform: FloatArray, sections: Sequence[Section], entry: float) -> FloatArray:
    """Keep only the sections whose density reaches `entry`, with faded edges."""
    gain = np.zeros(waveform.shape[1], np.float32)
    for section in sections:
        if section.density >= entry:
            gain[round(section.start_s * SAMPLE_RATE) : round(section.end_s * SAMPLE_RATE)] = 1
    return np.asarray(waveform * uniform_filter1d(gain, 1024, mode="nearest"), np.float32)
