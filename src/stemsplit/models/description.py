"""What is known of a model that says nothing itself: a small TOML file beside the ``.onnx`` file(s).

A family (`stemsplit.models.families`) fills in what all its models share, so that a description is short::

    name = "umxhq"
    family = "open-unmix"
    graphs = { vocals = "vocals.onnx", drums = "drums.onnx" }

or, for one graph that gives several targets, ``graph = "htdemucs.onnx"`` and ``targets = ["drums", ...]``.
Every field of `Description` may be given and then counts. What the graph itself fixes (bins, frames or
samples at a call) is read from it; if it is given as well, the two must agree.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError
from stemsplit.files.schema import NonEmpty, between, convert, convert_value
from stemsplit.files.toml import read_toml
from stemsplit.models.families import FAMILIES
from stemsplit.models.limits import ChannelCount, ChunkLength, ContextLength, SampleRate, Size

OutputKind = Literal["mask", "magnitude", "complex", "waveform"]
OUTPUT_KINDS: Final = get_args(OutputKind)
SPECTRAL_KINDS = ("mask", "magnitude")
_FEATURES = {
    "mask": ("magnitude", "complex"),
    "magnitude": ("magnitude",),
    "complex": ("complex",),
    "waveform": ("waveform",),
}
_AXES = {"batch", "channels", "bins", "frames"}
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


@dataclass(frozen=True)
class GraphEntry:
    """A file and the targets that its graph gives, in order."""

    file: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """What must be known to run an external model. Lengths without a unit are samples; 0: as the graph says.

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
        Of the model's input, in Hz; 1 or 2.
    n_fft, hop_length, win_length, analysis_window, synthesis_window, framing
        See `stemsplit.dsp.stft.StftSpec`.
    n_bins, zeroed_bins
        The network takes the lowest `n_bins` bins, the first `zeroed_bins` of them as zero; the target has
        nothing above and below.
    n_frames, n_samples
        At one call.
    layout
        Axes of the spectrogram, in the order of the graph's input; a graph of several targets has these
        behind the batch in its output.
    masking
        How magnitudes become masks: ``direct``, each over the mixture's; ``ratio``, the power of each over
        that of all.
    chunk_s, context_s
        For a network that takes any number of frames: seconds that it answers for at a call, and seconds of
        context on either side.
    overlap
        Part of a chunk or segment that is shared with the next, from 0 to below 1.
    fade, trim, last_segment
        For waveforms. Weights of a segment where it meets others (``linear`` falls to the ends over the
        overlap); samples to throw away at either end; whether what the last one lacks is silence behind it
        (``padded``) or half before it (``centred``), the music that comes before it where there is some.
    normalisation
        ``track``: the network's input is the song less its mean, over its standard deviation.
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

    name: Annotated[str, NonEmpty]
    output_kind: OutputKind
    features: Literal["magnitude", "complex", "waveform"]
    graphs: tuple[GraphEntry, ...]
    version: str = "unknown"
    family: str = ""
    sample_rate: SampleRate = 44100
    n_channels: ChannelCount = 2
    n_fft: Size = 0
    hop_length: Size = 0
    win_length: Size = 0
    analysis_window: str = "hann"
    synthesis_window: str = "hann"
    framing: str = "covering"
    n_bins: Size = 0
    zeroed_bins: Size = 0
    n_frames: Size = 0
    n_samples: Size = 0
    layout: str = "batch channels bins frames"
    masking: Literal["direct", "ratio"] = "direct"
    chunk_s: ChunkLength = 10.0
    context_s: ContextLength = 0.0
    overlap: Annotated[float, between(0, 0.99)] = 0.1
    fade: Literal["linear", "hann", "triangle"] = "linear"
    trim: Size = 0
    last_segment: Literal["padded", "centred"] = "padded"
    normalisation: Literal["none", "track"] = "none"
    compensate: Annotated[float, between(-1e6, 1e6)] = 1.0
    denoise: bool = False
    exhaustive: bool = False
    regularisation: Annotated[float, between(0, 1)] = 0.0
    remainder: str = ""
    licence: str = "unknown"
    commercial: bool | Literal["unknown"] = "unknown"
    attribution: str = ""
    source: str = ""
    description: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = _FEATURES[self.output_kind]
        if self.features not in wanted:
            raise ModelError(
                f"features is {self.features!r}; a model whose output_kind is {self.output_kind!r} takes "
                f"{' or '.join(wanted)}"
            )
        self._check_names()
        if self.output_kind != "waveform":
            self._check_stft()

    def _check_stft(self) -> None:
        for key in ("n_fft", "hop_length"):
            if not getattr(self, key):
                raise ModelError(f"{key} is missing; the graph does not tell it, the model's author does")
        for key, most in (("n_bins", self.n_fft // 2 + 1), ("zeroed_bins", self.n_fft // 2)):
            if getattr(self, key) > most:
                raise ModelError(
                    f"{key} is {getattr(self, key)}; it must be from 0 to {most}, as n_fft is {self.n_fft}"
                )
        _ = self.stft

    def _check_names(self) -> None:
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

    def with_sizes(self, sizes: Mapping[str, int]) -> "Description":
        """Return the description with sizes that a graph states.

        Raises
        ------
        ModelError
            If one is out of its range.
        """
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        return convert({**known, **sizes}, Description)

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

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name."""
        return asdict(self)

    def propose_overlap(self, chunk_s: float) -> float:
        """Return the cross-fade between chunks of `chunk_s` seconds, in seconds."""
        return self.overlap * chunk_s

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
        If the file cannot be read, or a field is missing, unknown or invalid; it is named.
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
        If a field is missing, unknown or invalid; it is named.
    """
    family = convert_value(values.get("family", ""), str, name="family")
    if family and family not in FAMILIES:
        raise ModelError(f"unknown family {family!r}; there are {', '.join(FAMILIES)}")
    given = {"exhaustive": False, **(FAMILIES[family] if family else {}), **values}
    given["graphs"] = _read_graphs(given.pop("graph", None), given.pop("targets", None), given.get("graphs"))
    if family == "open-unmix" and "exhaustive" not in values:
        # four of its networks cover all music; a single one leaves the rest of it
        given["exhaustive"] = len(given["graphs"]) > 1
    missing = [key for key in ("output_kind", "features") if key not in given]
    if missing:
        raise ModelError(f"{missing[0]} is missing; or name a family, which states it")
    description = convert(given, Description, aliases=("graph", "targets"))
    for key in values:
        if description.output_kind not in KINDS_OF.get(key, OUTPUT_KINDS):
            raise ModelError(f"{key} means nothing where output_kind is {description.output_kind!r}")
    return description


def _read_graphs(graph: Any, targets: Any, graphs: Any) -> tuple[GraphEntry, ...]:
    if (graph is None) == (graphs is None) or (graph is None) != (targets is None):
        raise ModelError("name the files once: graphs = { TARGET = 'FILE' }, or graph = 'FILE' and targets")
    if graph is not None:
        names = convert_value(targets, tuple[str, ...], name="targets")
        return (GraphEntry(convert_value(graph, str, name="graph"), names),)
    targets_of: dict[str, tuple[str, ...]] = {}
    for target, file in convert_value(graphs, dict[str, Any], name="graphs").items():
        name = convert_value(file, str, name=f"graphs.{target}")
        targets_of[name] = (*targets_of.get(name, ()), target)
    return tuple(GraphEntry(file, names) for file, names in targets_of.items())
