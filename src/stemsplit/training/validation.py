"""The fixed validation set, and what estimates of it are worth.

Sources of cases, each reported by itself: ``album`` (the held-out songs of the album that training has
other songs of: same band, so it flatters), ``mdn-funk`` (a real song without a voice), ``pjs`` (a singer
never heard in training over held-out real music; only vocals are known) and ``render`` (held-out MIDI,
kit, bass, keys and singer).
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.metrics import is_silent, leakage_db, sdr, sdr_improvement, si_sdr
from stemsplit.training.remix import record_level_db
from stemsplit.training.separation import SeparationNetwork
from stemsplit.training.songs import Song
from stemsplit.types import FloatArray

SOURCES = ("album", "mdn-funk", "pjs", "render")


@dataclass(frozen=True)
class Case:
    """One excerpt: its source, its stems ``(targets, 2, samples)``, and the targets that are known."""

    name: str
    source: str
    stems: FloatArray
    known: tuple[str, ...]

    @property
    def mixture(self) -> FloatArray:
        """Sum of the stems, ``(2, samples)``."""
        total: FloatArray = self.stems.sum(0)
        return total


@dataclass(frozen=True)
class Score:
    """Figures of one target in one case, in decibels; NaN where a silent reference gives them no meaning."""

    source: str
    case: str
    target: str
    sdr_db: float
    improvement_db: float
    si_sdr_db: float
    leakage_db: float


Separate = Callable[[Case], FloatArray]


def collect_cases(songs: Sequence[Song], *, excerpt_s: float, n_excerpts: int) -> list[Case]:
    """Cut the validation set out of the songs of split "valid".

    Parameters
    ----------
    songs : sequence of Song
        Songs of any split; those of "train" are passed over.
    excerpt_s : float
        Length of an excerpt at most.
    n_excerpts : int
        Excerpts per song, spread evenly.
    """
    valid = [song for song in songs if song.split == "valid"]
    whole = [song for song in valid if len(song.stems) >= 3]
    n_samples = round(excerpt_s * SAMPLE_RATE)
    cases = [case for song in whole for case in _cut(song, n_samples, n_excerpts)]
    singers = [song for song in valid if song.kind == "singing"]
    backings = [song for song in valid if song.kind == "backing"]
    cases += [_sung_over(s, b, n_samples) for s, b in zip(singers, backings * n_excerpts, strict=False)]
    if not cases:
        raise StemsplitError("there are no validation songs; run `python -m stemsplit.training prepare`")
    return cases


def network_estimates(network: SeparationNetwork, device: str = "cpu") -> Separate:
    """Separation by a network, as a function of a case."""

    def separate(case: Case) -> FloatArray:
        return network.estimates(torch.from_numpy(case.mixture).to(device)).cpu().numpy()

    return separate


def score_cases(cases: Iterable[Case], separate: Separate) -> list[Score]:
    """Figures of every known target of every case."""
    scores = []
    for case in cases:
        estimates, mixture = separate(case), case.mixture
        for target in case.known:
            index = TARGETS.index(target)
            reference, estimate = case.stems[index], estimates[index]
            scores.append(
                Score(
                    case.source,
                    case.name,
                    target,
                    sdr(reference, estimate),
                    sdr_improvement(reference, estimate, mixture),
                    si_sdr(reference, estimate),
                    leakage_db(estimate, mixture) if is_silent(reference) else math.nan,
                )
            )
    return scores


def save_scores(scores: Mapping[str, Sequence[Score]], path: Path) -> None:
    """Write scores, by the way they were reached, as JSON."""
    rows = {way: [asdict(score) for score in each] for way, each in scores.items()}
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def load_scores(path: Path) -> dict[str, list[Score]]:
    """Read what `save_scores` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {way: [Score(**row) for row in rows] for way, rows in found.items()}


def average(scores: Iterable[Score], column: str, *, source: str = "", target: str = "") -> float:
    """Mean of a column over the cases of a source and target where it has a meaning; NaN if none."""
    values = [
        getattr(score, column)
        for score in scores
        if (not source or score.source == source) and (not target or score.target == target)
    ]
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """uSDR by source and target, then by target and in all, each source with equal weight."""
    found = {
        f"{source} {target}": average(scores, "sdr_db", source=source, target=target)
        for source in SOURCES
        for target in TARGETS
    }
    found = {key: value for key, value in found.items() if not math.isnan(value)}
    by_target: dict[str, list[float]] = defaultdict(list)
    for key, value in found.items():
        by_target[key.rsplit(" ", 1)[1]].append(value)
    means = {target: float(np.mean(values)) for target, values in by_target.items()}
    return found | means | {"average": float(np.mean(list(means.values())))}


def _cut(song: Song, n_samples: int, n_excerpts: int) -> list[Case]:
    name = song.path.stem
    source = "render" if song.kind == "render" else "mdn-funk" if "mdn-funk" in name else "album"
    length = min(n_samples, song.n_samples)
    cases = []
    for index in range(n_excerpts):
        start = round((song.n_samples - length) * (index + 0.5) / n_excerpts)
        stems = np.zeros((len(TARGETS), 2, length), np.float32)
        for target in song.stems:
            stems[TARGETS.index(target)] = song.read(target, start, length)
        cases.append(Case(f"{name} {start / SAMPLE_RATE:.0f} s", source, stems, TARGETS))
    return cases


def _sung_over(singer: Song, backing: Song, n_samples: int) -> Case:
    """A dry voice over real music, both at the level they have in a record."""
    length = min(n_samples, singer.n_samples, backing.n_samples)
    stems = np.zeros((len(TARGETS), 2, length), np.float32)
    for song, stem, index in ((singer, "vocals", 0), (backing, backing.stems[0], 3)):
        start = (song.n_samples - length) // 2
        gain_db = record_level_db(stem) - song.level_db(stem)
        stems[index] = song.read(stem, start, length) * 10 ** (gain_db / 20)
    return Case(f"{singer.path.stem} over {backing.path.stem}", "pjs", stems, ("vocals",))
