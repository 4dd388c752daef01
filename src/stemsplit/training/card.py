"""The card of a model: what it was trained on, how, how good it is and where it is weak."""

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.catalog import read_spec
from stemsplit.training import SAMPLE_RATE, SPEC
from stemsplit.training.checkpoint import (
    load_bandsplit,
    load_state,
    network_of,
    optimiser_of,
    precision_of,
)
from stemsplit.training.estimates import SURE_DB
from stemsplit.training.evaluation import Evaluation
from stemsplit.training.library import Item, Library
from stemsplit.training.presets import PRESETS
from stemsplit.training.recordings import EXCERPTS
from stemsplit.training.remix import LAYER_CHANCES
from stemsplit.training.songs import Song, load_songs
from stemsplit.training.validation import REAL_SOURCES

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
    "flatters; no bass part, and its `other` holds kicks and low lines that one would call drums and bass",
    "mdn-funk": "a real song of another band (drums, bass, clavinet, horns, lead guitar; no voice)",
    "pjs": "a singer never heard in training, dry, over held-out real music (some of its makers have other "
    "music in training); only vocals are known",
    "render": "virtual band with held-out MIDI, drum kit, bass, keys and singer",
    "album-unseen": "the album's other songs, which this training left out; in no mean",
}
OPTIMISER_NOTES = {"adamw": "AdamW", "muon": "Muon for hidden matrices, AdamW for the rest"}
LOSS_NOTES = {
    "log_energy": "`10 log10(error energy + 0.001 mixture energy)` per stem and example",
    "l1": "`20 log10` of the summed magnitudes of the error, against the mixture's, per stem and example",
    "log_energy+waveform": "the mean of `10 log10(error energy + 0.001 mixture energy)` and `20 log10` of "
    "the mean absolute error of the waveform, per stem and example",
}


@dataclass(frozen=True)
class Exported:
    """How a model differs from the run that it was exported from.

    Parameters
    ----------
    mean_with : str
        Name of the file whose weights the run's were averaged with, if they were.
    attenuation_db : float
        How much softer the model hears songs.
    """

    mean_with: str = ""
    attenuation_db: float = 0.0

    @property
    def options(self) -> str:
        """The options of `export` and `card` that say so."""
        mean = f" --mean-with {self.mean_with}" if self.mean_with else ""
        return mean + (f" --attenuation-db {self.attenuation_db:g}" if self.attenuation_db else "")


