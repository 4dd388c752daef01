"""What models of one family have in common: the values that a description need not repeat.

Sources: the families' own code (Open-Unmix 1.3, Spleeter 2.4, audio-separator 0.47 for MDX-Net, Demucs 4.1).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_STFT: Final = {"hop_length": 1024, "analysis_window": "hann", "synthesis_window": "hann"}
_MAGNITUDE: Final = {**_STFT, "output_kind": "magnitude", "features": "magnitude", "n_fft": 4096}

FAMILIES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        # one recurrent network a target: the chunk is as long as memory allows, with context on either side
        "open-unmix": {
            **_MAGNITUDE,
            "framing": "centred",
            "masking": "direct",
            "regularisation": 1e-5,
            "chunk_s": 20.0,
            "context_s": 2.5,
            "overlap": 0.025,
        },
        "spleeter": {
            **_MAGNITUDE,
            "framing": "delayed",
            "layout": "channels batch frames bins",
            "masking": "ratio",
            "overlap": 0.0,
        },
        # n_fft differs from model to model and cannot be read from the graph
        "mdx": {
            **_STFT,
            "output_kind": "complex",
            "features": "complex",
            "framing": "centred",
            "zeroed_bins": 3,
            "overlap": 0.25,
            "fade": "hann",
        },
        "htdemucs": {
            "output_kind": "waveform",
            "features": "waveform",
            "normalisation": "track",
            "overlap": 0.25,
            "fade": "triangle",
            "last_segment": "centred",
        },
        # the STFT is left out of the graph, which takes and gives a spectrogram beside the waveform
        "htdemucs-core": {
            **_STFT,
            "output_kind": "hybrid",
            "features": "hybrid",
            "n_fft": 4096,
            "framing": "same",
            "input_scale": 1 / 64,
            "normalisation": "track",
            "overlap": 0.25,
            "fade": "triangle",
            "last_segment": "centred",
        },
    }
)
