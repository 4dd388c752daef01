"""What networks of other people give, and which fields of a description apply to each kind of output.

- ``mask``: a mask for each bin;
- ``magnitude``: the magnitude of each target;
- ``complex``: its complex spectrogram;
- ``complex_mask``: a complex mask, the mixture's spectrogram times which is the target's;
- ``waveform``: its waveform;
- ``hybrid``: a waveform and a complex spectrogram, whose sum is the target (Hybrid Demucs).
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

OutputKind = Literal["mask", "magnitude", "complex", "complex_mask", "waveform", "hybrid"]
Features = Literal["magnitude", "complex", "waveform", "hybrid"]
OUTPUT_KINDS: Final = get_args(OutputKind)
SPECTRAL_KINDS: Final = ("mask", "magnitude")
COMPLEX_KINDS: Final = ("complex", "complex_mask")
FEATURES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "mask": ("magnitude", "complex"),
    "magnitude": ("magnitude",),
    "complex": ("complex",),
    "complex_mask": ("complex",),
    "waveform": ("waveform",),
    "hybrid": ("hybrid",),
}
_WITH_STFT: Final = ("mask", "magnitude", "complex", "complex_mask", "hybrid")
_SEGMENTED: Final = ("complex", "complex_mask", "waveform", "hybrid")
# the output kinds to which a field applies; a field that is not here applies to all
KINDS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("n_fft", "hop_length", "win_length", "framing", "layout", "output_layout"), _WITH_STFT),
    **dict.fromkeys(("analysis_window", "synthesis_window"), _WITH_STFT),
    **dict.fromkeys(("n_bins", "zeroed_bins", "n_frames"), _WITH_STFT),
    **dict.fromkeys(("chunk_s", "context_s", "exhaustive", "regularisation"), SPECTRAL_KINDS),
    **dict.fromkeys(("fade", "trim", "last_segment", "normalisation", "denoise"), _SEGMENTED),
    "n_samples": ("waveform", "hybrid"),
    "mask_extension": SPECTRAL_KINDS,
    "masking": ("magnitude",),
}


def applies(field: str, kind: str) -> bool:
    """Tell whether a field of a description applies to an output kind."""
    return kind in KINDS_OF.get(field, OUTPUT_KINDS)