def write_card(
    run: Path,
    library: Library,
    songs_folder: Path,
    model: Path,
    *,
    scores: Path,
    hardware: str,
    note: str = "",
    exported: Exported = Exported(),
) -> None:
    """Write ``<model>.md`` and ``<model>.csv``, the training curve.

    Parameters
    ----------
    run : Path
        Folder of the run: checkpoint and curve.
    library : Library
        What was trained on.
    songs_folder : Path
        Prepared songs.
    model : Path
        The exported model.
    scores : Path
        What `save_scores` wrote, of the run or of the model.
    hardware : str
        What it was trained on, in plain words.
    note : str
        What the commands of the card do not say.
    exported : Exported
        How the model differs from the run.
    """
    songs = [song for song in load_songs(songs_folder) if song.split == "train"]
    state = load_state(run / "checkpoint.pt")
    sections = [
        _head(model),
        _architecture(run),
        _training(state, songs, hardware, exported),
        _quality(Evaluation.load(scores)),
        _data(library),
        _made(songs),
        _reproduction(state, songs, note, exported),
    ]
    model.with_suffix(".md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    shutil.copyfile(run / "curve.csv", model.with_suffix(".csv"))


def _head(model: Path) -> str:
    spec = read_spec(model)
    return f"""# {spec.name} {spec.version}

{spec.description}. Targets: {", ".join(spec.targets)}{"; their masks sum to one" if spec.complete else ""}.
Stereo, 44,100 Hz.

- Licence of the weights: {spec.licence}. Trained only on openly licensed material; sources and credits below.
- STFT {spec.n_fft}/{spec.hop_length}, {spec.analysis_window} windows; {len(spec.mask_widths)} mask rows.
- A mask depends on {spec.context_s} s of the song on each side and on nothing beyond: chunks leave no seams.
- This card is written by `python -m stemsplit.training card`."""


def _architecture(run: Path) -> str:
    network = load_bandsplit(run / "checkpoint.pt")
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    layout, options = network.layout, network.options
    frame_ms = 1000 * SPEC.hop_length / SAMPLE_RATE
    head = "softmax over the targets" if options["mask"] == "softmax" else "sigmoid for each target"
    return f"""## Architecture

Band-split network after Luo & Yu (2023): {layout.n_bands} bands x {options["n_features"]} features x
{options["n_layers"]} layers, {n_parameters / 1e6:.2f} million parameters. Each layer has two gated
convolutions along time (dilations: {", ".join(map(str, network.dilations))} frames of {frame_ms:.0f} ms) and
a bidirectional LSTM along the bands. Input features (log power of left, right, mid and side) are computed
inside the graph. The lowest {layout.n_low} bins have a mask each, above them {layout.group} bins share one.
A {head} makes the masks."""


def _training(state: dict[str, Any], songs: Sequence[Song], hardware: str, exported: Exported) -> str:
    minutes: dict[str, float] = defaultdict(float)
    remix = state["remix"]
    for song in songs:
        minutes[song.kind] += song.n_samples / SAMPLE_RATE / 60
    listed = ", ".join(f"{kind} {value:.0f} min" for kind, value in sorted(minutes.items()))
    real = "from recordings"
    if "separated" in minutes and "separated" not in remix.get("without", ()):
        real += " or separated"
        promised = f"where its masks promised {SURE_DB:g} dB"
        listed += f".\n  Separated: stems of real music by an earlier model, {promised}"
    settings = state["settings"]
    audio_h = state["step_number"] * settings["batch_size"] * remix["n_samples"] / SAMPLE_RATE / 3600
    speed = audio_h * 3600 / max(1e-9, state["elapsed_s"])
    partial, without = remix.get("partial", 0), ", ".join(remix.get("without", ())) or "nothing"
    initial, loss = state.get("initial"), state["network_options"]["loss"]
    start = f"The weights of `{initial}` were the start" if initial else "The weights began at random"
    if exported.mean_with:
        start += f"; the model has the mean of the run's weights and those of `{exported.mean_with}`"
    if exported.attenuation_db:
        start += f". It hears songs {exported.attenuation_db:g} dB softer than the run did"
    spread_db = remix.get("loudness_db", 0)
    whole = f" (of all stems together by up to {spread_db:g} dB)" if spread_db else ""
    layers = ", ".join(f"{target} {chance:.0%}" for target, chance in LAYER_CHANCES.items() if chance)
    steps, size, example_s = state["step_number"], settings["batch_size"], remix["n_samples"] / SAMPLE_RATE
    return f"""## Training

- Hardware: {hardware}.
- {state["elapsed_s"] / 60:.0f} minutes, {steps} steps of {size} examples of {example_s:.1f} s:
  {audio_h:.1f} hours of audio, {speed:.0f} x real time. Seed {settings["seed"]}. {start}.
- Songs: {listed}.
- Examples: {remix["backing"]:.0%} a voice over real, unseparated music (loss on vocals only), {partial:.0%}
  real music without drums or bass and what it lacks (loss on that only), {remix["coherent"]:.0%} stems of one
  place of one song, the rest stems of different songs, {remix["real"]:.0%} of them {real},
  but at most {remix.get("maker", 1):.0%} from those of one maker. By chance two songs play a target at once:
  {layers}. Random levels{whole}, equaliser, speed, reverb, width, fades, saturation,
  polarity, channel swap, band limits and missing stems. Left out: {without}.
- Loss: {LOSS_NOTES[loss]}.
  {OPTIMISER_NOTES[optimiser_of(state)]}; warm-up and cosine over the clock, averaged weights
  (EMA), {precision_of(state)}.
- The CSV beside this card has the curve: loss and validation uSDR in dB over the seconds of training."""


def _quality(evaluation: Evaluation) -> str:
    judged = {score.source for score in evaluation.scores["model"]}
    notes = "\n".join(f"- `{name}`: {note}." for name, note in SOURCE_NOTES.items() if name in judged)
    model = evaluation.by_target("model", sources=REAL_SOURCES)
    baseline = evaluation.by_target("baseline", sources=REAL_SOURCES)
    weakest = min(model, key=lambda target: model[target], default="")
    weakness = (
        f"\n- The weakest target is {weakest} ({model[weakest]:.1f} dB on real sources)." if weakest else ""
    )
    lost = [target for target in model if model[target] <= baseline[target]]
    against = "on the mean of every target" if not lost else f"but not on the mean of {', '.join(lost)}"
    behind = ", ".join(evaluation.behind_baseline()) or "nothing"
    return f"""## Quality on the validation set

How networks, losses and ingredients do in the same minutes of training: [comparison](comparison.md). Whether
a network of its own for each target pays: [one at a time or together](comparison-targets.md). What the
optimiser brings: [Muon or AdamW](comparison-optimisers.md).

In dB, mean over excerpts. uSDR: energy of the stem over energy of the error. The baseline is a
harmonic-percussive split with frequency bands; the oracle is the ratio mask of the true stems. Leakage:
energy left in the estimate of a silent stem, against the mixture; silent stems count only there. Expected:
the uSDR that the masks promise without knowing the stems (`expected_sdr_db` in JSON). {evaluation.promise()}

{evaluation.table()}

{notes}
{_framewise(evaluation)}
## Known weaknesses

- On real sources the model beats the no-model baseline {against}; it is behind it on: {behind}.{weakness}
- Where a stem is much quieter than the mixture (see the improvement beside the uSDR), a little bleed costs
  many decibels, and the mean over excerpts suffers from it.
- Few real songs with known stems were available: four of one band. Styles far from them and from the virtual
  band (dense rock, heavily processed voices, live recordings) are separated worse than these figures say.
- Two validation songs share their band with training, and rendered songs share the makers' habits: read the
  `mdn-funk` and `pjs` lines first.
- Some of the training stems end at 9.5 kHz: cymbals and breath above that may land in the wrong stem.
- Choirs, vocoders and instruments close to a voice (saxophone, lead synths, violins) are taken for vocals
  at times."""


def _framewise(evaluation: Evaluation) -> str:
    table = evaluation.framewise_table()
    if not table:
        return ""
    return f"""
As the field reports it (museval, BSS Eval 4): frames of one second, the median over the frames of a song,
then over songs; one excerpt a song. A frame in which any reference of the song is silent is not counted.
SDR weighs all errors, SIR what leaked in from other stems, SAR what is in none of them.

{table}
"""


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


def _made(songs: Sequence[Song]) -> str:
    """What the songs are made of, so that an ablation can be read against how much there was."""
    minutes: dict[tuple[str, str], float] = defaultdict(float)
    for song in songs:
        for stem in song.stems:
            for name in song.ingredients.get(stem, ()) or (_plain(song),):
                minutes[(name, stem)] += song.n_samples / SAMPLE_RATE / 60
    rows = [f"| {name} | {stem} | {value:.0f} |" for (name, stem), value in sorted(minutes.items())]
    listed = "\n".join(rows)
    return f"""Stems for training, by what they are made of; a stem with several ingredients counts for each.

| ingredient | stem | minutes |
|---|---|---|
{listed}"""


def _changes(state: dict[str, Any]) -> str:
    """Options of `fit` by which a run differs from what it does by itself."""
    size = state["settings"]["batch_size"]
    alike = [name for name, each in PRESETS.items() if (each.network, each.batch_size) == ("bandsplit", size)]
    name = next(iter(alike), "cpu")
    usual = PRESETS[name].build().options
    words = [f"--preset {name}"] if name != "cpu" else []
    for key, value in network_of(state).options.items():
        if value != usual.get(key):
            words.append(f"--option '{key}={value if isinstance(value, str) else json.dumps(value)}'")
    words += [f"--without {each}" for each in state["remix"].get("without", ())]
    return "".join(f" {word}" for word in words)


def _plain(song: Song) -> str:
    return "played by the virtual band" if song.kind == "render" else f"recording ({song.kind})"


def _reproduction(state: dict[str, Any], songs: Sequence[Song], note: str, exported: Exported) -> str:
    n_renders = sum(song.kind == "render" for song in songs)
    screen = "# no recording was screened"
    if any(song.kind in {"screened", *EXCERPTS} for song in songs):
        screen = "python -m stemsplit.training screen LIBRARY --work WORK --model EARLIER.onnx"
    seed, minutes = state["settings"]["seed"], state["settings"]["budget_s"] / 60
    settings = f"--minutes {minutes:g} --seed {seed} --optimiser {optimiser_of(state)}{_changes(state)}"
    initial = f" --init {state['initial']}" if state.get("initial") else ""
    judged, options = "RUN", '--hardware "..."'
    if exported.options:  # then no run is what was judged
        judged, options = "models/band.onnx", f"{options} --scores WORK/scores-band.json{exported.options}"
    return f"""## Reproduction

The clock sets the number of steps, so another machine gives another model of the same kind. {note}

```
pip install ".[train]"      # in a clone; and fluidsynth with the FluidR3 soundfont
python -m stemsplit.training prepare LIBRARY --work WORK --songs {n_renders} --seed {seed}
{screen}
python -m stemsplit.training fit RUN --work WORK {settings}{initial}
python -m stemsplit.training export RUN models/band.onnx{exported.options}
python -m stemsplit.training evaluate {judged} --work WORK --museval
python -m stemsplit.training card RUN --library LIBRARY --work WORK --model models/band.onnx {options}
```"""
