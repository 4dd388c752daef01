"""The model card: training data, training, quality and known weaknesses of a model."""

import shutil
import textwrap
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from stemsplit.registry.installed import read_spec
from stemsplit.training import SAMPLE_RATE, SPEC, TARGETS
from stemsplit.training.curation.pseudo_labels import CONFIDENCE_DB
from stemsplit.training.data.library import Library
from stemsplit.training.data.songs import (
    LIBRARY_SOURCE,
    TrainingSong,
    are_bundled,
    load_songs,
    songs_with_targets,
)
from stemsplit.training.evaluation.report import Evaluation
from stemsplit.training.evaluation.scores import all_sources_of
from stemsplit.training.examples.remix import layer_chance
from stemsplit.training.fit.checkpoint import (
    load_bandsplit,
    load_state,
    network_of,
    optimiser_of,
    precision_of,
    training_sources_in,
    training_sources_of,
)
from stemsplit.training.release.provenance import data_section, ingredients_section
from stemsplit.training.release.reproduction import AS_TRAINED, ExportOptions, reproduction_section

SOURCE_NOTES = {
    "records": "excerpts of commercial records by as many artists, none of which is in training; models are "
    "selected by them. The distribution of the examples was adjusted to statistics over all of them",
    "album": "held-out songs of the album whose other songs are in training: same band and singer, so it "
    "flatters; no bass part, and its `other` holds kicks and low lines that one would call drums and bass",
    "mdn-funk": "a real song of another band (drums, bass, clavinet, horns, lead guitar; no voice)",
    "pjs": "a singer who is not in training, dry, over held-out real music (some of its artists have other "
    "music in training); only vocals are known",
    "render": "virtual band with held-out MIDI, drum kit, bass, keys and singer",
    "album-unseen": "the album's other songs, excluded from this training; not part of any mean",
}
# Holds for models that were trained on the library only.
COMPARISONS = """
Networks, losses and ingredients at equal training time: [comparison](comparison.md). One network
for each target: [one at a time or together](comparison-targets.md). Choice of the
optimiser: [Muon or AdamW](comparison-optimisers.md).
"""
WEAKNESSES = """
- Few real songs with known stems were available for training: four of one band. Records are far more
  various, which is why the figures on them are lower than those of the published state of the art.
- Two validation songs share their band with training, and rendered songs share the habits of one program:
  read the `records` lines first.
- Some of the training stems end at 9.5 kHz: cymbals and breath above that may land in the wrong stem.
- Choirs, vocoders and instruments close to a voice (saxophone, lead synths, violins) are assigned to vocals
  at times."""
ADDED_NOTE = "validation songs of an added data set"
OPTIMISER_NOTES = {"adamw": "AdamW", "muon": "Muon for hidden matrices, AdamW for the rest"}
LOSS_NOTES = {
    "log_energy": "`10 log10` of the energy of the error, against the mixture's, per stem and example",
    "l1": "`20 log10` of the summed magnitudes of the error, against the mixture's, per stem and example",
    "log_energy+waveform": "the mean of `10 log10` of the energy of the error and `20 log10` of the mean "
    "absolute error of the waveform, each against the mixture's, per stem and example",
}
# added to the ratio under the logarithm: 0.001 and 0.01 of energies
FLOOR_NOTE = "with a floor of -30 dB, or -20 dB for silent stems"


