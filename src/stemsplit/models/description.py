"""What is known of a model that says nothing itself: a small TOML file beside the ``.onnx`` file(s).

A family (`stemsplit.models.families`) fills in what all its models share, so that a description is short::

    name = "umxhq"
    family = "open-unmix"
    graphs = { vocals = "vocals.onnx", drums = "drums.onnx" }

or, for one graph that gives several targets, ``graph = "htdemucs.onnx"`` and ``targets = ["drums", ...]``.
Every field of `Description` may be given and then counts. What the graph itself fixes (bins, frames or
samples at a call) is read from it; if it is given as well, the two must agree.
"""

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError
from stemsplit.files.toml import read_toml
from stemsplit.models.families import FAMILIES

OUTPUT_KINDS = ("mask", "magnitude", "complex", "waveform")
SPECTRAL_KINDS = ("mask", "magnitude")
_FEATURES = {
    "mask": ("magnitude", "complex"),
    "magnitude": ("magnitude",),
    "complex": ("complex",),
    "waveform": ("waveform",),
}
_AXES = {"batch", "channels", "bins", "frames"}
_CHOICES = {
    "output_kind": OUTPUT_KINDS,
    "masking": ("direct", "ratio"),
    "normalisation": ("none", "track"),
    "fade": ("linear", "hann", "triangle"),
    "last_segment": ("padded", "centred"),
}
_WAVE_KINDS = ("complex", "waveform")
_WITH_STFT = ("mask", "magnitude", "complex")
# fields that mean nothing to the other kinds
KINDS_OF = {
    **dict.fromkeys(("n_fft", "hop_length", "win_length", "framing", "layout"), _WITH_STFT),
    **dict.fromkeys(("analysis_window", "synthesis_window"), _WITH_STFT),
    **dict.fromkeys(("n_bins", "zeroed_bins", "n_frames"), _WITH_STFT),
    **dict.fromkeys(("chunk_s", "context_s", "exhaustive", "regularisation"), SPECTRAL_KINDS),
    **dict.fromkeys(("fade", "trim", "last_segment", "normalisation", "denoise"), _WAVE_KINDS),
    "n_samples": ("waveform",),
    "masking": ("magnitude",),
}
MAX_SIZE = 2**26  # of a transform, a segment or a rate: about 25 minutes at 44,100 Hz
MAX_CHUNK_S = 600


