"""The STFT: perfect reconstruction, streaming, alignment, and the check of the windows."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.dsp.stft import WINDOWS, Analysis, StftSpec, Synthesis, make_window
from stemsplit.errors import ModelError
from stemsplit.types import ComplexArray, FloatArray
from tests.conftest import make_noise

SPECS = [
    StftSpec(6144, 3072),
    StftSpec(4096, 1024, 0, "hann", "hann"),
    StftSpec(2048, 1000, 0, "hann", "rectangular"),
    StftSpec(512, 200, 400, "hamming", "hamming"),
    StftSpec(1024, 300),
    StftSpec(4096, 1024, 0, "hann", "hann", "centred"),
    StftSpec(512, 200, 400, "hamming", "hamming", "centred"),
    StftSpec(4096, 1024, 0, "hann", "hann", "same"),
    StftSpec(512, 200, 400, "hamming", "hamming", "same"),
    StftSpec(4096, 1024, 0, "hann", "hann", "delayed"),
    StftSpec(16, 16, 0, "rectangular", "rectangular"),
]


def analyse(spec: StftSpec, waveform: FloatArray, block: int) -> ComplexArray:
    analysis = Analysis(spec, n_channels=waveform.shape[0])
    parts = [analysis.process(waveform[:, at : at + block]) for at in range(0, waveform.shape[1], block)]
    return np.concatenate([*parts, analysis.flush()], axis=-1)


def synthesise(spec: StftSpec, spectrogram: ComplexArray, block: int) -> FloatArray:
    synthesis = Synthesis(spec)
    n_frames = spectrogram.shape[-1]
    parts = [synthesis.process(spectrogram[..., at : at + block]) for at in range(0, n_frames, block)]
    return np.concatenate([*parts, synthesis.flush()], axis=-1)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("n_samples", [1, 2, 77, 3072, 30001])
def test_inverse_restores_the_waveform(spec: StftSpec, n_samples: int) -> None:
    waveform = make_noise(2, n_samples)
    spectrogram = analyse(spec, waveform, n_samples)
    assert spectrogram.shape == (2, spec.n_bins, spec.n_frames(n_samples))
    rebuilt = synthesise(spec, spectrogram, 7)[:, :n_samples]
    assert rebuilt.shape == waveform.shape
    np.testing.assert_allclose(rebuilt, waveform, atol=1e-6)


@given(spec=st.sampled_from(SPECS), n_frames=st.integers(1, 40))
def test_counts_of_frames_and_samples_agree(spec: StftSpec, n_frames: int) -> None:
    n_samples = spec.n_samples(n_frames)
    if n_samples > 0:
        assert spec.n_frames(n_samples) == n_frames
        assert spec.n_frames(n_samples + spec.hop_length) == n_frames + 1
    else:
        assert spec.n_frames(1) > n_frames or n_samples == 0


@given(spec=st.sampled_from(SPECS), n_samples=st.integers(1, 9000), block=st.integers(1, 5000))
def test_analysis_does_not_depend_on_blocks(spec: StftSpec, n_samples: int, block: int) -> None:
    waveform = make_noise(1, n_samples)
    np.testing.assert_array_equal(analyse(spec, waveform, block), analyse(spec, waveform, n_samples))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_synthesis_does_not_depend_on_blocks(spec: StftSpec) -> None:
    spectrogram = analyse(spec, make_noise(2, 20000), 20000)
    whole = synthesise(spec, spectrogram, spectrogram.shape[-1])
    np.testing.assert_allclose(synthesise(spec, spectrogram, 1), whole, atol=1e-6)


def test_frame_starts_where_the_module_says() -> None:
    spec = StftSpec(512, 128, 0, "hann", "hann")
    waveform = make_noise(1, 4096)
    spectrogram = analyse(spec, waveform, 4096)
    start = 9 * spec.hop_length - spec.padding
    frame = np.fft.rfft(waveform[0, start : start + 512] * make_window("hann", 512))
    np.testing.assert_allclose(spectrogram[0, :, 9], frame, atol=1e-4)


def test_windows_that_cannot_reconstruct_are_rejected() -> None:
    with pytest.raises(ModelError, match="cannot reconstruct"):
        StftSpec(512, 512)
    with pytest.raises(ModelError, match="cannot reconstruct"):
        StftSpec(512, 300, 200)


@pytest.mark.parametrize(
    ("values", "named"),
    [((511, 100), "n_fft"), ((512, 0), "hop"), ((512, 600), "hop"), ((512, 9, 513), "win")],
)
def test_lengths_out_of_range_are_named_in_the_error(values: tuple[int, ...], named: str) -> None:
    with pytest.raises(ModelError, match=named):
        StftSpec(*values)


def test_unknown_window_is_named_in_the_error() -> None:
    with pytest.raises(ModelError, match="'kaiser'"):
        make_window("kaiser", 8)


@pytest.mark.parametrize(
    ("name", "scipy_name"), [("hann", "hann"), ("hamming", "hamming"), ("rectangular", "boxcar")]
)
@pytest.mark.parametrize("length", [2, 8, 255])
def test_windows_equal_the_periodic_ones_of_scipy(name: str, scipy_name: str, length: int) -> None:
    expected = scipy.signal.get_window(scipy_name, length, fftbins=True)
    np.testing.assert_allclose(make_window(name, length), expected, atol=1e-7)


def test_square_root_window_squares_to_hann() -> None:
    assert set(WINDOWS) == {"hann", "sqrt_hann", "hamming", "rectangular"}
    np.testing.assert_allclose(make_window("sqrt_hann", 64) ** 2, make_window("hann", 64), atol=1e-7)
