"""The beginning of a description: what graphs tell of themselves, and blanks for what they cannot.

A file of the catalogue is known by its hash; then nothing is left to fill in.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.description_file import format_description
from stemsplit.models.device import Device
from stemsplit.models.integrity import check_graph_file, hash_file
from stemsplit.models.onnx_metadata import read_metadata
from stemsplit.models.session import Session
from stemsplit.models.spec import PREFIX
from stemsplit.registry.index import RemoteModel, list_remote
from stemsplit.registry.recognition import Recognition, recognise, show_shape

# what names of files call their stem
_STEM_WORDS: Final = (
    ("vocals", r"vocals?|voc"),
    ("accompaniment", "accompaniment"),
    ("instrumental", "instrumental|inst"),
    ("drums", "drums?"),
    ("bass", "bass"),
    ("guitar", "guitar"),
    ("piano", "piano"),
    ("other", "other"),
)
_UNKNOWN: Final = (
    "",
    "# the graph says nothing about these; what is not known stays unknown",
    'licence = "unknown"  # of the weights, such as MIT or CC-BY-NC-4.0',
    'commercial = "unknown"  # true, false or "unknown"',
    'attribution = ""  # who is to be named',
    'source = ""  # where it comes from, an address',
    "",
)


def draft_description(paths: Sequence[Path]) -> str:
    """Return a description of the graphs at `paths`, with blanks, as TOML.

    Every line that a person has to look at says so; without the blanks filled in the description is
    refused, naming the first that is missing.

    Raises
    ------
    ModelError
        If a graph cannot be opened, is of no kind that can be run, or two are of different kinds.
    SettingsError
        If a file describes itself.
    """
    known = _find_known(paths)
    if known is not None:
        assert known.description is not None
        hashes = {file.name: file.sha256 for file in known.files if file.sha256}
        return f"# {known.name} of the catalogue, known by its hash\n" + format_description(
            known.description, hashes
        )
    found = [_inspect(path) for path in paths]
    kind = found[0][1]
    for path, (_, other) in zip(paths, found, strict=True):
        if (other.output_kind, other.features, other.layout) != (
            kind.output_kind,
            kind.features,
            kind.layout,
        ):
            raise ModelError(
                f"{path}: is of another kind than {paths[0]} ({other.reason}; {kind.reason}); "
                "they are no graphs of one model"
            )
    comments = [f"# a draft: {path.name} {shapes}" for path, (shapes, _) in zip(paths, found, strict=True)]
    return "\n".join(
        [*comments, f"# recognised by {kind.reason}", *_name(paths, kind), *_list_fields(kind), *_UNKNOWN]
    )


def _find_known(paths: Sequence[Path]) -> RemoteModel | None:
    """Return the model of the catalogue that consists of these files."""
    names = {path.name for path in paths}
    for remote in list_remote():
        wanted = {file.name: file.sha256 for file in remote.files}
        if set(wanted) == names and all(hash_file(path) == wanted[path.name] for path in paths):
            return remote
    return None


def _inspect(path: Path) -> tuple[str, Recognition]:
    """Return the shapes of a graph, in words, and what kind it is."""
    check_graph_file(path)
    if any(key.startswith(PREFIX) for key in read_metadata(path)):
        raise SettingsError(
            f"{path}: describes itself and needs no other description; name it with --model, "
            "or keep it with `stemsplit models add`"
        )
    session = Session(path, device=Device("cpu"), threads=1)
    taken, given = (
        " and ".join(show_shape(tensor.shape) for tensor in tensors)
        for tensors in (session.inputs, session.outputs)
    )
    return f"takes {taken}, gives {given}", recognise(session)


def _name(paths: Sequence[Path], kind: Recognition) -> list[str]:
    """Return the lines that name the model, its files and its targets."""
    if len(paths) > 1:
        return [f"name = {_quote(paths[0].resolve().parent.name)}  # check", *_list_graphs(paths, kind)]
    (path,) = paths
    lines = [f"name = {_quote(path.stem)}", f"graph = {_quote(path.name)}"]
    by_name = _find_stem(path.name)
    if kind.targets:
        return [*lines, f"targets = {json.dumps(kind.targets)}  # check: the order of the rows"]
    if kind.n_targets == 1 and by_name:
        return [*lines, f'targets = ["{by_name}"]  # check: by the name of the file']
    return [*lines, f"targets = {json.dumps([''] * kind.n_targets)}  # FILL IN: what it gives, in its order"]


def _list_graphs(paths: Sequence[Path], kind: Recognition) -> list[str]:
    """Return a line for each of several graphs, with the row of its target if it gives several."""
    lines = []
    for path in paths:
        stem = _find_stem(path.name)
        target, advice = (stem, "check") if stem else (path.stem, "FILL IN: the name of what it gives")
        file = _quote(path.name)
        if kind.n_targets > 1:
            row = kind.targets.index(target) if target in kind.targets else 0
            file = f"{{ file = {file}, row = {row} }}"
            advice += ", and its row"
        lines.append(f"graphs.{_quote(target)} = {file}  # {advice}")
    return lines


def _find_stem(name: str) -> str | None:
    """Return the stem that the name of a file has among its words."""
    words = re.split(r"[^a-z]+", name.lower())
    return next(
        (stem for stem, pattern in _STEM_WORDS if any(re.fullmatch(pattern, word) for word in words)), None
    )


def _list_fields(kind: Recognition) -> list[str]:
    """Return the lines that say how the graph is run."""
    own = [] if kind.family else _list_kind(kind)
    family = [f"family = {_quote(kind.family)}  # check: it fills in all that is not said here"]
    lines = [*(family if kind.family else own), *_list_sizes(kind)]
    if kind.family == "mdx":
        lines.append("compensate = 1.0  # check: a factor that is published with some models")
    return [*lines, "sample_rate = 44100  # check: Hz, of the music it was trained with"]


def _list_kind(kind: Recognition) -> list[str]:
    lines = [
        f"output_kind = {_quote(kind.output_kind)}",
        f"features = {_quote(kind.features)}",
        f"n_channels = {kind.n_channels}",
    ]
    if kind.features != "waveform":
        lines.append(f"layout = {_quote(kind.layout)}  # check: the order of the axes")
    if kind.output_kind == "magnitude":
        lines.append('masking = "direct"  # check: ratio, if the magnitudes share the mixture out (Spleeter)')
    if kind.output_kind == "complex":
        lines.append("input_scale = 1.0  # check: 1 / sqrt(n_fft), if its STFT was normalised (SCNet)")
    if kind.output_kind in {"complex", "complex_mask", "waveform"}:
        lines += ["overlap = 0.25  # check", 'fade = "hann"  # check: linear, hann or triangle']
    if kind.features == "waveform":
        lines.append('normalisation = "none"  # check: track, if the song is levelled first (Demucs)')
    return lines


def _list_sizes(kind: Recognition) -> list[str]:
    if kind.features == "waveform":
        blank = "n_samples = 0  # FILL IN: samples at a call, which the graph leaves open"
        return [] if kind.n_samples else [blank]
    lines = []
    if not kind.n_fft:
        lines.append("n_fft = 0  # FILL IN: length of the transform; the graph has some of its bins only")
    elif not kind.family:
        lines.append(f"n_fft = {kind.n_fft}  # check: by {kind.n_bins} bins")
    if not kind.family:
        advice = "check" if kind.n_fft else "FILL IN"
        lines += [
            f"hop_length = {kind.n_fft // 4}  # {advice}: samples from one frame to the next",
            'analysis_window = "hann"  # check: hann, sqrt_hann, hamming or rectangular',
            'synthesis_window = "hann"  # check: the same',
            'framing = "centred"  # check: centred, same, covering or delayed',
        ]
    if not kind.n_frames and kind.output_kind in {"complex", "complex_mask"}:
        lines.append("n_frames = 0  # FILL IN: frames at a call, which the graph leaves open")
    return lines


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
