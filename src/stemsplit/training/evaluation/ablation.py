"""Ablation at equal budget: every row is trained for the same processor time on the same songs, then scored.

A comparison is a folder with ``plan.json``, the settings that all rows share, and a folder for each row,
which holds its run and its ``result.json``. A finished row is not trained again; an interrupted one resumes
from its checkpoint.
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
    """Cost of the training of a row: processor minutes, steps, parameters, hours of audio."""

    minutes: float = 0.0
    steps: int = 0
    n_parameters: int = 0
    audio_h: float = 0.0


@dataclass(frozen=True)
class AblationResult:
    """Scores of a finished row, and what its training cost."""

    row: AblationRow
    training: AblationTraining
    scores: list[Score]


Train = Callable[[AblationRow, Path], tuple[AblationTraining, Separate]]


@dataclass(frozen=True)
class Budget:
    """Settings that all rows of a comparison share.

    Parameters
    ----------
    minutes : float
        Training time of a row in minutes of processor time, so that other processes on the machine do not
        shorten it.
    seed : int
        Random seed of the weights and the examples.
    threads : int
        Threads of the CPU; the caller sets them in torch.
    excerpt_s, n_excerpts : float, int
        Excerpts of the validation set, see `collect_cases`.
    """

    minutes: float
    seed: int = 0
    threads: int = 1
    excerpt_s: float = 20.0
    n_excerpts: int = 3


class Comparison:
    """A comparison of ablation rows, kept in a folder.

    Parameters
    ----------
    folder : Path
        Folder of the comparison; created if it does not exist.
    songs : sequence of TrainingSong
        Songs for training and for validation.
    budget : Budget
        Settings that all rows share.
    records : sequence of ValidationCase
        Records, by whose scores rows are compared.
    train : callable, optional
        Function that trains a row in a folder; `train_row` by default.

    Raises
    ------
    StemsplitError
        The folder holds a comparison with another budget, with other songs or with other records.
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

    def run(self, row: AblationRow) -> AblationResult:
        """Train and score a row, or read its result if it is finished."""
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
        result = AblationResult(row, training, score_cases(cases, separate))
        write_json(run / "result.json", asdict(result))
        return result

    def find(self, row: AblationRow) -> AblationResult | None:
        """Return the result of a row; None if it is not finished.

        Raises
        ------
        StemsplitError
            The row was trained with other settings.
        """
        path = self.folder / row.name / "result.json"
        if not path.exists():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["row"] != json.loads(json.dumps(asdict(row))):
            raise StemsplitError(
                f"{path} has other settings: {found['row']}; delete its folder to train the row again"
            )
        scores = [Score(**each) for each in found["scores"]]
        return AblationResult(row, AblationTraining(**found["training"]), scores)

    def results(self, rows: Sequence[AblationRow] = ROWS) -> list[AblationResult]:
        """Return the results of the finished rows, in the order of `rows`."""
        return [result for row in rows if (result := self.find(row))]

    def _check_plan(self) -> None:
        """Make sure that all rows are trained on the same songs for the same time, and scored on one set."""
        path = self.folder / "plan.json"
        songs = {song.path.stem: [song.n_samples, *song.levels_db] for song in self._songs}
        records = [record.name for record in self._records]
        plan = asdict(self.budget) | {"songs": songs, "records": records}
        if not path.exists():
            write_json(path, plan)
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in plan:
            if found.get(key) != plan[key]:
                what = "" if key in {"songs", "records"} else f" ({found.get(key)}, not {plan[key]})"
                raise StemsplitError(
                    f"{self.folder} holds a comparison with other {key}{what}; name another folder"
                )


def train_row(
    row: AblationRow, run: Path, songs: Sequence[TrainingSong], budget: Budget
) -> tuple[AblationTraining, Separate]:
    """Train the network of a row, or its networks; training resumes from the checkpoints in `run`.

    Raises
    ------
    StemsplitError
        A checkpoint holds another network, or was trained with ingredients that the row leaves out.
    """
    if not row.one_target:
        trainer = _train(row, run, songs, budget)
        return _add_up([trainer]), network_estimates(trainer.average.eval())
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
    separators = [network_estimates(trainer.average.eval()) for trainer in single]
    # every training counts towards the minutes; only the networks of one target are used
    training = replace(_add_up(joint + single), n_parameters=_add_up(single).n_parameters)
    return training, lambda case: np.stack([each(case)[index] for index, each in enumerate(separators)])


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
        raise StemsplitError(f"{run} was started with other ingredients; delete it to train {row.name} again")
    trainer.fit()
    return trainer


def _add_up(trainers: Sequence[Trainer]) -> AblationTraining:
    """Return the total cost of several trainings."""
    return AblationTraining(
        minutes=sum(trainer.elapsed_s for trainer in trainers) / 60,
        steps=sum(trainer.step_number for trainer in trainers),
        n_parameters=sum(p.numel() for trainer in trainers for p in trainer.network.parameters()),
        audio_h=sum(trainer.audio_s for trainer in trainers) / 3600,
    )
