"""Commercial records with their true stems: the validation set by which models are selected.

The folder holds ``records/<song>/vocals.*``, ``drums.*``, ``bass.*`` and ``other.*``, in any format and at
any sample rate. Nothing of it is copied: only figures over all songs may be published, so a song is
identified by the name of its folder alone.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from stemsplit.audio.extensions import is_audio
from stemsplit.errors import StemsplitError
from stemsplit.training import TARGETS
from stemsplit.training.data.dataset import StemFile
from stemsplit.training.data.sources import RECORDS_SOURCE
from stemsplit.training.evaluation.baseline import reference_scores
from stemsplit.training.evaluation.candidates import open_candidate
from stemsplit.training.evaluation.scores import load_scores, save_scores
from stemsplit.training.evaluation.validation import ValidationCase, score_cases


def load_records(folder: Path | None) -> list[ValidationCase]:
    """Read all songs of a folder of records into memory; an empty list if no folder is given.

    A record of 7 s takes 10 MB.

    Raises
    ------
    StemsplitError
        The folder holds no songs, or a song lacks a stem.
    AudioError
        A stem cannot be read.
    """
    if folder is None:
        return []
    songs = sorted(path for path in (folder / "records").glob("*") if path.is_dir())
    if not songs:
        raise StemsplitError(
            f"{folder} holds no records; stems are expected in records/SONG/vocals.* and so on"
        )
    return [_load_record(song) for song in songs]


def add_record_scores(scores: Path, model: Path, records: Sequence[ValidationCase], *, kept: Path) -> None:
    """Add scores of a model file, the baseline and the oracle on records to a file that has none of them.

    Parameters
    ----------
    scores : Path
        File written by `save_scores`; rows are added to it.
    model : Path
        The model file.
    records : sequence of ValidationCase
        Cases to score.
    kept : Path
        File that caches the scores of baseline and oracle for the next model.
    """
    found = load_scores(scores)
    if any(score.source == RECORDS_SOURCE for score in found["model"]):
        return
    judged = reference_scores(records, kept)
    judged["model"] = score_cases(records, open_candidate(model, threads=torch.get_num_threads()).separate)
    save_scores({name: [*judged[name], *each] for name, each in found.items()}, scores)


def _load_record(song: Path) -> ValidationCase:
    stems = [StemFile(_find_stem(song, target)).read() for target in TARGETS]
    n_samples = max(stem.shape[1] for stem in stems)
    padded = np.zeros((len(TARGETS), 2, n_samples), np.float32)
    for place, stem in zip(padded, stems, strict=True):
        place[:, : stem.shape[1]] = stem
    return ValidationCase(song.name, RECORDS_SOURCE, song.name, padded, TARGETS)


def _find_stem(song: Path, target: str) -> Path:
    found = sorted(path for path in song.glob(f"{target}.*") if is_audio(path))
    if len(found) != 1:
        raise StemsplitError(f"{song} must hold one audio file called {target}.*, not {len(found)}")
    return found[0]
