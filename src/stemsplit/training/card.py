"""The card of a model: what it was trained on, how, how good it is and where it is weak."""

import math
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.catalog import read_model
from stemsplit.training import SAMPLE_RATE, SPEC, TARGETS
from stemsplit.training.checkpoint import load_bandsplit, load_state
from stemsplit.training.library import Item, Library
from stemsplit.training.songs import Song, load_songs
from stemsplit.training.validation import SOURCES, Score, average, load_scores

# Beside the audio of the index: patterns, and sounds that fluidsynth played.
PATTERNS = (
    ("music-x-lab/POP909-Dataset", "MIT", "Ziyu Wang et al., POP909 (ISMIR 2020)", "MIDI"),
    ("Groove MIDI Dataset", "CC-BY-4.0", "Jon Gillick et al., Google Magenta", "MIDI"),
    ("freedoom/freedoom", "BSD-3-Clause", "Freedoom contributors", "MIDI"),
    ("tannerhelland/free-music", "CC-BY-4.0", "Tanner Helland", "MIDI"),
    ("FluidR3 GM soundfont", "MIT", "Frank Wen and contributors", "sounds"),
)
CREDITS = """\
SCOTTPOID (voicebank by Scott, nonclione.neocities.org/utau) and Hitsuboku Kumi (by Cubialpha,
cubialpha.wixsite.com/koomstar) are used by their terms with this credit; both were cut into phrases,
shortened and re-encoded. All recordings were trimmed, in places mixed to stereo from microphone channels,
and re-encoded."""
SOURCE_NOTES = {
    "album": "held-out songs of the album whose other songs were trained on: same band and singer, so it "
    "flatters; no bass part",
    "mdn-funk": "a real song of another band (drums, bass, clavinet, horns, lead guitar; no voice)",
    "pjs": "a singer never heard in training, dry, over held-out real music (some of its makers have other "
    "music in training); only vocals are known",
    "render": "virtual band with held-out MIDI, drum kit, bass, keys and singer",
}
# Renders are made by the band that training songs are made by; they say less.
REAL_SOURCES = tuple(source for source in SOURCES if source != "render")
_FIGURES = ("sdr_db", "improvement_db", "si_sdr_db", "leakage_db")


@dataclass(frozen=True)
class Evaluation:
    """Scores of the model, the baseline and the oracle on the same cases."""

    scores: dict[str, list[Score]]

    @classmethod
    def load(cls, path: Path) -> "Evaluation":
        """Read ``scores.json``."""
        return cls(load_scores(path))

    def table(self) -> str:
        """Markdown: a line per source and target, then the means of each target and of all."""
        head = (
            "| source | target | excerpts | uSDR | improvement | SI-SDR | baseline | oracle mask | leakage |"
        )
        lines = [head, "|---|---|---|---|---|---|---|---|---|"]
        for source in SOURCES:
            for target in TARGETS:
                chosen = [s for s in self.scores["model"] if s.source == source and s.target == target]
                if chosen:
                    lines.append(self._line(source, target, len(chosen)))
        for name, sources in (("real sources", REAL_SOURCES), ("all sources", SOURCES)):
            lines += self._mean_lines(name, sources)
        return "\n".join(lines)

    def by_target(
        self, way: str, column: str = "sdr_db", *, sources: Sequence[str] = SOURCES
    ) -> dict[str, float]:
        """Mean of a figure for each target, every source with equal weight."""
        found: dict[str, list[float]] = defaultdict(list)
        for source in sources:
            for target in TARGETS:
                value = average(self.scores[way], column, source=source, target=target)
                if not math.isnan(value):
                    found[target].append(value)
        return {target: sum(values) / len(values) for target, values in found.items()}

    def behind_baseline(self) -> list[str]:
        """Sources and targets where the model's uSDR is not above the baseline's."""
        pairs = [(source, target) for source in SOURCES for target in TARGETS]
        return [
            f"{target} of `{source}`"
            for source, target in pairs
            if average(self.scores["model"], "sdr_db", source=source, target=target)
            <= average(self.scores["baseline"], "sdr_db", source=source, target=target)
        ]

    def _line(self, source: str, target: str, n_cases: int) -> str:
        ways = [("model", column) for column in _FIGURES[:3]] + [("baseline", "sdr_db"), ("oracle", "sdr_db")]
        ways.append(("model", "leakage_db"))
        values = [average(self.scores[way], column, source=source, target=target) for way, column in ways]
        return f"| {source} | {target} | {n_cases} | " + " | ".join(map(_decibels, values)) + " |"

    def _mean_lines(self, name: str, sources: Sequence[str]) -> list[str]:
        """A line for each target, and one for the mean of them."""
        ways = [("model", column) for column in _FIGURES[:3]] + [("baseline", "sdr_db"), ("oracle", "sdr_db")]
        columns = [self.by_target(way, column, sources=sources) for way, column in ways]
        rows = {target: [each[target] for each in columns] for target in TARGETS if target in columns[0]}
        rows["mean"] = [sum(each.values()) / len(each) for each in columns]
        return [
            f"| **mean of {name}** | **{target}** | | "
            + " | ".join(f"**{_decibels(value)}**" for value in values)
            + " | |"
            for target, values in rows.items()
        ]


