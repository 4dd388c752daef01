"""The picture of the example song and some of its stems: ``python -m docs.generate.spectrograms``.

It needs matplotlib, which comes with the extra ``train``.
"""

from io import BytesIO
from pathlib import Path

import librosa
import soundfile
from librosa.display import specshow
from matplotlib import pyplot
from PIL import Image

from stemsplit import separate
from stemsplit.types import FloatArray

ROOT = Path(__file__).parents[2]
SONG = ROOT / "examples" / "caesium.mp3"
PICTURE = ROOT / "docs" / "pictures" / "spectrograms.png"
STEMS = ("drums", "other")
START_S, STOP_S = 8.0, 13.0
N_FFT = 4096
HOP_LENGTH = 1024
N_MELS = 200
RANGE_DB = 70.0


def draw() -> None:
    """Separate the example song and draw the mixture beside its stems, on one colour scale."""
    samples, sample_rate = soundfile.read(SONG, dtype="float32", always_2d=True)
    stems = separate(samples.T, sample_rate, stems=list(STEMS), device="cpu")
    levels_db = {
        name: _levels_db(stem, sample_rate) for name, stem in {"mixture": samples.T, **stems}.items()
    }
    top_db = levels_db["mixture"].max()
    figure, axes = pyplot.subplots(1, len(levels_db), figsize=(10, 3), sharey=True, layout="constrained")
    for axis, (name, levels) in zip(axes, levels_db.items(), strict=True):
        specshow(
            levels,
            sr=sample_rate,
            hop_length=HOP_LENGTH,
            n_fft=N_FFT,
            x_axis="time",
            y_axis="mel",
            cmap="magma",
            vmin=top_db - RANGE_DB,
            vmax=top_db,
            ax=axis,
        )
        axis.set(title=name, xlabel="time, s", ylabel="")
        axis.label_outer()
    axes[0].set_ylabel("frequency, Hz")
    PICTURE.parent.mkdir(exist_ok=True)
    with BytesIO() as picture:
        figure.savefig(picture, dpi=80)
        Image.open(picture).convert("RGB").quantize(128).save(PICTURE, optimize=True)


def _levels_db(waveform: FloatArray, sample_rate: int) -> FloatArray:
    """Mel spectrogram of the excerpt in dB, ``(bands, frames)``, both channels added in power."""
    excerpt = waveform[:, round(START_S * sample_rate) : round(STOP_S * sample_rate)]
    power = librosa.feature.melspectrogram(
        y=excerpt, sr=sample_rate, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS
    )
    levels: FloatArray = librosa.power_to_db(power.sum(axis=0), amin=1e-9, top_db=None)
    return levels


if __name__ == "__main__":
    draw()
