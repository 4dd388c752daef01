"""Quality of Vorbis, by which libsndfile encodes, and the nominal bit rates that libvorbis notes for it."""

import functools
import io
import struct
from typing import Final

import numpy as np

from stemsplit.audio.sndfile import PlainSoundFile

_N_STEPS: Final = 11
_HEADER: Final = b"\x01vorbis"
# above, libvorbis names no rates
_HIGHEST_HZ: Final = 48000


def find_quality(kbits: float, sample_rate: int, n_channels: int) -> float:
    """Return the quality, 0 to 1, whose nominal rate is a number of kbit/s for all channels."""
    rates = list_nominal_rates(sample_rate, n_channels)
    return float(np.interp(kbits, rates, np.linspace(0, 1, _N_STEPS)))


@functools.lru_cache
def list_nominal_rates(sample_rate: int, n_channels: int) -> tuple[float, ...]:
    """Return the nominal rates of the qualities 0, 0.1 ... 1, in kbit/s; between them they are linear."""
    sample_rate = min(sample_rate, _HIGHEST_HZ)
    return tuple(_read_nominal_rate(step, sample_rate, n_channels) for step in np.linspace(0, 1, _N_STEPS))


def _read_nominal_rate(quality: float, sample_rate: int, n_channels: int) -> float:
    """Return what the header of an empty file says."""
    file = io.BytesIO()
    PlainSoundFile(
        file, "w", sample_rate, n_channels, "VORBIS", format="OGG", compression_level=1 - quality
    ).close()
    data = file.getvalue()
    # version, channels, sample rate, highest rate, nominal rate
    fields = struct.unpack_from("<IBIii", data, data.index(_HEADER) + len(_HEADER))
    return int(fields[-1]) / 1000
