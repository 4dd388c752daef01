"""A stem on standard output: a wav whose length may not be known."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemsplit.audio.encoding import Encoding
from stemsplit.audio.reader import open_audio
from stemsplit.audio.wav_pipe import WavStream
from stemsplit.audio.write_report import WriteReport
from stemsplit.errors import OutputError
from tests.support.audio_files import FloatArray, read_whole, tones
from tests.support.stem_sets import ENCODINGS, PCM16, RATE


def stream_out(
    file: Any, waveform: FloatArray, encoding: Encoding | None = None, n_samples: int | None = None
) -> WriteReport:
    with WavStream(
        file, sample_rate=RATE, n_channels=waveform.shape[0], encoding=encoding, n_samples=n_samples
    ) as pipe:
        for start in range(0, waveform.shape[1], 777):
            pipe.write(waveform[:, start : start + 777])
        return pipe.commit()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS[:4], ids=str)
def test_a_stem_on_stdout_is_a_wav(tmp_path: Path, encoding: Encoding, known: bool) -> None:
    waveform = tones(5001, 3)
    with (tmp_path / "out.wav").open("wb", buffering=0) as file:
        report = stream_out(file, waveform, encoding, 5001 if known else None)
    assert report == WriteReport(1.0, 0, float(np.abs(waveform).max()), 5001)
    assert np.abs(read_whole(tmp_path / "out.wav") - waveform).max() < 2e-5
    with open_audio(io.BytesIO((tmp_path / "out.wav").read_bytes())) as reader:
        assert reader.info.n_samples == (5001 if known else None)
        assert sum(block.shape[1] for block in reader.blocks()) == 5001


def test_stdout_counts_what_clips_and_announced_lengths_hold() -> None:
    buffer = io.BytesIO()
    report = stream_out(buffer, np.float32([[0.5, 1.0, -1.0, 2.0, -3.0]]), PCM16)
    assert (report.clipped_samples, report.peak, report.gain) == (3, 3.0, 1.0)
    with pytest.raises(OutputError, match="announced"):
        stream_out(io.BytesIO(), tones(10), n_samples=11)
    with pytest.raises(OutputError, match="stdout carries wav"):
        stream_out(io.BytesIO(), tones(10), Encoding("flac", "PCM_16"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_closed_pipe_and_a_full_device() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb", buffering=0) as pipe, pytest.raises(OutputError, match="closed the pipe"):
        stream_out(pipe, tones(10))
    if Path("/dev/full").exists():
        with (
            Path("/dev/full").open("wb", buffering=0) as full,
            pytest.raises(OutputError, match=r"stdout: .*space"),
        ):
            stream_out(full, tones(10))
