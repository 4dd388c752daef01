"""Comparison at equal budget: each row has the same processor time on the same songs, then is scored.

A comparison is a folder: ``plan.json`` (what must be equal), a run's folder for each row with its
``result.json``. A finished row is not trained again, an interrupted one goes on from its checkpoint.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from stemsplit.errors import StemsplitError
from stemsplit.pending import whole_file
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.baseline import baseline_estimates, oracle_estimates
from stemsplit.training.loop import Trainer
from stemsplit.training.presets import find_preset
from stemsplit.training.remix import INGREDIENTS, Remixer, RemixSettings
from stemsplit.training.songs import Song
from stemsplit.training.validation import (
    Score,
    Separate,
    collect_cases,
    network_estimates,
    score_cases,
)

CHECKPOINT_S = 60.0
UNTRAINED: dict[str, Separate] = {"baseline": baseline_estimates, "oracle": oracle_estimates}


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Parameters
    ----------
    name : str
        What the line is called.
    preset : str
        What the network is and how it is trained, see `presets`; empty where nothing is trained.
    options : dict
        Options of the network, where they differ from the preset's.
    remix : dict
        Changes of `RemixSettings`.
    """

    name: str
    preset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    remix: Mapping[str, Any] = field(default_factory=dict)

    @property
    def without(self) -> tuple[str, ...]:
        """Ingredients that its training leaves out; what is not trained has heard no multitrack."""
        return tuple(self.remix.get("without", ())) if self.preset else ("multitracks",)


ROWS = (
    Row("baseline"),
    Row("oracle"),
    Row("openunmix", "openunmix"),
    Row("openunmix-cpu", "openunmix-cpu"),
    Row("bandsplit", "cpu"),
    Row("bandsplit-sigmoid", "cpu", {"mask": "sigmoid"}),
    Row("bandsplit-l1", "cpu", {"loss": "l1"}),
    Row("bandsplit-waveform", "cpu", {"loss": "log_energy+waveform"}),
    Row("bandsplit-wide", "cpu", {"n_features": 96}),
    Row("bandsplit-short", "cpu", {"dilations": [1, 2, 1, 2, 1, 2, 1, 2]}),
    *(Row(f"without-{name}", "cpu", remix={"without": (name,)}) for name in INGREDIENTS),
)


@dataclass(frozen=True)
class Training:
    """What a row's training came to: processor minutes, steps, parameters, hours of audio heard."""

    minutes: float = 0.0
    steps: int = 0
    n_parameters: int = 0
    audio_h: float = 0.0


@dataclass(frozen=True)
class Result:
    """A finished row."""

    row: Row
    training: Training
    scores: list[Score]


Train = Callable[[Row, Path], tuple[Training, Separate]]


@dataclass(frozen=True)
class Budget:
    """What every row of a comparison shares.

    Parameters
    ----------
    minutes : float
        Of training, in processor time: other work of the machine takes nothing from a row.
    seed : int
        Of weights and examples.
    threads : int
        Of the CPU, which the caller gives to torch.
    excerpt_s, n_excerpts : float, int
        Of the validation set, see `collect_cases`.
    """

    minutes: float
    seed: int = 0
    threads: int = 1
    excerpt_s: float = 20.0
    n_excerpts: int = 3


class Comparison:
    """A folder of rows.

    Parameters
    ----------
    folder : Path
        Where it is kept.
    songs : sequence of Song
        Of both splits.
    budget : Budget
        What the rows share.
    train : callable, optional
        Trains a row in a folder; `train_row` if not given.

    Raises
    ------
    StemsplitError
        The folder holds a comparison of another budget or of other songs.
    """

    def __init__(
        self, folder: Path, songs: Sequence[Song], budget: Budget, *, train: Train | None = None
    ) -> None:
        self.folder, self.budget, self._songs = folder, budget, songs
        self._train = train or (lambda row, run: train_row(row, run, songs, budget))
        self._check_plan()

    def run(self, row: Row) -> Result:
        """Train and score a row, or read what it came to."""
        run = self.folder / row.name
        if found := self.find(row):
            return found
        training, separate = self._train(row, run) if row.preset else (Training(), UNTRAINED[row.name])
        cases = collect_cases(
            self._songs,
            excerpt_s=self.budget.excerpt_s,
            n_excerpts=self.budget.n_excerpts,
            without=row.without,
        )
        result = Result(row, training, score_cases(cases, separate))
        _write_json(run / "result.json", asdict(result))
        return result

    def find(self, row: Row) -> Result | None:
        """A row that is finished.

        Raises
        ------
        StemsplitError
            It was trained with other options.
        """
        path = self.folder / row.name / "result.json"
        if not path.exists():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["row"] != json.loads(json.dumps(asdict(row))):
            raise StemsplitError(
                f"{path} is of a row with other settings: {found['row']}; delete its folder to train it again"
            )
        return Result(row, Training(**found["training"]), [Score(**each) for each in found["scores"]])

    def results(self, rows: Sequence[Row] = ROWS) -> list[Result]:
        """The rows that are finished, in order."""
        return [result for row in rows if (result := self.find(row))]

    def _check_plan(self) -> None:
        """Rows are comparable only if they heard the same songs for the same time."""
        path = self.folder / "plan.json"
        songs = {song.path.stem: [song.n_samples, *song.levels_db] for song in self._songs}
        plan = asdict(self.budget) | {"songs": songs}
        if not path.exists():
            _write_json(path, plan)
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in plan:
            if found.get(key) != plan[key]:
                what = "" if key == "songs" else f" ({found.get(key)}, not {plan[key]})"
                raise StemsplitError(
                    f"{self.folder} holds a comparison of other {key}{what}; name another folder"
                )


def train_row(row: Row, run: Path, songs: Sequence[Song], budget: Budget) -> tuple[Training, Separate]:
    """Train a row's network; a checkpoint found in `run` is continued.

    Raises
    ------
    StemsplitError
        The checkpoint is of another network, or has heard what the row leaves out.
    """
    preset = find_preset(row.preset)
    torch.manual_seed(budget.seed)
    network = preset.build(**row.options)
    settings = preset.settings(
        minutes=budget.minutes, validate_minutes=budget.minutes, seed=budget.seed, device="cpu"
    )
    remix = replace(preset.remix(), **row.remix)
    remixer = Remixer([song for song in songs if song.split == "train"], remix, seed=budget.seed)
    settings = replace(settings, checkpoint_s=CHECKPOINT_S, clock="processor")
    trainer = Trainer(network, remixer, settings, run)
    if set(trainer.without) != set(row.without):
        raise StemsplitError(f"{run} was begun with other ingredients; delete it to train {row.name} again")
    trainer.fit()
    return _training(trainer, remix), network_estimates(trainer.average.eval())


def find_rows(names: str) -> list[Row]:
    """Rows by their names, joined by commas; all of them for an empty text.

    Raises
    ------
    StemsplitError
        No row is called so.

    >>> [row.name for row in find_rows("oracle,baseline")]
    ['oracle', 'baseline']
    """
    known = {row.name: row for row in ROWS}
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            raise StemsplitError(f"no row is called {name!r}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def _training(trainer: Trainer, remix: RemixSettings) -> Training:
    n_samples = trainer.step_number * trainer.settings.batch_size * remix.n_samples
    return Training(
        minutes=trainer.elapsed_s / 60,
        steps=trainer.step_number,
        n_parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        audio_h=n_samples / SAMPLE_RATE / 3600,
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with whole_file(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
