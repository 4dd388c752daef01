"""The properties of an external model, which its ``.onnx`` file does not state: see `Description`.

They are written in a TOML file beside the model, see `stemsplit.models.description_file`. What the graph
itself states (bins, frames or samples at a call) is read from it; if it is given as well, both must agree.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

from stemsplit.dsp.stft import StftSpec
from stemsplit.errors import ModelError
from stemsplit.files.schema import NonEmpty, between, convert
from stemsplit.models.layout import Layout
from stemsplit.models.limits import ChannelCount, ChunkLength, ContextLength, SampleRate, Size
from stemsplit.models.output_kinds import COMPLEX_KINDS, FEATURES_OF, SPECTRAL_KINDS, Features, OutputKind


@dataclass(frozen=True)
class GraphEntry:
    """A file and the targets that are taken from its graph.

    Parameters
    ----------
    file
        Its name.
    targets
        Names of the targets.
    rows
        For each target its row in the output of the graph, from 0; empty for the order of the targets.
    n_outputs
        Rows that the graph gives; 0 if that is read from its shape.
    n_fft
        Length of the transform for this graph; 0 for that of the model.
    """

    file: str
    targets: tuple[str, ...]
    rows: tuple[int, ...] = ()
    n_outputs: int = 0
    n_fft: int = 0

    @property
    def rows_of_targets(self) -> tuple[int, ...]:
        """For each target its row."""
        return self.rows or tuple(range(len(self.targets)))


@dataclass(frozen=True)
class Description:
    """The properties of an external model. Lengths without a unit are samples; 0: as the graph states.

    Parameters
    ----------
    name, version, family
        `family` is a key of `stemsplit.models.families.FAMILIES`, or empty.
    output_kind
        What the network gives, one of `stemsplit.models.output_kinds.OUTPUT_KINDS`.
    features
        What the network takes: ``magnitude``, ``complex`` (real and imaginary part of each channel),
        ``waveform``, or ``hybrid``: a waveform and its complex spectrogram, as two inputs.
    graphs
        The files and their targets.
    sample_rate, n_channels
        Of the model's input, in Hz; 1 or 2.
    n_fft, hop_length, win_length, analysis_window, synthesis_window, framing
        See `stemsplit.dsp.stft.StftSpec`.
    n_bins, zeroed_bins
        The network takes the lowest `n_bins` bins, the first `zeroed_bins` of them as zero; the target has
        nothing above and below.
    mask_extension
        The mask above `n_bins`: ``zeros``, or the ``average`` of the frame's mask.
    n_frames, n_samples
        At one call.
    layout, output_layout
        Axes of the spectrogram in the input and in the output, see `stemsplit.models.layout`. An empty
        `output_layout` stands for that of the input, with the targets behind the batch; or, if several
        targets have no axis of their own, in front of the channels.
    input_scale
        Factor on the input, of a ``hybrid`` one on its spectrogram alone; what the network gives is divided
        by it, unless it gives masks.
    masking
        How magnitudes become masks: ``direct``, each over the mixture's; ``ratio``, the power of each over
        that of all.
    chunk_s, context_s
        For a network that takes any number of frames: seconds of a chunk, and of context on either side.
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
    complement
        A target that no graph gives: the mixture minus all the others. It is the `remainder`.
    licence, commercial, attribution, source, training_data, description
        Of the weights; `commercial` is True, False or ``unknown``; `source` is an address.
    sha256
        File to hexadecimal hash; a file that is named here must match.

    Raises
    ------
    ModelError
        If fields contradict each other.
    """

    name: Annotated[str, NonEmpty]
    output_kind: OutputKind
    features: Features
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
    mask_extension: Literal["zeros", "average"] = "zeros"
    n_frames: Size = 0
    n_samples: Size = 0
    layout: str = "batch channels bins frames"
    output_layout: str = ""
    input_scale: Annotated[float, between(1e-6, 1e6)] = 1.0
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
    complement: str = ""
    licence: str = "unknown"
    commercial: bool | Literal["unknown"] = "unknown"
    attribution: str = ""
    source: str = ""
    training_data: str = "unknown"
    description: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = FEATURES_OF[self.output_kind]
        if self.features not in wanted:
            raise ModelError(
                f"features is {self.features!r}; a model whose output_kind is {self.output_kind!r} takes "
                f"{' or '.join(wanted)}"
            )
        self._check_names()
        if self.output_kind != "waveform":
            self._check_stft()
            self._check_layouts()

    def _check_layouts(self) -> None:
        needed = {"batch", "channels", "bins", "frames"}
        for key, names in (("layout", needed | {"parts"}), ("output_layout", needed | {"parts", "targets"})):
            text = getattr(self, key)
            if not text:
                continue
            found = set(Layout.parse(text).names)
            if not needed <= found <= names:
                raise ModelError(f"{key} is {text!r}; it must order {', '.join(sorted(needed))}")

    def _check_stft(self) -> None:
        for key in ("n_fft", "hop_length"):
            if not getattr(self, key) and not (key == "n_fft" and all(graph.n_fft for graph in self.graphs)):
                raise ModelError(f"{key} is missing; the graph does not tell it, the model's author does")
        n_fft = min(stft.n_fft for stft in self.stfts)
        for key, most in (("n_bins", n_fft // 2 + 1), ("zeroed_bins", n_fft // 2)):
            if getattr(self, key) > most:
                raise ModelError(
                    f"{key} is {getattr(self, key)}; it must be from 0 to {most}, as n_fft is {n_fft}"
                )
        if self.is_spectral and len({stft.n_fft for stft in self.stfts}) > 1:
            raise ModelError(f"n_fft differs between graphs, which a {self.output_kind} model cannot have")

    def _check_names(self) -> None:
        if not self.targets or not all(self.targets):
            raise ModelError("there are no targets; write graphs = { vocals = 'FILE' }, or graph and targets")
        if len(set(self.targets)) < len(self.targets):
            raise ModelError(f"a target is named twice: {', '.join(self.targets)}")
        if self.remainder and self.remainder not in self.targets:
            raise ModelError(f"remainder is {self.remainder!r}; the targets are {', '.join(self.targets)}")
        if self.remainder and len(self.targets) == 1:
            raise ModelError("remainder needs a second target, whose remainder it is; leave it out")
        if self.complement and self.remainder != self.complement:
            raise ModelError(f"remainder is {self.remainder!r}; with a complement it must be that")
        for graph in self.graphs:
            if graph.rows and len(graph.rows) != len(graph.targets):
                raise ModelError(f"{graph.file}: has {len(graph.rows)} rows for {len(graph.targets)} targets")

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
        """All targets, graph by graph; the complement comes last."""
        return (*self.graph_targets, *((self.complement,) if self.complement else ()))

    @property
    def graph_targets(self) -> tuple[str, ...]:
        """The targets that graphs give."""
        return tuple(target for graph in self.graphs for target in graph.targets)

    @property
    def n_outputs(self) -> int:
        """How many targets the model gives: all but the complement."""
        return len(self.graph_targets)

    @property
    def files(self) -> tuple[str, ...]:
        """The ``.onnx`` files."""
        return tuple(dict.fromkeys(graph.file for graph in self.graphs))

    @property
    def is_spectral(self) -> bool:
        """Whether the network gives masks, or what can be turned into masks."""
        return self.output_kind in SPECTRAL_KINDS

    @property
    def has_complex_output(self) -> bool:
        """Whether the network gives complex spectrograms, or complex masks, of segments."""
        return self.output_kind in COMPLEX_KINDS

    @property
    def mid_side(self) -> bool:
        """Whether the model's channels are mid and side: external models have left and right."""
        return False

    @property
    def has_ratio_masks(self) -> bool:
        """Whether a mask is surely the share of its target in the mixture: what gives masks may give any."""
        return self.output_kind == "magnitude" and self.masking == "ratio" and self.compensate == 1

    @property
    def stft(self) -> StftSpec:
        """The STFT around the network; that of the first graph where they differ."""
        return self.stfts[0]

    @property
    def stfts(self) -> tuple[StftSpec, ...]:
        """The STFT around each graph."""
        windows = (self.analysis_window, self.synthesis_window)
        return tuple(
            StftSpec(graph.n_fft or self.n_fft, self.hop_length, self.win_length, *windows, self.framing)
            for graph in self.graphs
        )

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
