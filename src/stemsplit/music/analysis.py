"""The analysis of one song: everything that producers and DJs want to know of it.

An `Analyser` takes the mixture and the stems block by block, as they come out of the separation; `finish`
estimates beats from the drums, key and chords from bass and other, loudness of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from stemsplit.models.activity import ActivityRun, Timeline
from stemsplit.music.bars import describe_bars
from stemsplit.music.chords import Chord, estimate_chords
from stemsplit.music.drum_presence import DrumPresence
from stemsplit.music.features import ChromaFeatures, OnsetFeatures
from stemsplit.music.key import Key, estimate_key, estimate_tuning, fold_to_semitones
from stemsplit.music.loudness import LoudnessMeter
from stemsplit.music.style import Style, StyleClassifier, StyleMeter, style_model
from stemsplit.music.tempo import Beats, estimate_beats
from stemsplit.types import FloatArray

RHYTHM: Final = ("drums", "kick", "snare", "cymbals")  # together, or their parts
HARMONY: Final = ("bass", "other")
LEAST_DRUMS_LU: Final = -30.0  # drums softer than the song by more are no drums


@dataclass(frozen=True)
class StemAnalysis:
    """One stem: its loudness in LUFS (None for silence), and from when to when it sounds, in seconds.

    `activity` is where the model's own detector finds it in the mixture, if the model has one.
    """

    loudness_lufs: float | None
    intervals_s: Sequence[tuple[float, float]]
    activity: Timeline | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them, without an activity that no model states."""
        return {name: value for name, value in asdict(self).items() if name != "activity" or value}


@dataclass(frozen=True)
class SongAnalysis:
    """What is known of a song; a part that could not be found is None or empty.

    Attributes
    ----------
    duration_s : float
    loudness_lufs : float or None
        Integrated loudness of the mixture after EBU R 128; None for silence.
    beats : Beats or None
    key : Key or None
    tuning_cents : float
        How far the song lies above A = 440 Hz.
    chords : sequence of Chord
    stems : mapping of str to StemAnalysis
    drums_s : sequence of (float, float)
        From when to when drums play, see `stemsplit.music.drum_presence`; empty if they do not.
    bars : FloatArray
        What each bar sounds like, see `stemsplit.music.bars.describe_bars`; not part of the JSON.
    style : Style or None
        The kind of music; None for silence.
    """

    duration_s: float
    loudness_lufs: float | None
    beats: Beats | None
    key: Key | None
    tuning_cents: float | None
    chords: Sequence[Chord] = ()
    stems: Mapping[str, StemAnalysis] = field(default_factory=dict)
    drums_s: Sequence[tuple[float, float]] = ()
    bars: FloatArray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    style: Style | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        beats, key = self.beats, self.key
        return {
            "duration_s": round(self.duration_s, 3),
            "loudness_lufs": self.loudness_lufs,
            "bpm": None if beats is None else round(beats.bpm, 2),
            "beats_s": [] if beats is None else [round(float(time), 3) for time in beats.times_s],
            "downbeats_s": [] if beats is None else [round(float(time), 3) for time in beats.downbeats_s],
            "key": None if key is None else key.name,
            "key_confidence": None if key is None else key.confidence,
            "camelot": None if key is None else key.camelot,
            "tuning_cents": self.tuning_cents,
            "chords": [asdict(chord) for chord in self.chords],
            "drums_s": [list(interval) for interval in self.drums_s],
            "style": None if self.style is None else self.style.to_dict(),
            "stems": {name: stem.to_dict() for name, stem in self.stems.items()},
        }