def write_card(
    run: Path,
    library: Library | None,
    songs_folder: Path,
    model: Path,
    *,
    scores: Path,
    hardware: str,
    note: str = "",
    exported: ExportOptions = AS_TRAINED,
) -> None:
    """Write ``<model>.md``, and ``<model>.csv`` with the training curve.

    Parameters
    ----------
    run : Path
        Folder of the run, with checkpoint and curve.
    library : Library, optional
        The training library, if it was used.
    songs_folder : Path
        Prepared songs.
    model : Path
        The exported model.
    scores : Path
        Scores of the run or the model, written by `save_scores`.
    hardware : str
        Hardware of the training, in plain words.
    note : str
        Additional note on the commands.
    exported : ExportOptions
        Differences between the model and the run.

    Raises
    ------
    StemsplitError
        The library was used, so its sources have to be credited, but it is not given.
    """
    state = load_state(run / "checkpoint.pt")
    training_sources = training_sources_in(state).union(*map(training_sources_of, exported.mean_with))
    targets = network_of(state).targets
    songs = [
        song
        for song in songs_with_targets(load_songs(songs_folder), targets)
        if song.split == "train" and song.source in training_sources
    ]
    drawn = [song for song in songs if song.kind != "screened"]
    is_bundled = training_sources == {LIBRARY_SOURCE} and targets == TARGETS
    sections = [
        _head(model, training_sources),
        _architecture(run),
        _training(state, drawn, hardware, exported),
        _quality(Evaluation.load(scores), targets, is_bundled=is_bundled),
        data_section(library, training_sources, drawn),
        ingredients_section(drawn),
        reproduction_section(state, training_sources, songs, model, note=note, exported=exported),
    ]
    model.with_suffix(".md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    shutil.copyfile(run / "curve.csv", model.with_suffix(".csv"))


def _head(model: Path, training_sources: Collection[tuple[str, str]]) -> str:
    spec = read_spec(model)
    closed = [
        f"{source} ({terms})"
        for source, terms in sorted(training_sources)
        if (source, terms) != LIBRARY_SOURCE
    ]
    opened = ["openly licensed material; sources and credits below"] * (LIBRARY_SOURCE in training_sources)
    data = ", ".join([*closed, *opened])
    return f"""# {spec.name} {spec.version}

{spec.description}. Targets: {", ".join(spec.targets)}{"; their masks sum to one" if spec.complete else ""}.
Stereo, 44,100 Hz.

- Licence of the weights: {spec.licence}. Trained {"" if closed else "only "}on {data}.
- STFT {spec.n_fft}/{spec.hop_length}, {spec.analysis_window} windows; {len(spec.mask_widths)} mask rows.
- A mask depends on at most {spec.context_s} s of context on each side. The graph hands on a state:
  chunks have no boundaries, and no frame is computed twice.
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
The masks, of {"mid and side" if network.is_mid_side else "left and right"}, are the output of a {head}."""


def _training(
    state: dict[str, Any], songs: Sequence[TrainingSong], hardware: str, exported: ExportOptions
) -> str:
    settings, loss = state["settings"], state["network_options"]["loss"]
    steps, size = state["step_number"], settings["batch_size"]
    example_s = state["remix"]["n_samples"] / SAMPLE_RATE
    audio_h = steps * size * example_s / 3600
    speed = audio_h * 3600 / max(1e-9, state["elapsed_s"])
    return f"""## Training

- Hardware: {hardware}.
- {state["elapsed_s"] / 60:.0f} minutes, {steps} steps of {size} examples of {example_s:.1f} s:
  {audio_h:.1f} hours of audio, {speed:.0f} x real time. Seed {settings["seed"]}. {_start(state, exported)}.
- Songs: {_minutes(state, songs)}.
{_examples(state, songs)}
{_wrap(f"Loss: {LOSS_NOTES[loss]}, {FLOOR_NOTE}.", first="- ", following="  ")}
  {OPTIMISER_NOTES[optimiser_of(state)]}; warm-up and cosine over the clock, averaged weights
  (EMA), {precision_of(state)}.
- The CSV beside this card has the curve: loss and validation uSDR in dB over the seconds of training."""


def _start(state: dict[str, Any], exported: ExportOptions) -> str:
    """Describe the initial weights of the run, and what the export changed."""
    initial = state.get("initial")
    text = f"Training started from {f'the weights of `{initial}`' if initial else 'random weights'}"
    if exported.mean_with:
        others = ", ".join(f"`{name}`" for name in exported.mean_names)
        text += f"; the model has the mean of the run's weights and those of {others}"
    if exported.attenuation_db:
        text += f". It attenuates its input by {exported.attenuation_db:g} dB, unlike the run"
    return text


def _minutes(state: dict[str, Any], songs: Sequence[TrainingSong]) -> str:
    """List the minutes of the songs by kind."""
    minutes: dict[str, float] = defaultdict(float)
    for song in songs:
        minutes[song.kind] += song.n_samples / SAMPLE_RATE / 60
    listed = ", ".join(f"{kind} {value:.0f} min" for kind, value in sorted(minutes.items()))
    if "separated" in minutes and "separated" not in state["remix"].get("without", ()):
        confidence = f"with an expected SDR of at least {CONFIDENCE_DB:g} dB"
        listed += f".\n  Separated: stems of real music by an earlier model, {confidence}"
    return listed


def _examples(state: dict[str, Any], songs: Sequence[TrainingSong]) -> str:
    """Describe how examples were drawn, limited to the kinds that the songs allow."""
    remix, pools = state["remix"], state.get("pools", ("backing", "partial", "coherent"))
    shares = {
        "backing": "a voice over real, unseparated music (loss on vocals only)",
        "partial": "unseparated music that lacks more, such as drums, which are added (loss on these only)",
        "unknown": "whole songs of which no stem is known (for a discriminator only)",
        "coherent": "stems of one position of one song",
    }
    kinds = [f"{remix.get(name, 0):.0%} {text}" for name, text in shares.items() if name in pools]
    text = f"Examples: {', '.join([*kinds, 'otherwise stems of different songs'])}"
    without = remix.get("without", ())
    if any(song.kind == "render" for song in songs):
        has_separated = any(song.kind == "separated" for song in songs) and "separated" not in without
        real = "from recordings" + " or separated" * has_separated
        most = f"at most {remix.get('maker', 1):.0%} from one artist"
        text += f", {remix['real']:.0%} of them {real}, but {most}"
    chances = {target: layer_chance(target) for target in network_of(state).targets}
    layers = ", ".join(f"{target} {chance:.0%}" for target, chance in chances.items() if chance)
    spread_db = remix.get("loudness_db", 0)
    whole = f" (of all stems together by up to {spread_db:g} dB)" if spread_db else ""
    text += f". Two songs are layered for one target with a probability of: {layers}. Random levels{whole}, "
    text += "equaliser, speed, reverb, width, fades, saturation, polarity, channel swap, "
    text += "band limits and missing stems. "
    if detuned := remix.get("detuned"):  # early checkpoints do not say it, none of theirs were
        text += f"All stems of {detuned:.0%} of the examples were detuned alike, by up to half a semitone. "
    text += f"{_matching(remix, chances)}Left out: {', '.join(without) or 'nothing'}."
    return _wrap(text, first="- ", following="  ")


def _matching(remix: dict[str, Any], targets: Collection[str]) -> str:
    """How far known stems were moved toward records; the first checkpoints do not say it, theirs were not.

    Nor are examples of other targets than those of the records.
    """
    if not remix.get("matched") or not set(targets) <= set(TARGETS):
        return ""
    match = remix["match"]
    largest = {name: f"{match[f'{name}_db']:g} dB" for name in ("spectrum", "width", "dynamics")}
    if "cut_db" in match:  # early checkpoints do not say it, they were cut no further than raised
        largest["spectrum"] += f" up and {match['cut_db']:g} dB down"
    listed = ", ".join(
        f"{name} {match[name][0]:.0%} to {match[name][1]:.0%} of the way, at most {most}"
        for name, most in largest.items()
    )
    levels = "; levels are those of the record" if match["levels"] else ""
    # early checkpoints do not say it, their stems were not
    if widened := match.get("widened"):
        listed += f"; {widened:.0%} of the narrow vocals, drums and basses were widened first"
    moved = f"Known stems of {remix['matched']:.0%} of the examples were moved toward a drawn record"
    return f"{moved}: {listed}{levels}. "


def _quality(evaluation: Evaluation, targets: Collection[str], *, is_bundled: bool) -> str:
    """Describe scores and weaknesses.

    Those of the bundled model hold if it was trained on the library only.
    """
    scores = evaluation.scores["model"]
    judged = all_sources_of(scores)
    notes = "\n".join(f"- `{name}`: {SOURCE_NOTES.get(name, ADDED_NOTE)}." for name in judged)
    floor = "a harmonic-percussive split with frequency bands"
    if not are_bundled(targets):
        floor = "an equal share of the mixture for each target"
    how = (
        "In dB, mean over excerpts. uSDR: energy of the stem over energy of the error. The baseline is "
        f"{floor}; the oracle is the ratio mask of the true stems. Leakage: energy left in the estimate of a "
        "silent stem, against the mixture; silent stems count only there. Expected: the uSDR predicted "
        f"from the masks alone (`expected_sdr_db` in JSON). {evaluation.expected_sdr_note()}"
    )
    return f"""## Quality on the validation set
{COMPARISONS if is_bundled else ""}
{_wrap(how)}

{evaluation.table()}

{notes}
{_framewise(evaluation)}
## Known weaknesses

{_weaknesses(evaluation)}
- Where a stem is much quieter than the mixture (see the improvement beside the uSDR), a little bleed costs
  many decibels and lowers the mean over excerpts.{WEAKNESSES if is_bundled else ""}"""


def _weaknesses(evaluation: Evaluation) -> str:
    """Describe where the model does not beat the baseline, and its weakest target."""
    judges, model, baseline = evaluation.deciding_figures()
    lost = [target for target in model if model[target] <= baseline[target]]
    against = "on the mean of every target" if not lost else f"but not on the mean of {', '.join(lost)}"
    behind = ", ".join(evaluation.behind_baseline()) or "nothing"
    text = f"- On {judges} the model beats the no-model baseline {against}; it is behind it on: {behind}."
    weakest = min(model, key=lambda target: model[target], default="")
    if weakest:
        text += f"\n- The weakest target is {weakest} ({model[weakest]:.1f} dB on {judges})."
    return text


def _framewise(evaluation: Evaluation) -> str:
    table = evaluation.framewise_table()
    if not table:
        return ""
    return f"""
Framewise metrics (museval, BSS Eval 4): frames of one second, the median over the frames of a song,
then over songs; one excerpt per song. Frames in which a reference is silent are excluded.
SDR measures all errors, SIR leakage from other stems, SAR artefacts.

{table}
"""


def _wrap(text: str, *, first: str = "", following: str = "") -> str:
    return textwrap.fill(text, 110, break_on_hyphens=False, initial_indent=first, subsequent_indent=following)
