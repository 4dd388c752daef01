"""How a song is read for the pipelines: not further than a network needs."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit import Separator
from stemsplit.dsp.chunks import Chunker, ChunkSpec
from stemsplit.separation.song_stream import cut_chunks, gather
from stemsplit.separation.spectral_pipeline import SpectralPipeline
from tests.conftest import make_noise
from tests.support.external_models import write_waveform


@pytest.fixture(params=["spectral", "waveform"])
def separator(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Separator:
    model = tiny_model if request.param == "spectral" else write_waveform(tmp_path)
    return Separator(models=[model], device="cpu")


@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_piece_has_the_chunks_of_one_inference(
    separator: Separator, sample_rate: int, batch_size: int
) -> None:
    (pipeline,) = separator._pipelines
    run = pipeline.begin(sample_rate=sample_rate, n_channels=2)
    n_samples = round(pipeline.step_s * sample_rate / 5)
    mixture = make_noise(2, 5 * 4 * batch_size * n_samples)
    cut = cut_chunks([run], [mixture], n_samples, sample_rate=sample_rate, n_channels=2)
    *pieces, last = gather(cut, batch_size)
    assert [len(piece.chunks[0]) for piece in pieces] == [batch_size] * len(pieces)
    assert len(pieces) > 1
    joined = np.concatenate([piece.mixture for piece in [*pieces, last]], axis=1)
    np.testing.assert_array_equal(joined, mixture)


def test_the_first_inference_needs_no_second_chunk(tiny_model: Path) -> None:
    (pipeline,) = Separator(models=[tiny_model], device="cpu")._pipelines
    assert isinstance(pipeline, SpectralPipeline)
    run = pipeline.begin(sample_rate=44100, n_channels=2)
    mixture, n_samples = make_noise(2, 200_000), 2205
    first = next(gather(cut_chunks([run], [mixture], n_samples, sample_rate=44100, n_channels=2), 1))
    spec = pipeline.spec
    n_frames = spec.chunks.step + spec.chunks.fade + spec.chunks.context
    assert first.mixture.shape[1] <= n_frames * spec.stft.hop_length + spec.stft.n_fft + n_samples


def test_chunks_do_not_depend_on_the_pieces_that_come() -> None:
    spectrogram = np.arange(2 * 3 * 50, dtype=np.complex64).reshape(2, 3, 50)
    spec = ChunkSpec(step=7, fade=2, context=3)

    def cut(length: int) -> list[tuple[list[complex], slice, bool]]:
        chunker = Chunker(spec)
        chunks = []
        for start in range(0, 50, length):
            chunks += chunker.process(spectrogram[..., start : start + length])
        chunks += chunker.flush()
        return [(chunk.spectrogram.ravel().tolist(), chunk.kept, chunk.is_last) for chunk in chunks]

    assert cut(1) == cut(50) == cut(11)