def write_card(
    run: Path, library: Library, songs_folder: Path, model: Path, *, hardware: str, note: str = ""
) -> None:
    """Write ``<model>.md`` and ``<model>.csv``, the training curve.

    Parameters
    ----------
    run : Path
        Folder of the run: checkpoint, curve and ``scores.json``.
    library : Library
        What was trained on.
    songs_folder : Path
        Prepared songs.
    model : Path
        The exported model.
    hardware : str
        What it was trained on, in plain words.
    note : str
        What the commands of the card do not say.
    """
    songs = [song for song in load_songs(songs_folder) if song.split == "train"]
    state = load_state(run / "checkpoint.pt")
    sections = [
        _head(model),
        _architecture(run),
        _training(state, songs, hardware),
        _quality(Evaluation.load(run / "scores.json")),
        _data(library),
        _reproduction(state, songs, note),
    ]
    model.with_suffix(".md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    shutil.copyfile(run / "curve.csv", model.with_suffix(".csv"))


def _head(model: Path) -> str:
    spec = read_model(model).spec
    return f"""# {spec.name} {spec.version}

{spec.description}. Targets: {", ".join(spec.targets)}; their masks sum to one. Stereo, 44,100 Hz.

- Licence of the weights: {spec.licence}. Trained only on openly licensed material; sources and credits below.
- STFT {spec.n_fft}/{spec.hop_length}, {spec.analysis_window} windows; {len(spec.mask_widths)} mask rows.
- A mask depends on {spec.context_s} s of the song on each side and on nothing beyond: chunks leave no seams.
- This card is written by `python -m stemsplit.training card`."""


def _architecture(run: Path) -> str:
    network = load_bandsplit(run / "checkpoint.pt")
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    layout, options = network.layout, network.options
    frame_ms = 1000 * SPEC.hop_length / SAMPLE_RATE
    return f"""## Architecture

Band-split network after Luo & Yu (2023): {layout.n_bands} bands x {options["n_features"]} features x
{options["n_layers"]} layers, {n_parameters / 1e6:.2f} million parameters. Each layer has two gated
convolutions along time (dilations: {", ".join(map(str, network.dilations))} frames of {frame_ms:.0f} ms) and
a bidirectional LSTM along the bands. Input features (log power of left, right, mid and side) are computed
inside the graph. The lowest {layout.n_low} bins have a mask each, above them {layout.group} bins share one.
A softmax over the targets makes the masks."""


def _training(state: dict[str, Any], songs: Sequence[Song], hardware: str) -> str:
    minutes: dict[str, float] = defaultdict(float)
    for song in songs:
        minutes[song.kind] += song.n_samples / SAMPLE_RATE / 60
    listed = ", ".join(f"{kind} {value:.0f} min" for kind, value in sorted(minutes.items()))
    settings, remix = state["settings"], state["remix"]
    audio_h = state["step_number"] * settings["batch_size"] * remix["n_samples"] / SAMPLE_RATE / 3600
    speed = audio_h * 3600 / state["elapsed_s"]
    partial, without = remix.get("partial", 0), ", ".join(remix.get("without", ())) or "nothing"
    steps, size, example_s = state["step_number"], settings["batch_size"], remix["n_samples"] / SAMPLE_RATE
    return f"""## Training

- Hardware: {hardware}.
- {state["elapsed_s"] / 60:.0f} minutes, {steps} steps of {size} examples of {example_s:.1f} s:
  {audio_h:.1f} hours of audio, {speed:.0f} x real time. Seed {settings["seed"]}.
- Songs: {listed}.
- Examples: {remix["backing"]:.0%} a voice over real, unseparated music (loss on vocals only), {partial:.0%}
  real music without drums or bass and what it lacks (loss on that only), {remix["coherent"]:.0%} stems of one
  place of one song, the rest stems of different songs, {remix["real"]:.0%} of them from recordings. Random
  levels, equaliser, speed, reverb, width, fades, saturation, polarity, channel swap, band limits and missing
  stems. Left out: {without}.
- Loss: `10 log10(error energy + 0.001 mixture energy)` per stem and example. AdamW, warm-up and cosine over
  the clock, averaged weights (EMA), bfloat16.
- The CSV beside this card has the curve: loss and validation uSDR in dB over the seconds of training."""


def _quality(evaluation: Evaluation) -> str:
    notes = "\n".join(f"- `{source}`: {note}." for source, note in SOURCE_NOTES.items())
    model = evaluation.by_target("model", sources=REAL_SOURCES)
    baseline = evaluation.by_target("baseline", sources=REAL_SOURCES)
    weakest = min(model, key=lambda target: model[target])
    lost = [target for target in model if model[target] <= baseline[target]]
    against = "on the mean of every target" if not lost else f"but not on the mean of {', '.join(lost)}"
    behind = ", ".join(evaluation.behind_baseline()) or "nothing"
    return f"""## Quality on the validation set

In dB, mean over excerpts. uSDR: energy of the stem over energy of the error. The baseline is a
harmonic-percussive split with frequency bands; the oracle is the ratio mask of the true stems. Leakage:
energy left in the estimate of a silent stem, against the mixture; silent stems count only there.

{evaluation.table()}

{notes}

## Known weaknesses

- On real sources the model beats the no-model baseline {against}; it is behind it on: {behind}.
- The weakest target is {weakest} ({model[weakest]:.1f} dB on real sources).
- Where a stem is much quieter than the mixture (see the improvement beside the uSDR), a little bleed costs
  many decibels, and the mean over excerpts suffers from it.
- Few real songs with known stems were available: four of one band. Styles far from them and from the virtual
  band (dense rock, heavily processed voices, live recordings) are separated worse than these figures say.
- Two validation songs share their band with training, and rendered songs share the makers' habits: read the
  `mdn-funk` and `pjs` lines first.
- Some of the training stems end at 9.5 kHz: cymbals and breath above that may land in the wrong stem.
- Choirs, vocoders and instruments close to a voice (saxophone, lead synths, violins) are taken for vocals
  at times."""


def _data(library: Library) -> str:
    items = library.select(split="train")
    grouped: dict[tuple[str, str, str], list[Item]] = defaultdict(list)
    for item in items:
        grouped[(item.source, item.licence, item.attribution)].append(item)
    rows = [
        f"| {' | '.join(key)} | {', '.join(sorted({i.category for i in each}))} | "
        f"{sum(i.duration_s for i in each) / 60:.1f} |"
        for key, each in sorted(grouped.items())
    ]
    rows += [f"| {' | '.join(pattern)} | |" for pattern in PATTERNS]
    listed = "\n".join(rows)
    return f"""## Data

Everything allows commercial use, editing and redistribution. Share-alike material (the PJS singer) is used
for validation only, like everything that `stemsplit.training.library.is_held_out` names.

| source | licence | attribution | used for | minutes |
|---|---|---|---|---|
{listed}

Credits required by terms: {CREDITS}"""


def _reproduction(state: dict[str, Any], songs: Sequence[Song], note: str) -> str:
    n_renders = sum(song.kind == "render" for song in songs)
    seed, minutes = state["settings"]["seed"], state["settings"]["budget_s"] / 60
    return f"""## Reproduction

The clock sets the number of steps, so another machine gives another model of the same kind. {note}

```
pip install "stemsplit[train]"      # and fluidsynth with the FluidR3 soundfont
python -m stemsplit.training prepare LIBRARY --work WORK --songs {n_renders} --seed {seed}
python -m stemsplit.training fit RUN --work WORK --minutes {minutes:.0f} --seed {seed} --threads 1
python -m stemsplit.training evaluate RUN --work WORK
python -m stemsplit.training export RUN models/band.onnx
python -m stemsplit.training card RUN --library LIBRARY --work WORK --model models/band.onnx --hardware "..."
```"""


def _decibels(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
