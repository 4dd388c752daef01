"""The tempo of a song: an even beat with a bar line at zero, which all of its parts share."""

import numpy as np
from numpy.typing import NDArray

from stemsplit.training.synthesis.harmony import Pulse, coherence, find_bar_line, find_pulse, onset_times
from stemsplit.training.synthesis.midi import Pattern

_STEPS = (1 / 4, 1 / 3, 1 / 6)  # grids of a beat: straight sixteenths, triplets, swing
_STEADY, _EXACT = 0.5, 0.05
_SLOWEST_S, _FASTEST_S = 0.76, 0.36


def conform_tempo(pattern: Pattern, length_s: float) -> tuple[Pattern, Pulse]:
    """Bring a piece to one tempo, from a bar line on, and return it with its beat.

    The written beat is used where the notes follow it through all changes of tempo; for a piece that was
    played freely, the beat is estimated from its notes.

    Parameters
    ----------
    pattern : Pattern
        A piece longer than `length_s`: up to a bar is dropped, and the tempo changes its length.
    length_s : float
        Seconds to keep.

    Returns
    -------
    tuple of Pattern and Pulse
        The piece and its pulse, which has a bar line at zero.
    """
    steady = pattern.with_constant_tempo()
    starts, beat_s = onset_times(steady.parts), 60 / steady.tempo
    step_s = max((share * beat_s for share in _STEPS), key=lambda each: coherence(starts, each))
    if not steady.beats_s or coherence(starts, step_s) < _STEADY:
        found = find_pulse(pattern.parts)
        return pattern.window(found.offset_s, length_s), Pulse(found.beat_s)
    usual_s = _fold_beat(beat_s)
    if _phase(starts - steady.beats_s[0], step_s) < _EXACT:  # sequenced rather than played to a click
        first_s = steady.beats_s[0] % (4 * beat_s)
    else:
        first_s = find_bar_line(steady.parts, usual_s)
    return steady.window(first_s, length_s), Pulse(usual_s)


def _fold_beat(beat_s: float) -> float:
    """Double or halve a beat until it lies within the range in which people tap along."""
    while beat_s > _SLOWEST_S:
        beat_s /= 2
    while beat_s < _FASTEST_S:
        beat_s *= 2
    return beat_s


def _phase(times: NDArray[np.float64], step_s: float) -> float:
    """Return the typical distance of `times` from a grid that starts at zero, in steps (0 to 0.5)."""
    return float(abs(np.angle(np.exp(2j * np.pi * times / step_s).mean()))) / (2 * np.pi)
