"""Graphs that hand on a state: the masks of a song in pieces are those of the whole."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from stemsplit.errors import DeviceError, ModelError
from stemsplit.models.device import Device
from stemsplit.models.features import make_features
from stemsplit.models.mask_model import MaskModel
from stemsplit.models.mask_stream import MaskStream
from stemsplit.types import FloatArray
from tests.support.tiny_models import make_spec, write_model

CPU = Device("cpu")
REACH = 3


def make_mixture(n_batch: int = 2, n_frames: int = 40) -> FloatArray:
    rng = np.random.default_rng(0)
    spectrogram = rng.standard_normal((2, n_batch, 2, 257, n_frames))
    return make_features((spectrogram[0] + 1j * spectrogram[1]).astype(np.complex64), "complex")


def to_complex(mixture: FloatArray) -> np.ndarray:
    return (mixture[:, ::2] + 1j * mixture[:, 1::2]).astype(np.complex64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> MaskModel:
    path = tmp_path_factory.mktemp("whole") / "tiny.onnx"
    return MaskModel(write_model(path, make_spec(n_context=REACH)), device=CPU)


@pytest.fixture
def streamed(tmp_path: Path) -> MaskModel:
    return MaskModel(write_model(tmp_path / "tiny.onnx", make_spec(delay_frames=REACH)), device=CPU)


def run_in_pieces(stream: MaskStream, mixture: FloatArray, lengths: tuple[int, ...]) -> FloatArray:
    """Return the masks of a song that is cut into pieces of `lengths`, the delay taken off."""
    *pieces, last = np.split(mixture, np.cumsum(lengths), axis=-1)
    padded = np.pad(last, ((0, 0), (0, 0), (0, 0), (0, REACH)))
    masks = [*map(stream.process, pieces), stream.process(padded, n_absent=REACH)]
    return np.concatenate(masks, axis=-1)[..., REACH:]


@pytest.mark.parametrize("lengths", [(), (20,), (1, 1, 1, 1, 30), (2, 5, 32)], ids=str)
def test_pieces_of_any_length_give_the_masks_of_the_whole(
    whole: MaskModel, streamed: MaskModel, lengths: tuple[int, ...]
) -> None:
    mixture = make_mixture()
    found = run_in_pieces(streamed.open_stream(), mixture, lengths)
    np.testing.assert_allclose(found, whole(to_complex(mixture)), atol=1e-6)


@pytest.mark.parametrize("n_frames", [1, 2, REACH, 40])
def test_a_song_at_one_call_is_the_same(whole: MaskModel, streamed: MaskModel, n_frames: int) -> None:
    spectrograms = to_complex(make_mixture(n_frames=n_frames))
    np.testing.assert_allclose(streamed(spectrograms), whole(spectrograms), atol=1e-6)


def test_frames_that_are_absent_matter(streamed: MaskModel, whole: MaskModel) -> None:
    """The tests above can fail: silence is not the end of a song."""
    mixture = make_mixture()
    padded = np.pad(mixture, ((0, 0), (0, 0), (0, 0), (0, REACH)))
    silent = streamed.open_stream().process(padded)[..., REACH:]
    assert np.abs(silent - whole(to_complex(mixture))).max() > 1e-3


def test_the_graph_hears_which_frames_are_the_songs() -> None:
    heard: list[list[float]] = []

    def run(mixture: FloatArray, present: FloatArray, state: FloatArray) -> tuple[FloatArray, FloatArray]:
        heard.append(present[0].tolist())
        return mixture, state

    stream = MaskStream(run, state_shape=(1,), delay_frames=2)
    for n_frames, n_absent in ((1, 0), (3, 0), (3, 2)):
        stream.process(np.zeros((1, 4, 5, n_frames), np.float32), n_absent=n_absent)
    assert heard == [[0, 0, 1], [0, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


def test_songs_do_not_share_a_state(streamed: MaskModel) -> None:
    mixture = make_mixture()
    first, second = streamed.open_stream(), streamed.open_stream()
    first.process(2 * mixture)
    np.testing.assert_array_equal(second.process(mixture), streamed.open_stream().process(mixture))


class ShortOfMemory:
    """A graph for which there is room for so many frames."""

    def __init__(self, model: MaskModel, room: int) -> None:
        self._model, self._room = model, room
        self.calls: list[int] = []

    def __call__(self, *arrays: FloatArray) -> tuple[FloatArray, ...]:
        self.calls.append(arrays[0].shape[-1])
        if self.calls[-1] > self._room:
            raise DeviceError("full")
        return self._model._run(*arrays)


def test_frames_are_halved_when_memory_runs_out(streamed: MaskModel) -> None:
    mixture = make_mixture(n_frames=20)
    graph = ShortOfMemory(streamed, room=6)
    stream = MaskStream(graph, state_shape=(1, 257, 2 * REACH), delay_frames=REACH)
    np.testing.assert_allclose(stream.process(mixture), streamed.open_stream().process(mixture), atol=1e-6)
    assert graph.calls == [20, 10, 5, 5, 10, 5, 5]


def test_no_room_for_one_frame_is_an_error(streamed: MaskModel) -> None:
    stream = MaskStream(ShortOfMemory(streamed, room=0), state_shape=(1, 257, 2 * REACH), delay_frames=REACH)
    with pytest.raises(DeviceError, match="full"):
        stream.process(make_mixture(n_frames=8))


def test_a_file_that_says_more_than_its_graph_does_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "liar.onnx", make_spec(n_context=REACH))
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, make_spec(delay_frames=REACH).to_metadata())
    onnx.save(graph, str(path))
    with pytest.raises(ModelError, match="must take 'mixture', 'present', 'state' and give 'mask', 'next_s"):
        MaskModel(path, device=CPU)


@pytest.mark.parametrize("shape", [["batch", "any", 257, 6], ["batch"]], ids=str)
def test_a_state_of_any_shape_is_refused(tmp_path: Path, shape: list[str | int]) -> None:
    path = write_model(tmp_path / "vague.onnx", make_spec(delay_frames=REACH))
    graph = onnx.load(str(path))
    inputs = [each for each in graph.graph.input if each.name != "state"]
    vague = onnx.helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, shape)
    del graph.graph.input[:]
    graph.graph.input.extend([*inputs, vague])
    onnx.save(graph, str(path))
    with pytest.raises(ModelError, match=r"'state'|not a model that onnxruntime"):
        MaskModel(path, device=CPU)


def test_a_delay_beyond_the_context_is_refused() -> None:
    with pytest.raises(ModelError, match="delay_frames"):
        make_spec(n_context=REACH, delay_frames=REACH + 1)


def test_the_format_version_says_what_a_reader_must_know() -> None:
    assert make_spec(delay_frames=REACH).to_metadata()["stemsplit.format_version"] == "3"
