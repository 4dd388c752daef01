"""How a song is read for the pipelines: not more than a network needs, and no less."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit import Separator
from stemsplit.dsp.blocks import regroup
from stemsplit.separation.song_stream import choose_lengths, read_chunks
from tests.conftest import make_noise
from tests.support.external_models import write_waveform


@pytest.fixture(params=["spectral", "waveform"])
def separator(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Separator:
    model = tiny_model if request.param == "spectral" else write_waveform(tmp_path)
    return Separator(models=[model], device="cpu")


@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_each_block_completes_the_chunks_of_one_inference(
    separator: Separator, sample_rate: int, batch_size: int
) -> None:
    pipelines = separator._pipelines
    lengths = choose_lengths(pipelines, batch_size, sample_rate)
    mixture = make_noise(2, lengths[0] + 4 * lengths[1])
    runs = [pipeline.begin(sample_rate=sample_rate, n_channels=2) for pipeline in pipelines]
    pieces = list(read_chunks(runs, [mixture], lengths, sample_rate, 2))
    assert [len(piece.chunks[0]) for piece in pieces[:5]] == [batch_size] * 5


def test_the_first_block_is_no_longer_than_the_first_chunk_needs(tiny_model: Path) -> None:
    separator = Separator(models=[tiny_model], device="cpu")
    (pipeline,) = separator._pipelines
    n_first, n_samples = choose_lengths([pipeline], 1, 44100)
    run = pipeline.begin(sample_rate=44100, n_channels=2)
    assert not run.open_input().process(make_noise(2, n_first - 512 - 44100 // 20))
    assert n_first < 2 * n_samples


def test_regroup_has_a_first_block_of_its_own_length() -> None:
    samples = np.arange(20, dtype=np.float32)[None]
    found = list(regroup([samples[:, :3], samples[:, 3:]], 6, n_first=9))
    assert [block.shape[1] for block in found] == [9, 6, 5]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), samples)
