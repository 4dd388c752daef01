"""Activity timelines: a second output of a graph, which is no estimate."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stemsplit import ModelError, Separator
from stemsplit.models.activity import ACTIVITY, Timeline
from tests.support.external_models import write_description, write_graph

N_FRAMES, N_STEPS = 8, 4
RATE, HOP = 8000, 32


def write_activity_model(folder: Path, *, n_steps: int = N_STEPS, repeats: int = 1) -> Path:
    """Two targets; the first plays where the mixture sounds, the second nowhere. Steps may be repeated."""
    path = write_graph(folder / "timed.onnx", ["n", 1, 33, N_FRAMES], [0.5, 0.25], axis=1)
    model = onnx.load(path)
    constants = {
        "steps": np.array([-1, n_steps, N_FRAMES // n_steps]),
        "repeats": np.array([1, 1, repeats]),
        "one": np.array([1]),
        "floor": np.float32(0.05),
        "none": np.zeros((1, 1, 1), np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["input"], ["loud"], axes=[1, 2], keepdims=0),
            helper.make_node("Reshape", ["loud", "steps"], ["by_step"]),
            helper.make_node("ReduceMax", ["by_step"], ["loudest"], axes=[2], keepdims=0),
            helper.make_node("Greater", ["loudest", "floor"], ["is_loud"]),
            helper.make_node("Cast", ["is_loud"], ["played"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["played", "one"], ["first"]),
            helper.make_node("Mul", ["first", "none"], ["second"]),
            helper.make_node("Concat", ["first", "second"], ["once"], axis=1),
            helper.make_node("Tile", ["once", "repeats"], [ACTIVITY]),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info(ACTIVITY, TensorProto.FLOAT, ["n", 2, "steps"]))
    onnx.save(model, str(path))
    return write_description(
        folder,
        'output_kind = "magnitude"',
        'features = "magnitude"',
        'graph = "timed.onnx"',
        'targets = ["oboe", "tuba"]',
        f"sample_rate = {RATE}",
        "n_channels = 1",
        "n_fft = 64",
        f"hop_length = {HOP}",
        'output_layout = "batch targets channels bins frames"',
    )


def find_timelines(path: Path, blocks: list[np.ndarray], sample_rate: int = RATE) -> dict[str, Timeline]:
    separator = Separator(models=[path], device="cpu", threads=1)
    (model,) = separator.activity_models
    run = model.begin(sample_rate=sample_rate)
    for block in blocks:
        run.process(block)
    return run.finish()


def make_song() -> np.ndarray:
    """Half a second of silence, half a second of noise, half a second of silence."""
    song = np.zeros((2, 3 * RATE // 2), np.float32)
    song[:, RATE // 2 : RATE] = 0.3 * np.random.default_rng(0).standard_normal(RATE // 2)
    return song


def test_a_model_with_timelines_separates_like_any_other(tmp_path: Path) -> None:
    stems = Separator(models=[write_activity_model(tmp_path)], device="cpu", threads=1)(make_song(), RATE)
    np.testing.assert_allclose(stems["oboe"], 0.5 * make_song(), atol=1e-5)
    np.testing.assert_allclose(stems["tuba"], 0.25 * make_song(), atol=1e-5)


def test_a_timeline_states_where_its_target_plays(tmp_path: Path) -> None:
    found = find_timelines(write_activity_model(tmp_path), [make_song()])
    assert set(found) == {"oboe", "tuba"} and not any(found["tuba"].values)
    step_s = found["oboe"].step_s
    assert step_s == pytest.approx(HOP * N_FRAMES / N_STEPS / RATE)
    assert len(found["oboe"].values) == pytest.approx(1.5 / step_s, abs=2)
    playing = np.flatnonzero(found["oboe"].values) * step_s
    assert playing[0] == pytest.approx(0.5, abs=2 * step_s)
    assert playing[-1] == pytest.approx(1.0, abs=2 * step_s)


def test_timelines_do_not_depend_on_the_blocks(tmp_path: Path) -> None:
    path, song = write_activity_model(tmp_path), make_song()
    whole = find_timelines(path, [song])
    assert find_timelines(path, np.array_split(song, 7, axis=1)) == whole
    assert find_timelines(path, []) == {}
    assert find_timelines(path, [song[:, :10]])["oboe"].values == (0.0,)


@pytest.mark.parametrize("n_samples", [1, 2, 20])
def test_the_shortest_songs_have_a_timeline_or_none(tmp_path: Path, n_samples: int) -> None:
    found = find_timelines(write_activity_model(tmp_path), [np.ones((1, n_samples), np.float32)], 192000)
    assert {len(each.values) for each in found.values()} <= {1}


@pytest.mark.parametrize(("n_steps", "repeats"), [(8, 2), (4, 3), (8, 0)])
def test_steps_that_do_not_divide_the_frames_are_refused(tmp_path: Path, n_steps: int, repeats: int) -> None:
    path = write_activity_model(tmp_path, n_steps=n_steps, repeats=repeats)
    with pytest.raises(ModelError, match=rf"'activity' as \[1, 2, {n_steps * repeats}\]; .* divide 8 frames"):
        find_timelines(path, [make_song()])


def test_a_model_without_timelines_has_none(tmp_path: Path) -> None:
    write_graph(tmp_path / "plain.onnx", ["n", 1, 33, N_FRAMES], [0.5])
    path = write_description(
        tmp_path,
        'output_kind = "magnitude"',
        'features = "magnitude"',
        'graph = "plain.onnx"',
        'targets = ["oboe"]',
        "n_channels = 1",
        "n_fft = 64",
        f"hop_length = {HOP}",
    )
    assert Separator(models=[path], device="cpu", threads=1).activity_models == ()
