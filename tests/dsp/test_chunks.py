"""Chunks and their cross-fade: full coverage, complementary weights, positions given by the length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.dsp.chunks import Chunk, Chunker, ChunkSpec
from stemsplit.dsp.cross_fade import CrossFade
from stemsplit.errors import SettingsError
from stemsplit.types import ComplexArray


def make_frames(n_frames: int) -> ComplexArray:
    """Return frames whose values are their indices."""
    return (np.arange(n_frames) + np.zeros((1, 2, 1))).astype(np.complex64)


def cut(spec: ChunkSpec, spectrogram: ComplexArray, block: int) -> list[Chunk]:
    chunker = Chunker(spec)
    chunks: list[Chunk] = []
    for at in range(0, spectrogram.shape[-1], block):
        chunks += chunker.process(spectrogram[..., at : at + block])
    return [*chunks, *chunker.flush()]


@st.composite
def chunk_specs(draw: st.DrawFn) -> ChunkSpec:
    step = draw(st.integers(1, 40))
    return ChunkSpec(
        step=step,
        fade=draw(st.integers(0, step)),
        context=draw(st.integers(0, 30)),
        lead=draw(st.integers(0, step - 1)),
    )


@given(spec=chunk_specs(), n_frames=st.integers(1, 200), block=st.integers(1, 60))
def test_cross_faded_chunks_restore_the_frames(spec: ChunkSpec, n_frames: int, block: int) -> None:
    frames = make_frames(n_frames)
    fade = CrossFade(spec)
    parts = [
        fade.process(chunk.spectrogram[..., chunk.kept], is_last=chunk.is_last)
        for chunk in cut(spec, frames, block)
    ]
    np.testing.assert_allclose(np.concatenate(parts, axis=-1), frames, rtol=1e-6)


@given(spec=chunk_specs(), n_frames=st.integers(1, 200), block=st.integers(1, 60))
def test_positions_do_not_depend_on_blocks(spec: ChunkSpec, n_frames: int, block: int) -> None:
    frames = make_frames(n_frames)
    by_block, at_once = cut(spec, frames, block), cut(spec, frames, n_frames)
    assert [chunk.kept for chunk in by_block] == [chunk.kept for chunk in at_once]
    assert [chunk.is_last for chunk in by_block] == [False] * (len(by_block) - 1) + [True]
    for one, other in zip(by_block, at_once, strict=True):
        np.testing.assert_array_equal(one.spectrogram, other.spectrogram)


@given(spec=chunk_specs(), n_frames=st.integers(1, 200))
def test_context_is_the_real_neighbourhood(spec: ChunkSpec, n_frames: int) -> None:
    for number, chunk in enumerate(cut(spec, make_frames(n_frames), 17)):
        start = max(0, number * spec.step - spec.lead)
        indices = chunk.spectrogram[0, 0].real
        first, last = indices[0], indices[-1]
        assert first == max(0, start - spec.context)
        stop = min(number * spec.step - spec.lead + spec.step + spec.fade, n_frames)
        assert last == min(stop + spec.context, n_frames) - 1
        kept = indices[chunk.kept]
        assert (kept[0], kept[-1]) == (start, stop - 1)


def test_neighbours_are_cross_faded_linearly() -> None:
    spec = ChunkSpec(step=4, fade=2, context=0)
    fade = CrossFade(spec)
    ones = np.ones((1, 1, 6), dtype=np.complex64)
    first = fade.process(ones, is_last=False)
    second = fade.process(0 * ones, is_last=True)
    np.testing.assert_allclose(first, ones[..., :4])
    np.testing.assert_allclose(second[0, 0], [0.75, 0.25, 0, 0, 0, 0])


@pytest.mark.parametrize("lengths", [(0, 0, 0), (4, 5, 0), (4, -1, 0), (4, 2, -1), (4, 2, 0, 4)])
def test_lengths_out_of_range_are_rejected(lengths: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="overlap"):
        ChunkSpec(*lengths)


def test_seconds_are_rounded_to_frames() -> None:
    spec = ChunkSpec.from_seconds(chunk_s=10, overlap_s=1, context_s=0.51, frames_per_s=10)
    assert spec == ChunkSpec(step=90, fade=10, context=6)
