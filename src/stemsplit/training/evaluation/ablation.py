"""Comparison at equal budget: each row has the same processor time on the same songs, then is scored.

A comparison is a folder: ``plan.json`` (what must be equal), a run's folder for each row with its
``result.json``. A finished row is not trained again, an interrupted one goes on from its checkpoint.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import write_json
from stemsplit.training import TARGETS
from stemsplit.training.data.songs import TrainingSong, songs_with_targets
from stemsplit.training.evaluation.ablation_rows import ROWS, AblationRow
from stemsplit.training.evaluation.baseline import baseline_estimates, oracle_estimates
from stemsplit.training.evaluation.scores import Score
from stemsplit.training.evaluation.validation import (
    Separate,
    ValidationCase,
    collect_cases,
    network_estimates,
    score_cases,
)
from stemsplit.training.examples.remix import Remixer
from stemsplit.training.fit.presets import find_preset
from stemsplit.training.fit.trainer import Trainer

CHECKPOINT_S = 60.0
UNTRAINED: dict[str, Separate] = {"baseline": baseline_estimates, "oracle": oracle_estimates}


@dataclass(frozen=True)
class AblationTraining:
    """What a row's training came to: processor minutes, steps, parameters, hours of audio."""

    minutes: float = 0.0
    steps: int = 0
    n_parameters: int = 0
    audio_h: float = 0.0


@dataclass(frozen=True)
class Result:
    """A finished row."""

    row: AblationRow
    training: AblationTraining
    scores: list[Score]


Train = Callable[[AblationRow, Path], tuple[AblationTraining, Separate]]


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
    songs : sequence of TrainingSong
        Of both splits.
    budget : Budget
        What the rows share.
    records : sequence of ValidationCase
        Records that decide between the rows.
    train : callable, optional
        Trains a row in a folder; `train_row` if not given.

    Raises
    ------
    StemsplitError
        The folder holds a comparison of another budget or of other songs.
    """

    def __init__(
        self,
        folder: Path,
        songs: Sequence[TrainingSong],
        budget: Budget,
        *,
        records: Sequence[ValidationCase] = (),
        train: Train | None = None,
    ) -> None:
        songs = songs_with_targets(songs, TARGETS)
        self.folder, self.budget, self._songs, self._records = folder, budget, songs, records
        self._train = train or (lambda row, run: train_row(row, run, songs, budget))
        self._check_plan()

    def run(self, row: AblationRow) -> Result:
        """Train and score a row, or read what it came to."""
        run = self.folder / row.name
        if found := self.find(row):
            return found
        training, separate = (
            self._train(row, run) if row.preset else (AblationTraining(), UNTRAINED[row.name])
        )
        cases = collect_cases(
            self._songs,
            excerpt_s=self.budget.excerpt_s,
            n_excerpts=self.budget.n_excerpts,
            without=row.without,
            records=self._records,
        )
        result = Result(row, training, score_cases(cases, separate))
        write_json(run / "result.json", asdict(result))
        return result

    def find(self, row: AblationRow) -> Result | None:
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
        return Result(row, AblationTraining(**found["training"]), [Score(**each) for each in found["scores"]])

    def results(self, rows: Sequence[AblationRow] = ROWS) -> list[Result]:
        """The rows that are finished, in order."""
        return [result for row in rows if (result := self.find(row))]

    def _check_plan(self) -> None:
        """Rows are comparable only if they were trained on the same songs for the same time."""
        path = self.folder / "plan.json"
        songs = {song.path.stem: [song.n_samples, *song.levels_db] for song in self._songs}
        plan = asdict(self.budget) | {"songs": songs}
        if not path.exists():
            write_json(path, plan)
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in plan:
            if found.get(key) != plan[key]:
                what = "" if key == "songs" else f" ({found.get(key)}, not {plan[key]})"
                raise StemsplitError(
                    f"{self.folder} holds a comparison of other {key}{what}; name another folder"
                )


def train_row(
    row: AblationRow, run: Path, songs: Sequence[TrainingSong], budget: Budget
) -> tuple[AblationTraining, Separate]:
    """Train a row's network, or its networks; checkpoints found in `run` are continued.

    Raises
    ------
    StemsplitError
        A checkpoint is of another network, or was trained on what the row leaves out.
    """
    if not row.one_target:
        trainer = _train(row, run, songs, budget)
        return _training([trainer]), network_estimates(trainer.average.eval())
    joint = []
    if row.one_target < 1:
        first = replace(budget, minutes=(1 - row.one_target) * budget.minutes)
        joint.append(_train(row, run / "joint", songs, first))
    # with another seed: examples that the joint network was not trained on
    minutes = row.one_target * budget.minutes / len(TARGETS)
    each = replace(budget, minutes=minutes, seed=budget.seed + len(joint))
    single = [
        _train(replace(row, options={**row.options, "target": target}), run / target, songs, each, *joint)
        for target in TARGETS
    ]
    ways = [network_estimates(trainer.average.eval()) for trainer in single]
    # all trainings cost their minutes; only the networks at the end are used
    training = replace(_training(joint + single), n_parameters=_training(single).n_parameters)
    return training, lambda case: np.stack([way(case)[place] for place, way in enumerate(ways)])


def _train(
    row: AblationRow, run: Path, songs: Sequence[TrainingSong], budget: Budget, initial: Trainer | None = None
) -> Trainer:
    """Train one network for the minutes of `budget`."""
    preset = find_preset(row.preset)
    torch.manual_seed(budget.seed)
    network = preset.build(**row.options)
    settings = preset.settings(
        minutes=budget.minutes, validate_minutes=budget.minutes, seed=budget.seed, device="cpu"
    )
    remixer = Remixer(
        [song for song in songs if song.split == "train"],
        replace(preset.remix(), **row.remix),
        seed=budget.seed,
    )
    settings = replace(settings, checkpoint_s=CHECKPOINT_S, clock="processor", **row.fit)
    trainer = Trainer(network, remixer, settings, run, initial=initial.checkpoint if initial else None)
    if set(trainer.without) != set(row.without):
        raise StemsplitError(f"{run} was begun with other ingredients; delete it to train {row.name} again")
    trainer.fit()
    return trainer


def _training(trainers: Sequence[Trainer]) -> AblationTraining:
    """What some trainings came to together."""
    return AblationTraining(
        minutes=sum(trainer.elapsed_s for trainer in trainers) / 60,
        steps=sum(trainer.step_number for trainer in trainers),
        n_parameters=sum(p.numel() for trainer in trainers for p in trainer.network.parameters()),
        audio_h=sum(trainer.audio_s for trainer in trainers) / 3600,
    )
