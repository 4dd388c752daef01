"""The one clock of a song: an even beat with a bar's line at zero, which everything in it goes by."""

import numpy as np
from numpy.typing import NDArray

from stemsplit.training.synthesis.harmony import Pulse, coherence, find_bar_line, find_pulse, onset_times
from stemsplit.training.synthesis.midi import Pattern

_STEPS = (1 / 4, 1 / 3, 1 / 6)  # of a beat, on which pieces are written: straight, in triplets, with swing
_STEADY, _EXACT = 0.5, 0.05
_SLOWEST_S, _FASTEST_S = 0.76, 0.36


def conform_tempo(pattern: Pattern, length_s: float) -> tuple[Pattern, Pulse]:
    """A piece at one tempo from the line of a bar on, and its beat.

    The beat is the one that is written where the notes keep to it, through all changes of tempo; a piece
    that was played freely goes by the beat that is found in it.

    Parameters
    ----------
    pattern : Pattern
        More than is wanted: up to a bar is dropped at its beginning, and ends move with the tempo.
    length_s : float
        Seconds to keep.

    Returns
    -------
    tuple of Pattern and Pulse
        The pulse has a bar's line at zero.
    """
    steady = pattern.with_constant_tempo()
    starts, beat_s = onset_times(steady.parts), 60 / steady.tempo
    step_s = max((share * beat_s for share in _STEPS), key=lambda each: coherence(starts, each))
    if not steady.beats_s or coherence(starts, step_s) < _STEADY:
        found = find_pulse(pattern.parts)
        return pattern.window(found.offset_s, length_s), Pulse(found.beat_s)
    usual_s = _fold_beat(beat_s)
    if _phase(starts - steady.beats_s[0], step_s) < _EXACT:  # sequenced, not played to a click
        first_s = steady.beats_s[0] % (4 * beat_s)
    else:
        first_s = find_bar_line(steady.parts, usual_s)
    return steady.window(first_s, length_s), Pulse(usual_s)


def _fold_beat(beat_s: float) -> float:
    """A beat doubled or halved to one that people would tap."""
    while beat_s > _SLOWEST_S:
        beat_s /= 2
    while beat_s < _FASTEST_S:
        beat_s *= 2
    return beat_s


def _phase(times: NDArray[np.float64], step_s: float) -> float:
    """How far times usually lie from a grid that begins at zero, in steps."""
    return float(abs(np.angle(np.exp(2j * np.pi * times / step_s).mean()))) / (2 * np.pi)
