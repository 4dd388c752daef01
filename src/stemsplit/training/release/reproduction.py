"""The commands that make a model again: the end of its card."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stemsplit.registry.catalog import read_spec
from stemsplit.training import TARGETS
from stemsplit.training.data.recordings import EXCERPTS
from stemsplit.training.data.songs import LIBRARY_SOURCE, TrainingSong
from stemsplit.training.examples.settings import SHARES, RemixSettings
from stemsplit.training.fit.checkpoint import network_of, optimiser_of
from stemsplit.training.fit.presets import PRESETS


@dataclass(frozen=True)
class Exported:
    """How a model differs from the run that it was exported from.

    Parameters
    ----------
    mean_with : Path, optional
        The file whose weights the run's were averaged with, if they were.
    attenuation_db : float
        How much softer the model hears songs.
    """

    mean_with: Path | None = None
    attenuation_db: float = 0.0

    @property
    def options(self) -> str:
        """The options of `export` and `card` that say so."""
        mean = f" --mean-with {self.mean_with.name}" if self.mean_with else ""
        return mean + (f" --attenuation-db {self.attenuation_db:g}" if self.attenuation_db else "")


AS_TRAINED = Exported()


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
    rate, usual_rate = state["settings"]["learning_rate"], PRESETS[name].learning_rate
    words += [f"--learning-rate {rate:g}"] if rate != usual_rate else []
    remix, usual = state["remix"], asdict(RemixSettings(0))
    words += [
        f"--remix {name}={remix[name]:g}" for name in SHARES if remix.get(name, usual[name]) != usual[name]
    ]
    words += [f"--without {each}" for each in remix.get("without", ())]
    return "".join(f" {word}" for word in words)


def reproduction_section(
    state: dict[str, Any],
    heard: Collection[tuple[str, str]],
    songs: Sequence[TrainingSong],
    model: Path,
    *,
    note: str,
    exported: Exported,
) -> str:
    """Commands from the songs to the card.

    Parameters
    ----------
    state : dict
        The run's checkpoint.
    heard : collection of (str, str)
        What the weights have heard and its terms.
    songs : sequence of TrainingSong
        What was trained on.
    model : Path
        The exported model.
    note : str
        What the commands do not say.
    exported : Exported
        How the model differs from the run.
    """
    seed, minutes = state["settings"]["seed"], state["settings"]["budget_s"] / 60
    settings = f"--minutes {minutes:g} --seed {seed} --optimiser {optimiser_of(state)}{_changes(state)}"
    initial = f" --init {state['initial']}" if state.get("initial") else ""
    file = f"models/{model.name}"
    library = "--library LIBRARY " if LIBRARY_SOURCE in heard else ""
    stated = f" --licence '{read_spec(model).licence}'" if set(heard) - {LIBRARY_SOURCE} else ""
    judged, options = "RUN", '--hardware "..."'
    if exported.options:  # then no run is what was judged
        judged, options = file, f"{options} --scores WORK/scores-{model.stem}.json{exported.options}"
    material = "\n".join(_material(songs, seed))
    return f"""## Reproduction

The clock sets the number of steps, so another machine gives another model of the same kind. {note}

```
pip install ".[train]"      # in a clone
{material}
python -m stemsplit.training fit RUN --work WORK {settings}{initial}
python -m stemsplit.training export RUN {file}{exported.options}{stated}
python -m stemsplit.training evaluate {judged} --work WORK --museval
python -m stemsplit.training card RUN {library}--work WORK --model {file} {options}
```"""


def _material(songs: Sequence[TrainingSong], seed: int) -> Iterator[str]:
    """Commands that make the songs."""
    if any(not song.dataset for song in songs):
        n_renders = sum(song.kind == "render" for song in songs)
        yield "# with fluidsynth and the FluidR3 soundfont"
        yield f"python -m stemsplit.training prepare LIBRARY --work WORK --songs {n_renders} --seed {seed}"
        screen = "# no recording was screened"
        if any(song.kind in {"screened", *EXCERPTS} for song in songs):
            screen = "python -m stemsplit.training screen LIBRARY --work WORK --model EARLIER.onnx"
        yield screen
    for name, licence in sorted({song.source for song in songs if song.dataset}):
        stems = dict.fromkeys(stem for song in songs if song.dataset == name for stem in song.stems)
        named = "".join(f" --stem '{stem}=PATTERN'" for stem in stems if stem not in TARGETS)
        yield f"python -m stemsplit.training add SONGS --work WORK --name {name} --licence '{licence}'{named}"
        yield "# and songs for validation, with --split valid"
