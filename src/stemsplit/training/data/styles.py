"""Pieces of the library whose kind of music is known: from its descriptions of backing and performances."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stemsplit.training.data.library import Item, Library
from stemsplit.types import FloatArray

GENRES: Final = ("acoustic", "electronic", "hip-hop", "rock")
# what is told apart on makers that a network does not know; the library has too little of each genre for more
STYLES: Final = ("acoustic", "produced")
STYLE_OF_GENRE: Final = {genre: "acoustic" if genre == "acoustic" else "produced" for genre in GENRES}
# the genre of the first that a description matches; film music and what is between two styles is left out
_DESCRIPTIONS: Final = (
    (r"ambient|cinematic|instrumental$|drone", ""),
    (r"hip-hop", "hip-hop"),
    (r"rock/electronic|funk/rock|game electronic/rock", "rock"),
    (r"electronic|techno|house|edm|chiptune|synth", "electronic"),
    (r"acoustic|folk|orchestra|country|polka|big band|jazz|piano|string|guitar", "acoustic"),
)
_LEAST_S: Final = 12.0
# the album of songs is rock
_ROCK_SOURCES: Final = ("ichbinsoftware/everythingisfree", "mdn/webaudio-examples")


@dataclass(frozen=True)
class StyledPiece:
    """A piece of one genre, whose items sum to it."""

    name: str
    maker: str
    genre: str
    items: tuple[Item, ...]

    @property
    def style(self) -> str:
        """One of `STYLES`."""
        return STYLE_OF_GENRE[self.genre]

    def read(self, library: Library) -> FloatArray:
        """Return the piece, mono ``(1, samples)``."""
        waves = [library.audio(item).mean(axis=0) for item in self.items]
        whole = np.zeros((1, max(map(len, waves))), dtype=np.float32)
        for wave in waves:
            whole[0, : len(wave)] += wave
        return whole


def list_pieces(library: Library) -> list[StyledPiece]:
    """Return the pieces of `GENRES` in the library that are for training."""
    items = library.select(split="train")
    return sorted([*_list_single(items), *_list_songs(items)], key=lambda each: each.name)


def _list_single(items: Sequence[Item]) -> Iterator[StyledPiece]:
    for item in items:
        if item.kind not in ("song", "performance", "phrase", "loop") or item.category not in (
            "backing",
            "other",
        ):
            continue
        genre = find_genre(item.instrument)
        if genre and item.duration_s >= _LEAST_S:
            yield StyledPiece(f"{item.name} {item.start_s:g}", item.attribution, genre, (item,))


def _list_songs(items: Sequence[Item]) -> Iterator[StyledPiece]:
    songs: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        if item.kind == "multitrack" and item.source in _ROCK_SOURCES:
            songs[item.attribution, item.name.split("-bandlimited")[0]].append(item)
    for (maker, name), stems in songs.items():
        yield StyledPiece(name, maker, "rock", tuple(stems))


def find_genre(description: str) -> str:
    """Return the genre of a description of the index; empty for none of them.

    >>> find_genre("lo-fi hip-hop"), find_genre("string quartet"), find_genre("cinematic/ambient")
    ('hip-hop', 'acoustic', '')
    """
    lowered = description.lower()
    return next((genre for pattern, genre in _DESCRIPTIONS if re.search(pattern, lowered)), "")
