"""``models info``: what counts for a person, everything as JSON."""

import dataclasses
from pathlib import Path

from stemsplit.models.description import Description
from tests.support.cli import call
from tests.support.external_models import write_complex, write_magnitude


def test_a_person_sees_what_counts_and_json_has_all(tmp_path: Path) -> None:
    path = write_complex(tmp_path, "compensate = 1.035", 'complement = "band"')
    lines = dict(line.split(maxsplit=1) for line in call("models", "info", path).lines)
    assert lines["compensate"] == "1.035"
    assert lines["targets"] == "vocals, band"
    assert lines["graphs"] == "mdx.onnx (vocals)"
    assert (lines["licence"], lines["training_data"]) == ("unknown", "unknown")
    # defaults, and what has no meaning for such a model
    assert not {"trim", "denoise", "attribution", "chunk_s", "masking", "n_samples"} & set(lines)
    (record,) = call("models", "info", path, "--json").records
    assert {field.name for field in dataclasses.fields(Description)} <= set(record)


def test_what_differs_from_the_default_is_shown(tmp_path: Path) -> None:
    shown = call("models", "info", write_magnitude(tmp_path, "chunk_s = 7.0")).text
    assert "chunk_s         7.0" in shown
    assert "graphs          vocals.onnx (vocals), drums.onnx (drums)" in shown
