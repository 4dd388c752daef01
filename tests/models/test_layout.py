"""Layouts: axes by name, merged as einops merges them, sizes worked out from shapes."""

import numpy as np
import pytest

from stemsplit.errors import ModelError
from stemsplit.models.layout import Layout

NAMES = ("batch", "channels", "parts", "bins", "frames")


def test_merged_axes_are_packed_and_unpacked_as_named() -> None:
    array = np.random.default_rng(0).standard_normal((3, 2, 2, 5, 7)).astype(np.float32)
    layout = Layout.parse("batch (bins channels) frames parts")
    packed = layout.pack(array, NAMES)
    assert packed.shape == (3, 10, 7, 2)
    # bin 4 of channel 1: the last of the two runs fastest
    np.testing.assert_array_equal(packed[2, 9, :, 1], array[2, 1, 1, 4, :])
    sizes = {"channels": 2, "parts": 2}
    np.testing.assert_array_equal(layout.unpack(packed, NAMES, sizes), array)


def test_an_axis_that_is_not_there_has_the_length_one() -> None:
    layout = Layout.parse("batch channels samples")
    found = layout.unpack(np.zeros((1, 2, 9), np.float32), ("batch", "targets", "channels", "samples"), {})
    assert found.shape == (1, 1, 2, 9)


def test_what_a_shape_leaves_open_stays_open() -> None:
    layout = Layout.parse("batch (targets channels parts) bins frames")
    sizes = layout.solve([None, 16, 2049, None], {"channels": 2, "parts": 2})
    assert sizes == {"batch": None, "targets": 4, "channels": 2, "parts": 2, "bins": 2049, "frames": None}


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("batch channels bins", [1, 2, 3, 4], r"has the shape \[1, 2, 3, 4\]; described are the axes batch"),
        ("batch channels bins", [1, 3, 9], "has 3 channels; described are 2"),
        (
            "batch (channels bins)",
            [1, 7],
            r"has 7 on the axis \(channels bins\); described are 2 channels x any",
        ),
    ],
)
def test_contradictions_name_the_axis(text: str, shape: list[int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Layout.parse(text).solve(shape, {"channels": 2})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch chanels", "has the axis 'chanels'; there are batch, targets"),
        ("batch bins bins", "names an axis twice"),
        ("channels bins", "must have an axis of its own for the batch"),
        ("(batch channels) bins", "must have an axis of its own for the batch"),
    ],
)
def test_what_is_no_layout_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Layout.parse(text)
