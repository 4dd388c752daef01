"""Commands that reproduce a model: the last section of its card."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stemsplit.registry.installed import read_spec
from stemsplit.training import SPEC, TARGETS
from stemsplit.training.data.recordings import EXCERPTS
from stemsplit.training.data.songs import LIBRARY_SOURCE, TrainingSong
from stemsplit.training.examples.settings import SHARES, RemixSettings
from stemsplit.training.fit.checkpoint import network_of, optimiser_of
from stemsplit.training.fit.presets import PRESETS


@dataclass(frozen=True)
class ExportOptions:
    """Differences between a model and the run that it was exported from.

    Parameters
    ----------
    mean_with : tuple of Path
        Files whose weights were averaged with those of the run.
    attenuation_db : float
        Attenuation of the model's input in dB.
    """

    mean_with: tuple[Path, ...] = ()
    attenuation_db: float = 0.0

    @property
    def mean_names(self) -> list[str]:
        """Names of the files of `mean_with`; a checkpoint has that of its run."""
        return [path.name if path.suffix == ".onnx" else path.parent.name for path in self.mean_with]

    @property
    def options(self) -> str:
        """The corresponding options of `export` and `card`."""
        mean = "".join(f" --mean-with {name}" for name in self.mean_names)
        return mean + (f" --attenuation-db {self.attenuation_db:g}" if self.attenuation_db else "")


AS_TRAINED = ExportOptions()


def _changed_options(state: dict[str, Any]) -> str:
    """Return the options of `fit` that differ from its defaults, by the preset that leaves the fewest."""
    alike = [name for name, each in PRESETS.items() if each.network == "bandsplit"]
    words = min((_words_with(name, state) for name in alike), key=len)
    return "".join(f" {word}" for word in words)


def _words_with(name: str, state: dict[str, Any]) -> list[str]:
    """Return the options of `fit` for a run, given a preset."""
    preset, settings, remix = PRESETS[name], state["settings"], state["remix"]
    words = [f"--preset {name}"] if name != "cpu" else []
    usual = preset.build().options
    for key, value in network_of(state).options.items():
        if value != usual.get(key):
            words.append(f"--option '{key}={value if isinstance(value, str) else json.dumps(value)}'")
    n_frames = (remix["n_samples"] - SPEC.n_fft) // SPEC.hop_length + 1
    words += [f"--frames {n_frames}"] if n_frames != preset.n_frames else []
    words += [f"--batch {settings['batch_size']}"] if settings["batch_size"] != preset.batch_size else []
    rate = settings["learning_rate"]
    words += [f"--learning-rate {rate:g}"] if rate != preset.learning_rate else []
    drawn = asdict(RemixSettings(0)) | remix  # early checkpoints lack some
    usual = asdict(preset.remix())
    words += [f"--remix {share}={drawn[share]:g}" for share in SHARES if drawn[share] != usual[share]]
    words += [f"--without {each}" for each in remix.get("without", ())]
    return words


def reproduction_section(
    state: dict[str, Any],
    training_sources: Collection[tuple[str, str]],
    songs: Sequence[TrainingSong],
    model: Path,
    *,
    note: str,
    exported: ExportOptions,
) -> str:
    """List the commands from the songs to the card.

    Parameters
    ----------
    state : dict
        Checkpoint of the run.
    training_sources : collection of (str, str)
        Sources that the weights were trained on, each with its licence.
    songs : sequence of TrainingSong
        Training songs.
    model : Path
        The exported model.
    note : str
        Additional note on the commands.
    exported : ExportOptions
        Differences between the model and the run.
    """
    seed = state["settings"]["seed"]
    settings = f"{_budget(state)} --seed {seed} --optimiser {optimiser_of(state)}{_changed_options(state)}"
    initial = f" --init {state['initial']}" if state.get("initial") else ""
    file = f"models/{model.name}"
    library = "--library LIBRARY " if LIBRARY_SOURCE in training_sources else ""
    stated = f" --licence '{read_spec(model).licence}'" if set(training_sources) - {LIBRARY_SOURCE} else ""
    evaluated, options = "RUN", '--hardware "..."'
    if exported.options:  # then the model was evaluated instead of the run
        evaluated, options = file, f"{options} --scores WORK/scores-{model.stem}.json{exported.options}"
    material = "\n".join(_song_commands(songs))
    return f"""## Reproduction

The time budget sets the number of steps, so another machine gives a different model of the same kind. {note}

```
pip install ".[train]"      # in a clone
{material}
python -m stemsplit.training fit RUN --work WORK {settings}{initial}
python -m stemsplit.training export RUN {file}{exported.options}{stated}
python -m stemsplit.training evaluate {evaluated} --work WORK --museval
python -m stemsplit.training card RUN {library}--work WORK --model {file} {options}
```"""


def _budget(state: Mapping[str, Any]) -> str:
    """Return the option for how long it was trained."""
    settings = state["settings"]
    # early checkpoints knew minutes only
    n_steps = settings.get("n_steps", 0)
    return f"--steps {n_steps}" if n_steps else f"--minutes {settings['budget_s'] / 60:g}"


def _song_commands(songs: Sequence[TrainingSong]) -> Iterator[str]:
    """Yield the commands that create the songs.

    Songs do not hold the options that they were created with, often in several runs of a command: dots are
    in their places.
    """
    if any(not song.dataset for song in songs):
        yield "# with fluidsynth and the FluidR3 soundfont; dots are for options that the songs do not hold"
        yield "python -m stemsplit.training prepare LIBRARY --work WORK ..."
        screen = "# no recording was screened"
        if any(song.kind in {"screened", *EXCERPTS} for song in songs):
            screen = "python -m stemsplit.training screen LIBRARY --work WORK --model EARLIER.onnx ..."
        yield screen
    for name, licence in sorted({song.source for song in songs if song.dataset}):
        stems = dict.fromkeys(stem for song in songs if song.dataset == name for stem in song.stems)
        named = "".join(f" --stem '{stem}=PATTERN'" for stem in stems if stem not in TARGETS)
        yield f"python -m stemsplit.training add SONGS --work WORK --name {name} --licence '{licence}'{named}"
        yield "# and songs for validation, with --split valid"
