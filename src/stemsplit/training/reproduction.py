"""The commands that make a model again: the end of its card."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stemsplit.catalog import read_spec
from stemsplit.training.checkpoint import network_of, optimiser_of
from stemsplit.training.presets import PRESETS
from stemsplit.training.recordings import EXCERPTS
from stemsplit.training.settings import SHARES, RemixSettings
from stemsplit.training.songs import Song


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
    remix, usual = state["remix"], asdict(RemixSettings(0))
    words += [
        f"--remix {name}={remix[name]:g}" for name in SHARES if remix.get(name, usual[name]) != usual[name]
    ]
    words += [f"--without {each}" for each in remix.get("without", ())]
    return "".join(f" {word}" for word in words)


AS_TRAINED = Exported()


def reproduction_section(
    state: dict[str, Any], songs: Sequence[Song], model: Path, note: str, exported: Exported
) -> str:
    seed, minutes = state["settings"]["seed"], state["settings"]["budget_s"] / 60
    settings = f"--minutes {minutes:g} --seed {seed} --optimiser {optimiser_of(state)}{_changes(state)}"
    initial = f" --init {state['initial']}" if state.get("initial") else ""
    file, licence = f"models/{model.name}", read_spec(model).licence
    library = "--library LIBRARY " if any(not song.dataset for song in songs) else ""
    stated = "" if licence == "MIT" else f" --licence '{licence}'"
    judged, options = "RUN", '--hardware "..."'
    if exported.options:  # then no run is what was judged
        judged, options = file, f"{options} --scores WORK/scores-{model.stem}.json{exported.options}"
    material = "\n".join(_material(songs, seed))
    return f"""## Reproduction

The clock sets the number of steps, so another machine gives another model of the same kind. {note}

```
pip install ".[train]"      # in a clone; and fluidsynth with the FluidR3 soundfont
{material}
python -m stemsplit.training fit RUN --work WORK {settings}{initial}
python -m stemsplit.training export RUN {file}{exported.options}{stated}
python -m stemsplit.training evaluate {judged} --work WORK --museval
python -m stemsplit.training card RUN {library}--work WORK --model {file} {options}
```"""


def _material(songs: Sequence[Song], seed: int) -> Iterator[str]:
    """Commands that make the songs."""
    if any(not song.dataset for song in songs):
        n_renders = sum(song.kind == "render" for song in songs)
        yield f"python -m stemsplit.training prepare LIBRARY --work WORK --songs {n_renders} --seed {seed}"
        screen = "# no recording was screened"
        if any(song.kind in {"screened", *EXCERPTS} for song in songs):
            screen = "python -m stemsplit.training screen LIBRARY --work WORK --model EARLIER.onnx"
        yield screen
    for name in sorted({song.dataset for song in songs} - {""}):
        yield f"python -m stemsplit.training add FOLDER --work WORK --name {name}"
