"""The figure of seams: borders that jump are told from those that do not."""

import numpy as np
import pytest

from benchmarks.window_seams import _make_row


def test_only_borders_count_as_seams() -> None:
    ramp = np.linspace(0, 1, 1000, dtype=np.float32)[None]
    assert _make_row(ramp, 100, 0.5) == {"overlap": 0.5, "n_borders": 9, "seam_db": pytest.approx(0, abs=0.1)}
    jumps = ramp + np.floor(np.arange(1000) / 100).astype(np.float32) * 9 / 999
    assert _make_row(jumps, 100, 0.0)["seam_db"] == pytest.approx(20, abs=0.1)
    assert _make_row(jumps, 90, 0.0)["seam_db"] < 15  # no window begins where most of it jumps