class Analyser:
    """Collects what the estimates need, block by block.

    Parameters
    ----------
    sample_rate
        Of the song, in Hz.
    n_channels
        Of the song.
    timelines
        Detectors of models that state where their targets play.
    """

    def __init__(self, *, sample_rate: int, n_channels: int, timelines: Sequence[ActivityRun] = ()) -> None:
        self._timelines = timelines
        self._sample_rate = sample_rate
        self._n_channels = n_channels
        self._n_samples = 0
        self._song = self._meter()
        self._stems: dict[str, LoudnessMeter] = {}
        self._song_onsets, self._drum_onsets = OnsetFeatures(sample_rate), OnsetFeatures(sample_rate)
        self._song_chroma, self._harmony_chroma = ChromaFeatures(sample_rate), ChromaFeatures(sample_rate)
        self._has_harmony = False
        self._presence = DrumPresence(sample_rate)
        self._style = StyleMeter(StyleClassifier(style_model()), sample_rate)

    def process(self, mixture: FloatArray, stems: Mapping[str, FloatArray]) -> None:
        """Take a block ``(channels, samples)`` of the mixture and of every stem."""
        self.process_mixture(mixture)
        self.process_stems(stems)

    def process_mixture(self, mixture: FloatArray) -> None:
        """Take a block ``(channels, samples)`` of the mixture; may run beside `process_stems`."""
        self._n_samples += mixture.shape[-1]
        self._song.process(mixture)
        self._song_onsets.process(mixture)
        self._song_chroma.process(mixture)
        self._presence.process(mixture)
        self._style.process(mixture)
        for timeline in self._timelines:
            timeline.process(mixture)

    def process_stems(self, stems: Mapping[str, FloatArray]) -> None:
        """Take a block ``(channels, samples)`` of every stem."""
        for name, waveform in stems.items():
            self._stems.setdefault(name, self._meter()).process(waveform)
        drums = [stems[name] for name in RHYTHM if name in stems]
        if drums:
            self._drum_onsets.process(_add_up(drums))
        harmony = [stems[name] for name in HARMONY if name in stems]
        if harmony:
            self._has_harmony = True
            self._harmony_chroma.process(_add_up(harmony))

    def finish(self) -> SongAnalysis:
        """Return the analysis of the song that has been taken."""
        onsets = self._drum_onsets if self._has_drums() else self._song_onsets
        onsets.flush()
        if onsets is not self._song_onsets:
            self._song_onsets.flush()
        harmony = self._harmony_chroma if self._has_harmony else self._song_chroma
        harmony.flush()
        duration_s = self._n_samples / self._sample_rate
        loudness = self._song.integrated_lufs
        activity = {
            target: found for timeline in self._timelines for target, found in timeline.finish().items()
        }
        stems = {
            name: StemAnalysis(meter.integrated_lufs, meter.intervals_s(), activity.get(name))
            for name, meter in self._stems.items()
        }
        if loudness is None:
            return SongAnalysis(duration_s, None, None, None, None, (), stems)
        tuning_cents = estimate_tuning(harmony.chroma)
        chroma = fold_to_semitones(harmony.chroma, tuning_cents)
        beats = estimate_beats(
            onsets.strength,
            onsets.low,
            song=self._song_onsets.strength,
            chroma=chroma if self._has_harmony else None,
        )
        chords = estimate_chords(chroma, None if beats is None else beats.times_s, duration_s)
        bars = describe_bars(onsets.strength, onsets.low, chroma, beats)
        key, drums_s = estimate_key(chroma), self._find_drums()
        style = self._style.finish()
        return SongAnalysis(
            duration_s, loudness, beats, key, tuning_cents, chords, stems, drums_s, bars, style
        )

    def _find_drums(self) -> list[tuple[float, float]]:
        """Return where the network finds drums in the mixture; the drums stem must be loud there, if any."""
        self._presence.flush()
        drums = [self._stems[name].powers for name in RHYTHM if name in self._stems]
        return self._presence.intervals_s(self._song.powers, np.sum(drums, axis=0) if drums else None)

    def _meter(self) -> LoudnessMeter:
        return LoudnessMeter(self._sample_rate, self._n_channels)

    def _has_drums(self) -> bool:
        """Whether the drums are loud enough to tell the beat."""
        song = self._song.integrated_lufs
        drums = [self._stems[name].integrated_lufs for name in RHYTHM if name in self._stems]
        return song is not None and any(each is not None and each > song + LEAST_DRUMS_LU for each in drums)


def _add_up(waveforms: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(np.sum(waveforms, axis=0, dtype=np.float32))