@dataclass(frozen=True)
class GraphEntry:
    """A file and the targets that its graph gives, in order."""

    file: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """What must be known to run a foreign model. Lengths without a unit are samples; 0: as the graph says.

    Parameters
    ----------
    name, version, family
        `family` is a key of `stemsplit.models.families.FAMILIES`, or empty.
    output_kind
        What the network gives: a ``mask`` for each bin, a target's ``magnitude``, its ``complex`` spectrogram
        or its ``waveform``.
    features
        What it takes: ``magnitude``, ``complex`` (real and imaginary part of each channel) or ``waveform``.
    graphs
        The files and their targets.
    sample_rate, n_channels
        Of what the network hears, in Hz; 1 or 2.
    n_fft, hop_length, win_length, analysis_window, synthesis_window, framing
        See `stemsplit.dsp.stft.StftSpec`.
    n_bins, zeroed_bins
        The network hears the lowest `n_bins` bins, the first `zeroed_bins` of them as silence; the target
        has nothing above and below.
    n_frames, n_samples
        At one call.
    layout
        Axes of the spectrogram, in the order of the graph's input; a graph of several targets has these
        behind the batch in its output.
    masking
        How magnitudes become masks: ``direct``, each over the mixture's; ``ratio``, the power of each over
        that of all.
    chunk_s, context_s
        For a network that takes any number of frames: seconds that it answers for at a call, and seconds it
        hears more on either side.
    overlap
        Part of a chunk or segment that is shared with the next, from 0 to below 1.
    fade, trim, last_segment
        For waveforms. Weights of a segment where it meets others (``linear`` falls to the ends over the
        overlap); samples to throw away at either end; whether what the last one lacks is silence behind it
        (``padded``) or half before it (``centred``), the music that comes before it where there is some.
    normalisation
        ``track``: the network hears the song less its mean, over its standard deviation.
    compensate
        Factor on what the network gives.
    denoise
        Run the network on the negative as well and take half the difference.
    exhaustive
        The targets are all there is in the music: the Wiener filter shares the mixture out among them alone.
    regularisation
        Of the Wiener filter, see `stemsplit.dsp.wiener.filter_estimates`; 0 for stemsplit's own.
    remainder
        The target that also gets what no target reaches, or empty: then a residual completes the sum.
    licence, commercial, attribution, source, description
        Of the weights; `commercial` is True, False or ``unknown``; `source` is an address.
    sha256
        File to hexadecimal hash; a file that is named here must match.
    """

    name: str
    output_kind: str
    features: str
    graphs: tuple[GraphEntry, ...]
    version: str = "unknown"
    family: str = ""
    sample_rate: int = 44100
    n_channels: int = 2
    n_fft: int = 0
    hop_length: int = 0
    win_length: int = 0
    analysis_window: str = "hann"
    synthesis_window: str = "hann"
    framing: str = "covering"
    n_bins: int = 0
    zeroed_bins: int = 0
    n_frames: int = 0
    n_samples: int = 0
    layout: str = "batch channels bins frames"
    masking: str = "direct"
    chunk_s: float = 10.0
    context_s: float = 0.0
    overlap: float = 0.1
    fade: str = "linear"
    trim: int = 0
    last_segment: str = "padded"
    normalisation: str = "none"
    compensate: float = 1.0
    denoise: bool = False
    exhaustive: bool = False
    regularisation: float = 0.0
    remainder: str = ""
    licence: str = "unknown"
    commercial: bool | str = "unknown"
    attribution: str = ""
    source: str = ""
    description: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise ModelError(f"{key} is {getattr(self, key)!r}; it must be one of {', '.join(choices)}")
        wanted = _FEATURES[self.output_kind]
        if self.features not in wanted:
            raise ModelError(
                f"features is {self.features!r}; a model whose output_kind is {self.output_kind!r} takes "
                f"{' or '.join(wanted)}"
            )
        if self.output_kind != "waveform" and not (self.n_fft and self.hop_length):
            missing = "hop_length" if self.n_fft else "n_fft"
            raise ModelError(f"{missing} is missing; the graph does not tell it, the model's author does")
        for key, (low, high) in self._ranges().items():
            value = getattr(self, key)
            if not low <= value <= high:
                raise ModelError(f"{key} is {value}; it must be from {low} to {high}")
        self._check_names()
        if self.output_kind != "waveform":
            _ = self.stft

    def _ranges(self) -> dict[str, tuple[float, float]]:
        sizes = ("n_fft", "hop_length", "win_length", "n_frames", "n_samples", "trim")
        return {
            "sample_rate": (1, MAX_SIZE),
            "n_channels": (1, 2),
            **dict.fromkeys(sizes, (0, MAX_SIZE)),
            "n_bins": (0, self.n_fft // 2 + 1),
            "zeroed_bins": (0, self.n_fft // 2),
            "chunk_s": (0.1, MAX_CHUNK_S),
            "context_s": (0, MAX_CHUNK_S),
            "overlap": (0, 0.99),
            "compensate": (-1e6, 1e6),
            "regularisation": (0, 1),
        }

    def _check_names(self) -> None:
        if not self.name:
            raise ModelError("name is empty; give the model one")
        if not self.targets or not all(self.targets):
            raise ModelError("there are no targets; write graphs = { vocals = 'FILE' }, or graph and targets")
        if len(set(self.targets)) < len(self.targets):
            raise ModelError(f"a target is named twice: {', '.join(self.targets)}")
        if sorted(self.layout.split()) != sorted(_AXES):
            raise ModelError(f"layout is {self.layout!r}; it must order {', '.join(sorted(_AXES))}")
        if self.remainder and self.remainder not in self.targets:
            raise ModelError(f"remainder is {self.remainder!r}; the targets are {', '.join(self.targets)}")
        if self.remainder and len(self.targets) == 1:
            raise ModelError("remainder needs a second target, whose remainder it is; leave it out")
        if self.commercial not in (True, False, "unknown"):
            raise ModelError(f"commercial is {self.commercial!r}; it must be true, false or 'unknown'")

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets, graph by graph."""
        return tuple(target for graph in self.graphs for target in graph.targets)

    @property
    def files(self) -> tuple[str, ...]:
        """The ``.onnx`` files."""
        return tuple(dict.fromkeys(graph.file for graph in self.graphs))

    @property
    def is_spectral(self) -> bool:
        """Whether the network gives masks, or what can be turned into masks."""
        return self.output_kind in SPECTRAL_KINDS

    @property
    def has_ratio_masks(self) -> bool:
        """Whether a mask is surely the share of its target in the mixture: what gives masks may give any."""
        return self.output_kind == "magnitude" and self.masking == "ratio" and self.compensate == 1

    @property
    def stft(self) -> StftSpec:
        """The STFT around the network."""
        windows = (self.analysis_window, self.synthesis_window)
        return StftSpec(self.n_fft, self.hop_length, self.win_length, *windows, self.framing)

    @property
    def n_rows(self) -> int:
        """Rows of a mask: one a bin."""
        return self.stft.n_bins

    @property
    def row_of_bin(self) -> None:
        """Each bin has a row of its own."""


def read_description(path: Path) -> Description:
    """Read a description; the files that it names are not looked at.

    Raises
    ------
    ModelError
        If the file cannot be read, or a field is missing, unknown or makes no sense; it is named.
    """
    values = read_toml(path, about="a description of a model")
    try:
        return parse_description(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def parse_description(values: Mapping[str, Any]) -> Description:
    """Build a description from the values of a TOML file.

    Raises
    ------
    ModelError
        If a field is missing, unknown or makes no sense; it is named.
    """
    family = _check("family", values.get("family", ""), str)
    if family and family not in FAMILIES:
        raise ModelError(f"unknown family {family!r}; there are {', '.join(FAMILIES)}")
    given = {"exhaustive": False, **(FAMILIES[family] if family else {}), **values}
    given["graphs"] = _read_graphs(given.pop("graph", None), given.pop("targets", None), given.get("graphs"))
    if family == "open-unmix" and "exhaustive" not in values:
        # four of its networks cover all music; a single one leaves the rest of it
        given["exhaustive"] = len(given["graphs"]) > 1
    known = {each.name: each for each in fields(Description)}
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, [*known, "graph", "targets"], n=1)
            raise ModelError(f"unknown field {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    for key, each in known.items():
        if key not in given and each.default is MISSING and each.default_factory is MISSING:
            raise ModelError(f"{key} is missing" + ("" if family else "; or name a family, which tells it"))
    description = Description(**{key: _check(key, value, known[key].type) for key, value in given.items()})
    for key in values:
        if description.output_kind not in KINDS_OF.get(key, OUTPUT_KINDS):
            raise ModelError(f"{key} means nothing where output_kind is {description.output_kind!r}")
    return description


def _read_graphs(graph: Any, targets: Any, graphs: Any) -> tuple[GraphEntry, ...]:
    if (graph is None) == (graphs is None) or (graph is None) != (targets is None):
        raise ModelError("name the files once: graphs = { TARGET = 'FILE' }, or graph = 'FILE' and targets")
    if graph is not None:
        names = _check("targets", targets, tuple[str, ...])
        return (GraphEntry(_check("graph", graph, str), names),)
    if not isinstance(graphs, Mapping):
        raise ModelError(f"graphs is {graphs!r}; it must be a table of targets and files")
    targets_of: dict[str, tuple[str, ...]] = {}
    for target, file in graphs.items():
        name = _check(f"graphs.{target}", file, str)
        targets_of[name] = (*targets_of.get(name, ()), target)
    return tuple(GraphEntry(file, names) for file, names in targets_of.items())


def _check(key: str, value: Any, kind: Any) -> Any:
    """Return `value` as `kind`, the type of a field."""
    if kind is float and type(value) is int:
        return float(value)
    origin = get_origin(kind)
    if origin is tuple:
        inner = get_args(kind)[0]
        if isinstance(value, list | tuple) and all(type(item) is inner for item in value):
            return tuple(value)
    elif origin is UnionType:
        if type(value) in set(get_args(kind)) - {NoneType}:
            return value
    elif origin is not None:
        if isinstance(value, Mapping) and all(type(item) is str for item in value.values()):
            return dict(value)
    elif type(value) is kind:
        return value
    raise ModelError(f"{key} is {value!r}, which is not of the right kind")
