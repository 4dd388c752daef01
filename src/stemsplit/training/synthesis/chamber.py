"""Chamber ensembles of two to five instruments, rendered from pieces: every part a stem of its own.

A piece is played by instruments drawn by chance, each in a register that suits it, in time that breathes, in
one room. Pieces, rooms and players of validation are not those of training.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pedalboard as pb
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Library
from stemsplit.training.data.rendered_stem import RenderedStem
from stemsplit.training.synthesis.effects import apply_plugins, equalise, normalise_peak, place_in_stereo
from stemsplit.training.synthesis.midi import Note
from stemsplit.training.synthesis.orchestra import INSTRUMENTS, OrchestraInstrument, Players
from stemsplit.training.synthesis.pieces import piece_names, read_piece
from stemsplit.types import FloatArray

ROOMS = {
    "train": (
        "cardiod-35-10-spread",
        "cardiod-rear-35-10",
        "cardiod-true-stereo-15-8",
        "super-ceiling-35-10",
        "diffusor3",
        "spatialized8",
        "tim-warehouse-stretch1",
    ),
    "valid": ("omni-35-10", "kitchen-true-stereo", "spatialized9"),
}
N_PARTS = 4  # of the pieces that are played
SIZES = (2, 3, 4, 4, 5)  # ensembles, as often as they stand here
_LEAST_NOTES = 4
_ROOM_S = 2.0


class ChamberRenderer:
    """Renders ensembles.

    Parameters
    ----------
    library : Library
        Source of sampled notes and rooms.
    split : str
        "train", or "valid" for held-out pieces and rooms.
    held_out_players : bool
        Whether the players are held out as well.
    seed : int
        Seed of all songs; a song depends on it and on its number only.
    length_s : float
        Length of a song in seconds.
    """

    def __init__(
        self, library: Library, *, split: str, held_out_players: bool, seed: int, length_s: float = 30.0
    ) -> None:
        self._seed, self._length_s = seed, length_s
        self._names = piece_names(split=split)
        self._players = Players(library, held_out=held_out_players)
        items = library.select(split="train", category="rooms")
        self._rooms = [library.audio(item) for item in items if item.name in ROOMS[split]]

    def song(self, number: int) -> dict[str, RenderedStem]:
        """Render song `number`: its stems by instrument. All instruments lead in turn."""
        rng = np.random.default_rng((self._seed, number))
        cast = draw_cast(rng, INSTRUMENTS[number % len(INSTRUMENTS)], int(rng.choice(SIZES)))
        parts = self._draw_parts(rng, len(cast))
        room = self._draw_room(rng)
        stems = {}
        for instrument, notes in zip(cast, parts, strict=True):
            played = instrument.fit(notes)
            dry = self._players.play(instrument, played, length_s=self._length_s, rng=rng)
            stems[instrument.target] = RenderedStem(place_in_room(rng, normalise_peak(dry), room))
        return stems

    def _draw_parts(self, rng: Generator, n_parts: int) -> list[tuple[Note, ...]]:
        """Draw a passage of a piece of four parts, all of which play; return so many, from high to low."""
        while True:
            piece = read_piece(self._names[int(rng.integers(len(self._names)))])
            piece = piece.transform(stretch=60 / float(rng.uniform(60, 112)))
            latest_s = max(0.0, piece.length_s - self._length_s)
            passage = piece.window(float(rng.uniform(0, latest_s)), self._length_s)
            parts = [part.notes for part in passage.parts]
            if len(parts) == N_PARTS and min(map(len, parts)) >= _LEAST_NOTES:
                breath = draw_breath(rng, self._length_s)
                return [humanise(rng, parts[place], breath) for place in draw_places(rng, n_parts)]

    def _draw_room(self, rng: Generator) -> FloatArray:
        """Draw the reverberation of a room, stereo; decaying noise if the library has none of `ROOMS`."""
        n_samples = round(_ROOM_S * SAMPLE_RATE)
        if self._rooms:
            room = self._rooms[int(rng.integers(len(self._rooms)))][:, :n_samples]
            room = np.broadcast_to(room, (2, room.shape[1]))
        else:
            decay = np.exp(-6.9 / rng.uniform(0.4, 1.5) * np.arange(n_samples) / SAMPLE_RATE)
            room = rng.standard_normal((2, n_samples), np.float32) * decay
        wet = float(np.exp(rng.uniform(np.log(0.03), np.log(0.35))))
        return np.asarray(wet * room / (np.sqrt(np.square(room).sum(1).mean()) + 1e-9), np.float32)


def draw_cast(rng: Generator, leader: OrchestraInstrument, size: int) -> list[OrchestraInstrument]:
    """Draw the instruments of an ensemble, the leader among them, from high to low; none occurs twice."""
    others = [instrument for instrument in INSTRUMENTS if instrument is not leader]
    chosen = [leader, *(others[place] for place in rng.permutation(len(others))[: size - 1])]
    return sorted(chosen, key=lambda instrument: -instrument.centre)


def draw_places(rng: Generator, n_parts: int) -> list[int]:
    """Draw which of the four parts are played, in order; a fifth instrument doubles one of them.

    >>> draw_places(np.random.default_rng(0), 4)
    [0, 1, 2, 3]
    """
    kept = sorted(rng.permutation(N_PARTS)[:n_parts].tolist())
    doubled = [int(rng.integers(N_PARTS))] * (n_parts - len(kept))
    return sorted([*kept, *doubled])


def draw_breath(rng: Generator, length_s: float) -> NDArray[np.float64]:
    """Draw the lag in seconds, one value each tenth of a second, by which a slow rubato moves all parts."""
    time_s = np.arange(0, length_s + 10, 0.1)
    waves = [
        rng.uniform(0, 0.12) * np.sin(2 * np.pi * (time_s / rng.uniform(6, 14) + rng.random()))
        for _ in range(2)
    ]
    return np.asarray(np.sum(waves, axis=0))


def humanise(rng: Generator, notes: Sequence[Note], breath: NDArray[np.float64]) -> tuple[Note, ...]:
    """Move notes off the beat, shorten them a little, and shape their dynamics in phrases."""
    spread_s, articulation = float(rng.uniform(0.004, 0.02)), float(rng.uniform(0.8, 1.0))
    level, played = float(rng.uniform(60, 95)), []
    phrase = rng.uniform(0, 25) * np.sin(np.linspace(0, rng.uniform(2, 8) * np.pi, len(notes)))
    for note, swell in zip(notes, phrase, strict=True):
        lag_s = float(breath[min(breath.size - 1, int(10 * max(0.0, note.start_s)))])
        played.append(
            replace(
                note,
                start_s=max(0.0, note.start_s + lag_s + float(rng.normal(0, spread_s))),
                length_s=max(0.06, note.length_s * articulation),
                velocity=int(np.clip(level + swell + rng.normal(0, 5), 25, 127)),
            )
        )
    return tuple(played)


def place_in_room(rng: Generator, dry: FloatArray, room: FloatArray) -> FloatArray:
    """Seat a player: ``(1, samples)`` at some level, tone and place, with the reverberation of the room."""
    tone = equalise(rng, dry * 10 ** (rng.normal(0, 3) / 20), 2.0)
    tone = apply_plugins(tone, [pb.HighpassFilter(25.0)])
    direct = place_in_stereo(tone, float(np.clip(rng.normal(0, 0.4), -0.8, 0.8)))
    echo = oaconvolve(np.broadcast_to(tone, direct.shape), room, axes=1)[:, : direct.shape[1]]
    return np.asarray(direct + echo * rng.uniform(0.7, 1.4), np.float32)
