"""The validation set, and the scores of estimates on it.

Cases come from several sources, each reported by itself: ``records`` (see `records`; models are selected by
them), ``album`` (held-out songs of an album whose other songs are in the training set; its scores are
optimistic, since the band is the same), ``mdn-funk`` (a real song without vocals), ``pjs`` (a singer who is
not in the training set over held-out real music; only the vocals are known) and ``render`` (held-out MIDI,
kit, bass, keys and singer). For networks trained without multitracks, the album's training songs are unseen
as well: they form the source ``album-unseen``, which enters no mean. Every added data set with validation
songs is a source under its own name.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stemsplit.errors import StemsplitError
from stemsplit.evaluation.bss_eval import compute_framewise, has_sound
from stemsplit.evaluation.metrics import (
    expected_sdr,
    is_silent,
    leakage_db,
    sdr,
    sdr_improvement,
    si_sdr,
)
from stemsplit.training import SAMPLE_RATE, TARGETS
from stemsplit.training.data.songs import TrainingSong, are_bundled, songs_with_targets, targets_of
from stemsplit.training.data.sources import RENDER_SOURCE, UNSEEN_SOURCE
from stemsplit.training.evaluation.scores import Score, summary
from stemsplit.training.examples.remix import record_level_db
from stemsplit.training.networks.base import SeparationNetwork
from stemsplit.types import FloatArray

FRAMEWISE_SONGS = 6  # per source at most: framewise metrics take up to half a minute for one excerpt


@dataclass(frozen=True)
class ValidationCase:
    """One excerpt: its source, its song, its stems ``(targets, 2, samples)`` and the targets that are known.

    Unseparated music is stored in the place of the last target that it may contain.
    """

    name: str
    source: str
    song: str
    stems: FloatArray
    known: tuple[str, ...]
    targets: tuple[str, ...] = TARGETS

    @property
    def mixture(self) -> FloatArray:
        """The sum of the stems, ``(2, samples)``."""
        total: FloatArray = self.stems.sum(0)
        return total


Separate = Callable[[ValidationCase], FloatArray]


def collect_cases(
    songs: Sequence[TrainingSong],
    *,
    excerpt_s: float,
    n_excerpts: int,
    without: Collection[str] = (),
    targets: Sequence[str] = TARGETS,
    records: Sequence[ValidationCase] = (),
) -> list[ValidationCase]:
    """Cut the excerpts of the validation set.

    Parameters
    ----------
    songs : sequence of TrainingSong
        Songs of any split; those of "train" are ignored, save for what `without` says.
    excerpt_s : float
        Largest length of an excerpt.
    n_excerpts : int
        Number of excerpts per song, evenly spaced.
    without : collection of str
        Ingredients that the training left out. If "multitracks" is one of them, the multitracks of split
        "train" come last, as cases of `UNSEEN_SOURCE`; songs that may be in the training set are never cases.
    targets : sequence of str
        Targets to separate; songs with other targets are ignored.
    records : sequence of ValidationCase
        Cases that come first, see `records.load_records`; ignored if other targets are separated.

    Raises
    ------
    StemsplitError
        There are no cases.
    """
    songs = songs_with_targets(songs, targets)
    valid = [song for song in songs if song.split == "valid"]
    n_samples = round(excerpt_s * SAMPLE_RATE)
    cases = list(records) if are_bundled(targets) else []
    cases += [case for song in valid for case in _cut(song, n_samples, n_excerpts, targets)]
    singers = [song for song in valid if song.kind == "singing"]
    backings = [song for song in valid if song.kind == "backing"]
    cases += [_sung_over(s, b, n_samples) for s, b in zip(singers, backings * n_excerpts, strict=False)]
    if "multitracks" in without:
        cases += [case for song in _unseen(songs) for case in _cut(song, n_samples, n_excerpts, targets)]
    if not cases:
        raise StemsplitError(
            f"there are no validation songs of {', '.join(targets)}; "
            "run `python -m stemsplit.training prepare` or `add --split valid`"
        )
    return cases


def network_estimates(network: SeparationNetwork, device: str = "cpu") -> Separate:
    """Return the function that separates a case with a network."""

    def separate(case: ValidationCase) -> FloatArray:
        return network.estimates(torch.from_numpy(case.mixture).to(device)).cpu().numpy()

    return separate


def validate_network(
    network: SeparationNetwork, cases: Sequence[ValidationCase], device: str = "cpu"
) -> dict[str, float]:
    """Return the scores of a network in training, and the figures of its kind."""
    found = summary(score_cases(cases, network_estimates(network, device)))
    return found | own_figures(network, cases, device)


def own_figures(
    network: SeparationNetwork, cases: Sequence[ValidationCase], device: str = "cpu"
) -> dict[str, float]:
    """Return the figures of a kind of network for each source, over the cases whose stems are all known."""
    found: dict[str, float] = {}
    for source in dict.fromkeys(case.source for case in cases):
        whole = [case for case in cases if case.source == source and set(case.known) == set(case.targets)]
        figures = network.figures(torch.from_numpy(case.stems).to(device) for case in whole)
        found |= {f"{source} {name}": value for name, value in figures.items()}
    return found


def framewise_names(cases: Iterable[ValidationCase]) -> frozenset[str]:
    """Return the names of the cases for slow metrics: the middle excerpt of a few songs of each source."""
    by_song: dict[tuple[str, str], list[ValidationCase]] = defaultdict(list)
    for case in cases:
        by_song[(case.source, case.song)].append(case)
    by_source: dict[str, list[str]] = defaultdict(list)
    for (source, _), of_song in by_song.items():
        by_source[source].append(of_song[len(of_song) // 2].name)
    return frozenset(name for names in by_source.values() for name in names[:FRAMEWISE_SONGS])


def score_cases(
    cases: Iterable[ValidationCase], separate: Separate, *, framewise: Collection[str] = ()
) -> list[Score]:
    """Score every known target of every case; the metrics of museval only for the cases named in `framewise`.

    Raises
    ------
    StemsplitError
        An estimate holds values that are not finite.
    """
    scores = []
    for case in cases:
        estimates = separate(case)
        if not np.isfinite(estimates).all():
            raise StemsplitError(f"the estimates of {case.name} are not finite: the weights are damaged")
        slow = _framewise_figures(case, estimates) if case.name in framewise else {}
        scores += [_score(case, target, estimates, slow.get(target, {})) for target in case.known]
    return scores


def _score(case: ValidationCase, target: str, estimates: FloatArray, slow: Mapping[str, Any]) -> Score:
    index = case.targets.index(target)
    reference, estimate, mixture = case.stems[index], estimates[index], case.mixture
    return Score(
        source=case.source,
        case=case.name,
        target=target,
        sdr_db=sdr(reference, estimate),
        improvement_db=sdr_improvement(reference, estimate, mixture),
        si_sdr_db=si_sdr(reference, estimate),
        expected_sdr_db=expected_sdr(reference, estimate, mixture),
        leakage_db=leakage_db(estimate, mixture) if is_silent(reference) else math.nan,
        **slow,
    )


def _framewise_figures(case: ValidationCase, estimates: FloatArray) -> dict[str, dict[str, Any]]:
    """Compute the metrics of museval by target; targets that are not known form one source, the rest."""
    rows = {
        target: (case.stems[index], estimates[index])
        for index, target in enumerate(case.targets)
        if target in case.known and not is_silent(case.stems[index])
    }
    unknown = [index for index, target in enumerate(case.targets) if target not in case.known]
    if unknown and has_sound(case.stems[unknown].sum(0)):
        rows["rest"] = (case.stems[unknown].sum(0), estimates[unknown].sum(0))
    if not rows or not all(has_sound(estimate) for _, estimate in rows.values()):
        return {}
    references, estimated = (np.stack(each) for each in zip(*rows.values(), strict=True))
    found = compute_framewise(references, estimated, sample_rate=SAMPLE_RATE)
    counts = {"n_frames": found.n_frames, "n_silent": found.n_frames - found.n_counted}
    names = ("museval_sdr_db", "museval_sir_db", "museval_sar_db")
    return {
        target: dict(zip(names, found.medians(source), strict=True)) | counts
        for source, target in enumerate(rows)
    }


def _cut(song: TrainingSong, n_samples: int, n_excerpts: int, targets: Sequence[str]) -> list[ValidationCase]:
    """Cut excerpts of a song with several stems; a target without a stem is silent."""
    name = song.path.stem
    unknown = {target for stem in song.stems if "+" in stem for target in targets_of(stem)}
    known = tuple(target for target in targets if target not in unknown)
    if len(song.stems) < 2 or not known:
        return []
    length = min(n_samples, song.n_samples)
    cases = []
    # a song that is no longer than one excerpt gives one, whatever `n_excerpts` says
    starts = {round((song.n_samples - length) * (index + 0.5) / n_excerpts) for index in range(n_excerpts)}
    for start in sorted(starts):
        stems = np.zeros((len(targets), 2, length), np.float32)
        for stem in song.stems:
            stems[targets.index(targets_of(stem)[-1])] += song.read(stem, start, length)
        title = f"{name} {start / SAMPLE_RATE:.0f} s"
        cases.append(ValidationCase(title, _source(song), name, stems, known, tuple(targets)))
    return cases


def _unseen(songs: Sequence[TrainingSong]) -> list[TrainingSong]:
    """Return the training multitracks of makers who have no other songs in the training set."""
    train = [song for song in songs if song.split == "train"]
    trained_makers = {song.maker for song in train if song.kind != "multitrack"} - {""}
    return [song for song in train if song.kind == "multitrack" and song.maker not in trained_makers]


def _source(song: TrainingSong) -> str:
    if song.split == "train":
        return UNSEEN_SOURCE
    if song.dataset or song.kind == "render":
        return song.dataset or RENDER_SOURCE
    return "mdn-funk" if "mdn-funk" in song.path.stem else "album"


def _sung_over(singer: TrainingSong, backing: TrainingSong, n_samples: int) -> ValidationCase:
    """Mix a dry voice with real music, both at their typical level in a record."""
    length = min(n_samples, singer.n_samples, backing.n_samples)
    stems = np.zeros((len(TARGETS), 2, length), np.float32)
    for song, stem, index in ((singer, "vocals", 0), (backing, backing.stems[0], 3)):
        start = (song.n_samples - length) // 2
        gain_db = record_level_db(stem) - song.level_db(stem)
        stems[index] = song.read(stem, start, length) * 10 ** (gain_db / 20)
    name = f"{singer.path.stem} over {backing.path.stem}"
    return ValidationCase(name, "pjs", singer.path.stem, stems, ("vocals",))
