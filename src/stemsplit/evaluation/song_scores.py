"""Scores of the separated stems of a song."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from stemsplit.errors import SettingsError
from stemsplit.evaluation.bss_eval import FramewiseMetrics, compute_framewise, has_sound
from stemsplit.evaluation.metrics import is_silent, sdr
from stemsplit.evaluation.reference_song import SongAudio
from stemsplit.types import FloatArray

REST: Final = "rest"
MEASURES: Final = ("sdr_db", "isr_db", "sir_db", "sar_db", "usdr_db")


@dataclass(frozen=True)
class StemScore:
    """The scores of one stem of a song, in dB; None where they have no meaning.

    Parameters
    ----------
    stem : str
        Its name.
    sdr_db, isr_db, sir_db, sar_db
        Of BSS Eval version 4: medians over the frames of one second in which all stems sound. None if the
        reference or the estimate is silent throughout.
    usdr_db
        SDR of the whole song; None if the reference is silent.
    n_frames, n_silent
        Frames of one second, and how many of them do not count, since something is silent in them.
    """

    stem: str
    sdr_db: float | None
    isr_db: float | None
    sir_db: float | None
    sar_db: float | None
    usdr_db: float | None
    n_frames: int
    n_silent: int


def score_stems(song: SongAudio, estimates: Mapping[str, FloatArray]) -> list[StemScore]:
    """Score estimates of a song.

    Parameters
    ----------
    song
        The references.
    estimates
        Waveforms by stem, ``(channels, samples)`` each.

    Returns
    -------
    list of StemScore
        One for each stem that song and estimates have in common; then one for all other stems of the song
        together, estimated by the mixture less the others. What the estimates have beyond the song, such as a
        piano, belongs to its ``other``.

    Raises
    ------
    SettingsError
        If song and estimates have no stem in common.
    """
    pairs = pair_stems(song, estimates)
    judged = {stem: pair for stem, pair in pairs.items() if all(map(has_sound, pair))}
    framewise = None
    if judged:
        references, estimated = (np.stack(each) for each in zip(*judged.values(), strict=True))
        framewise = compute_framewise(references, estimated, sample_rate=song.sample_rate)
    places = {stem: place for place, stem in enumerate(judged)}
    return [_score(stem, *pair, framewise, places.get(stem)) for stem, pair in pairs.items()]


def pair_stems(
    song: SongAudio, estimates: Mapping[str, FloatArray]
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return the reference and the estimate of each stem that can be scored, see `score_stems`."""
    common = {stem: estimates[stem] for stem in song.stems if stem in estimates}
    surplus = [stem for stem in estimates if stem not in song.stems]
    rest = [stem for stem in song.stems if stem not in estimates]
    if not common:
        raise SettingsError(
            f"the model gives {', '.join(estimates)}, and the songs have {', '.join(song.stems)}: "
            "nothing can be compared"
        )
    if not rest and surplus and "other" in common:
        common["other"] = np.sum([common["other"], *(estimates[stem] for stem in surplus)], axis=0)
    pairs = {stem: (song.stems[stem], estimate) for stem, estimate in common.items()}
    if rest:
        name = rest[0] if len(rest) == 1 else surplus[0] if len(surplus) == 1 else REST
        left = song.mixture - np.sum(list(common.values()), axis=0)
        pairs[name] = (np.sum([song.stems[stem] for stem in rest], axis=0), left)
    return pairs


def _score(
    stem: str,
    reference: FloatArray,
    estimate: FloatArray,
    framewise: FramewiseMetrics | None,
    place: int | None,
) -> StemScore:
    usdr_db = None if is_silent(reference) else sdr(reference, estimate)
    if framewise is None or place is None:
        return StemScore(stem, None, None, None, None, usdr_db, 0, 0)
    sdr_db, isr_db, sir_db, sar_db = (
        _finite(framewise.median(name, place)) for name in ("sdr", "isr", "sir", "sar")
    )
    n_silent = framewise.n_frames - framewise.n_counted
    return StemScore(stem, sdr_db, isr_db, sir_db, sar_db, usdr_db, framewise.n_frames, n_silent)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
