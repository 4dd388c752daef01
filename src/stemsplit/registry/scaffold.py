"""The beginning of a description: what a graph tells of itself, and blanks for what it cannot."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stemsplit.errors import ModelError, SettingsError
from stemsplit.models.device import Device
from stemsplit.models.integrity import check_graph_file
from stemsplit.models.onnx_metadata import read_metadata
from stemsplit.models.session import Session
from stemsplit.models.spec import PREFIX

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class _Guess:
    """What kind of model a graph may be; the lines are TOML."""

    comment: str
    n_targets: int | None
    lines: tuple[str, ...]


_STFT_BLANKS = (
    "n_fft = 0  # FILL IN: length of the transform; the graph does not tell, half of it is not always n_bins",
    "hop_length = 0  # FILL IN: samples from one frame to the next",
    'analysis_window = "hann"  # check: hann or sqrt_hann',
    'framing = "centred"  # check: centred, covering or delayed',
)


def draft_description(path: Path) -> str:
    """Return a description of the graph at `path`, with blanks, as TOML.

    Every line that a person has to look at says so; without the blanks filled in the description is
    refused, naming the first that is missing.

    Raises
    ------
    ModelError
        If the graph cannot be opened, or is of no kind that can be run.
    SettingsError
        If the file describes itself.
    """
    check_graph_file(path)
    if any(key.startswith(PREFIX) for key in read_metadata(path)):
        raise SettingsError(
            f"{path}: describes itself and needs no other description; name it with --model, "
            "or keep it with `stemsplit models add`"
        )
    session = Session(path, device=Device("cpu"), threads=1)
    taken, given = _find_shapes(session)
    _check_axes(path, taken, given)
    guess = _guess(taken, given)
    return "\n".join(
        [
            f"# a draft: {path.name} takes {_show(taken)}, gives {_show(given)}",
            f"# {guess.comment}",
            f"name = {json.dumps(path.stem, ensure_ascii=False)}",
            f"graph = {json.dumps(path.name, ensure_ascii=False)}",
            f"targets = {_blanks(guess.n_targets)}  # FILL IN: what it gives, in its order",
            *guess.lines,
            "sample_rate = 44100  # check: Hz, of the music it was trained with",
            "",
            "# the graph cannot tell any of this; what nobody knows stays unknown",
            'licence = "unknown"  # of the weights, such as MIT or CC-BY-NC-4.0',
            'commercial = "unknown"  # true, false or "unknown"',
            'attribution = ""  # who is to be named',
            'source = ""  # where it comes from, an address',
            "",
        ]
    )


def _find_shapes(session: Session) -> tuple[Shape, Shape]:
    for verb, tensors in (("takes", session.inputs), ("gives", session.outputs)):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise ModelError(
                f"{session.path}: the graph {verb} {len(tensors)} arrays ({names}); it must be one"
            )
    return session.inputs[0].shape, session.outputs[0].shape


def _check_axes(path: Path, taken: Shape, given: Shape) -> None:
    """Refuse a graph that no description fits: what it gives may have one axis more, of targets."""
    if len(taken) not in {3, 4} or len(given) - len(taken) not in {0, 1}:
        raise ModelError(
            f"{path}: takes {_show(taken)}, gives {_show(given)}; a graph that can be run takes waveforms "
            "(batch, channels, samples) or spectrograms (batch, channels, bins, frames) and gives the same, "
            "or with an axis of targets"
        )


def _guess(taken: Shape, given: Shape) -> _Guess:
    if len(taken) == 3:
        n_targets = (given[1] if len(given) == 4 else 1) or None
        return _Guess(
            "by its axes it takes and gives waveforms (batch, channels, samples)",
            n_targets,
            (
                'output_kind = "waveform"',
                'features = "waveform"',
                f"n_channels = {taken[1] or 2}",
                *(
                    ()
                    if taken[2]
                    else ("n_samples = 0  # FILL IN: samples at a call, which the graph leaves open",)
                ),
                'normalisation = "none"  # check: track, if the song is levelled first (Demucs)',
                "overlap = 0.25  # check",
                'fade = "triangle"  # check: linear, hann or triangle',
            ),
        )
    if taken[1] == 4:
        return _guess_complex(taken, given)
    return _Guess(
        "by its axes it takes magnitudes; whether it gives magnitudes or masks cannot be known",
        (given[1] if len(given) == 5 else 1) or None,
        (
            'output_kind = "magnitude"  # check: magnitude or mask',
            'features = "magnitude"',
            f"n_channels = {taken[1] if taken[1] in (1, 2) else 2}",
            'layout = "batch channels bins frames"  # check: the order of the axes',
            'masking = "direct"  # check: ratio, if the magnitudes share the mixture out (Spleeter)',
            *_STFT_BLANKS,
        ),
    )


def _guess_complex(taken: Shape, given: Shape) -> _Guess:
    return _Guess(
        "by its four channels it takes complex spectrograms, real and imaginary part of left and right",
        (given[1] if len(given) == 5 else 1) or None,
        (
            'output_kind = "complex"  # check: complex, or mask',
            'features = "complex"',
            "n_channels = 2",
            *_STFT_BLANKS,
            *(
                ()
                if taken[3]
                else ("n_frames = 0  # FILL IN: frames at a call, which the graph leaves open",)
            ),
            "zeroed_bins = 0  # check: 3 for models of UVR (MDX-Net)",
            "compensate = 1.0  # check: a factor that is published with some models",
            "overlap = 0.25  # check",
        ),
    )


def _blanks(count: int | None) -> str:
    return json.dumps([""] * (count or 1))


def _show(shape: Iterable[int | None]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
