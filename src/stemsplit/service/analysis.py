"""Tempo and key of a song, from its stems as they lie in its folder."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import soundfile

from stemsplit.music.analysis import Analyser, SongAnalysis
from stemsplit.types import FloatArray

_BLOCK_SAMPLES = 65536


def analyse_tracks(original: Path, stems: Mapping[str, Path]) -> SongAnalysis:
    """Analyse a song in bounded memory.

    Parameters
    ----------
    original
        The mixture, as `stemsplit.service.playback.make_preview` writes it.
    stems
        File of each stem, of the same length, see `stemsplit.service.tracks`.
    """
    with ExitStack() as stack:
        mixture = stack.enter_context(soundfile.SoundFile(original))
        files = {name: stack.enter_context(soundfile.SoundFile(path)) for name, path in stems.items()}
        analyser = Analyser(sample_rate=mixture.samplerate, n_channels=mixture.channels)
        for _ in range(0, mixture.frames, _BLOCK_SAMPLES):
            blocks = {name: _read(file) for name, file in files.items()}
            analyser.process(_read(mixture), blocks)
    return analyser.finish()


def _read(file: soundfile.SoundFile) -> FloatArray:
    samples: FloatArray = file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)
    return samples.T
