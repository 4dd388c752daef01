"""Descriptions: short ones are filled up by their family, wrong ones refused by the name of the field."""

from pathlib import Path
from typing import Any

import pytest

from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError
from stemsplit.models.description import Description
from stemsplit.models.description_file import parse_description, read_description
from stemsplit.models.families import FAMILIES

UNMIX: dict[str, Any] = {
    "name": "umx",
    "family": "open-unmix",
    "graphs": {"vocals": "v.onnx", "drums": "d.onnx"},
}
MDX: dict[str, Any] = {
    "name": "mdx",
    "family": "mdx",
    "graph": "m.onnx",
    "targets": ["vocals"],
    "n_fft": 6144,
}
DEMUCS: dict[str, Any] = {"name": "ht", "family": "htdemucs", "graph": "h.onnx", "targets": ["drums", "bass"]}


def test_three_lines_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text(
        'name = "umxhq"\nfamily = "open-unmix"\ngraphs = { vocals = "v.onnx", drums = "d.onnx" }\n'
    )
    description = read_description(path)
    assert description.targets == ("vocals", "drums")
    assert description.files == ("v.onnx", "d.onnx")
    assert description.stft == StftSpec(4096, 1024, 0, "hann", "hann", "centred")
    assert description.commercial == "unknown"


def test_every_family_is_complete() -> None:
    for family in FAMILIES:
        given = {"name": "a", "family": family, "graph": "a.onnx", "targets": ["vocals"]}
        assert parse_description(given | ({"n_fft": 6144} if family == "mdx" else {})).family == family


def test_any_field_may_be_overridden() -> None:
    changed = parse_description(
        MDX | {"hop_length": 512, "zeroed_bins": 0, "overlap": 0.5, "commercial": False}
    )
    assert (changed.hop_length, changed.zeroed_bins, changed.overlap) == (512, 0, 0.5)
    assert changed.commercial is False


def test_open_unmix_covers_all_music_with_several_networks_only() -> None:
    assert parse_description(UNMIX).exhaustive
    assert not parse_description(UNMIX | {"graphs": {"vocals": "v.onnx"}}).exhaustive
    assert not parse_description(UNMIX | {"exhaustive": False}).exhaustive


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        (UNMIX, {"famly": "mdx"}, "unknown field 'famly'; did you mean 'family'"),
        (UNMIX, {"family": "umx"}, "unknown family 'umx'"),
        (UNMIX, {"family": ["mdx"]}, r"family is \['mdx'\]; it must be text"),
        (UNMIX, {"name": ""}, "name is ''; it must be text, and not empty"),
        (UNMIX, {"name": 3}, "name is 3; it must be text"),
        (UNMIX, {"graphs": {}}, "no targets"),
        (UNMIX, {"graphs": {"vocals": 1}}, r"graphs\.vocals is 1"),
        (UNMIX, {"graph": "a.onnx"}, "name the files once"),
        (UNMIX, {"sample_rate": 0}, "sample_rate is 0; it must be a whole number from 1"),
        (UNMIX, {"sample_rate": True}, "sample_rate is True"),
        (UNMIX, {"n_channels": 6}, "n_channels is 6"),
        (UNMIX, {"layout": "batch bins frames"}, "layout"),
        (UNMIX, {"framing": "loose"}, "unknown framing 'loose'"),
        (UNMIX, {"analysis_window": "kaiser"}, "unknown window 'kaiser'"),
        (UNMIX, {"hop_length": 4096}, "cannot reconstruct"),
        (UNMIX, {"n_fft": 2**40}, "n_fft is"),
        (UNMIX, {"overlap": 1.0}, "overlap is 1.0"),
        (UNMIX, {"overlap": float("nan")}, "overlap is nan"),
        (UNMIX, {"compensate": float("inf")}, "compensate is inf"),
        (UNMIX, {"masking": "hard"}, "masking is 'hard'"),
        (UNMIX, {"commercial": "perhaps"}, "commercial is 'perhaps'"),
        (UNMIX, {"remainder": "guitar"}, "remainder is 'guitar'"),
        (UNMIX, {"sha256": {"v.onnx": 3}}, "sha256"),
        (UNMIX, {"denoise": True}, "denoise means nothing where output_kind is 'magnitude'"),
        (UNMIX, {"features": "complex"}, "features is 'complex'"),
        (UNMIX, {"output_kind": "midi"}, "output_kind is 'midi'"),
        (MDX, {"n_fft": 0}, "n_fft is missing"),
        (MDX, {"remainder": "vocals"}, "remainder needs a second target"),
        (MDX, {"targets": "vocals"}, "targets is 'vocals'"),
        (DEMUCS, {"targets": ["drums", "drums"]}, "named twice"),
        (DEMUCS, {"n_fft": 4096}, "n_fft means nothing where output_kind is 'waveform'"),
        (DEMUCS, {"fade": "square"}, "fade is 'square'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_makes_no_sense_is_named(base: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_description(base | changes)


def test_without_a_family_everything_must_be_said() -> None:
    with pytest.raises(ModelError, match="output_kind is missing; or name a family"):
        parse_description({"name": "a", "graph": "a.onnx", "targets": ["vocals"]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = ", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
        (b"# " + b"x" * 2**20, "too large"),
        (b"name = " + b"[" * 10**5, "not a TOML file"),
    ],
)
def test_files_that_are_no_description_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"model\.toml: {message}"):
        read_description(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_description(tmp_path / "none.toml")


def test_a_description_is_a_value() -> None:
    assert parse_description(UNMIX) == parse_description(UNMIX)
    assert isinstance(parse_description(DEMUCS), Description)
