"""Libraries, a soundfont and a measurement for the tests of the synthesis."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Library, to_int16

_HEADER = (
    "file,start_s,duration_s,channels,category,kind,instrument,piece,pitch,contains,split,name,source,"
    "licence,attribution"
)


def write_library(folder: Path, file: str, rows: Sequence[str], sound: np.ndarray) -> Library:
    """Write a library of one decoded file, `sound` ``(channels, samples)``, with the `rows` of its index."""
    (folder / "index.csv").write_text("\n".join((_HEADER, *rows)))
    (folder / "cache").mkdir()
    np.save(folder / "cache" / f"{file}.npy", to_int16(sound.astype(np.float32)))
    return Library(folder, folder / "cache")


def click(_: object, *, length_s: float, **__: object) -> np.ndarray:
    """Render one click, in place of a soundfont."""
    out = np.zeros((2, round(length_s * SAMPLE_RATE)), np.float32)
    out[:, 1000:1100] = 0.5
    return out


def share_below(waveform: np.ndarray, corner_hz: float) -> float:
    """Return the share of the power of a sound below a frequency."""
    power = np.square(np.abs(np.fft.rfft(waveform, axis=1))).sum(0)
    return float(power[np.fft.rfftfreq(waveform.shape[1], 1 / SAMPLE_RATE) < corner_hz].sum() / power.sum())
