"""Segments: full coverage, weights that restore the input, bounded memory, independence of blocks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.dsp.cross_fade import WeightedOverlapAdd
from stemsplit.dsp.segments import FADES, Segment, Segmenter, SegmentSpec
from stemsplit.errors import SettingsError
from stemsplit.types import FloatArray
from tests.conftest import make_noise


@st.composite
def specs(draw: st.DrawFn) -> SegmentSpec:
    """Draw a spec of segments that cover a song."""
    trim = draw(st.integers(0, 10))
    length = draw(st.integers(2 * trim + 2, 80))
    step = draw(st.integers(1, length - 2 * trim))
    lead = draw(st.integers(trim, length - 1))
    return SegmentSpec(length, step, lead, trim, draw(st.sampled_from(FADES)), draw(st.booleans()))


def cut_and_join(spec: SegmentSpec, song: FloatArray, edges: list[int]) -> FloatArray:
    """Cut a song into segments and join them, unchanged."""
    segmenter, join = Segmenter(spec, n_channels=len(song)), WeightedOverlapAdd(spec)
    done = []
    for start, stop in pairwise([0, *edges, song.shape[1]]):
        found = list(segmenter.process(song[:, start:stop]))
        done += [join.process(each.waveform[:, each.kept], is_last=each.is_last) for each in found]
        assert segmenter._buffer.shape[1] <= 3 * spec.length + stop - start
    for each in segmenter.flush():
        assert each.waveform.shape == (len(song), spec.length)
        done.append(join.process(each.waveform[:, each.kept], is_last=each.is_last))
    return np.concatenate(done, axis=1)


def cut(spec: SegmentSpec, song: FloatArray) -> list[Segment]:
    """Return all segments of a song."""
    segmenter = Segmenter(spec, n_channels=len(song))
    return [*segmenter.process(song), *segmenter.flush()]


@given(spec=specs(), n_samples=st.integers(1, 300), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_unchanged_segments_restore_the_song(spec: SegmentSpec, n_samples: int, cuts: list[int]) -> None:
    song = make_noise(2, n_samples)
    edges = sorted(min(place, n_samples) for place in cuts)
    np.testing.assert_allclose(cut_and_join(spec, song, edges), song, atol=1e-6)


@given(spec=specs(), n_samples=st.integers(1, 200), place=st.integers(0, 200))
def test_segments_do_not_depend_on_blocks(spec: SegmentSpec, n_samples: int, place: int) -> None:
    song = make_noise(1, n_samples)
    edge = min(place, n_samples)
    expected = cut(spec, song)
    parts = Segmenter(spec, n_channels=1)
    found = [*parts.process(song[:, :edge]), *parts.process(song[:, edge:]), *parts.flush()]
    assert [(each.kept, each.is_last) for each in found] == [(each.kept, each.is_last) for each in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.waveform, other.waveform)
    assert [each.is_last for each in found] == [False] * (len(found) - 1) + [True]


def test_a_last_segment_is_moved_back_into_the_music() -> None:
    song = np.arange(1, 26, dtype=np.float32)[None]
    *_, last = cut(SegmentSpec(10, 8, centre_last=True), song)
    # one sample is left for the segment at 24: nine are missing, four of them before it
    np.testing.assert_array_equal(last.waveform[0], [21, 22, 23, 24, 25, 0, 0, 0, 0, 0])
    assert last.kept == slice(4, 5)


def test_a_last_segment_is_padded_with_zeros() -> None:
    song = np.arange(1, 26, dtype=np.float32)[None]
    *_, last = cut(SegmentSpec(10, 8), song)
    np.testing.assert_array_equal(last.waveform[0], [25, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert last.kept == slice(0, 1)


def test_trimmed_ends_have_no_weight() -> None:
    spec = SegmentSpec(20, 8, lead=4, trim=4)
    assert not spec.weights[:4].any()
    assert not spec.weights[-4:].any()
    assert spec.weights[4:-4].all()


@pytest.mark.parametrize("lengths", [(10, 0), (10, 11), (10, 8, 2, 2), (10, 8, 0, 1), (10, 5, 10)], ids=str)
def test_segments_that_leave_gaps_are_rejected(lengths: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="do not cover"):
        SegmentSpec(*lengths)
