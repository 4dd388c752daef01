"""Shards: the songs of a run, divided among several runs by a hash of their names."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from stemsplit.errors import SettingsError
from stemsplit.files.names import identity
from stemsplit.jobs.inputs import SongInput


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count` parts.

    Which part a song belongs to follows from its track and its folder below the input alone: not from the
    order of the songs, nor from what is done already, nor from where a machine mounts them. Songs whose stems
    would have the same names are in the same part, where the collision is detected.
    """

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard of a text such as ``3/8``.

        Raises
        ------
        SettingsError
            If it is malformed, or the index is not from 1 to the count.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise SettingsError(f"--shard {text!r} must be written like 1/8: one of 1 to 8, and 8")
        return cls(int(index), int(count))

    def contains(self, source: SongInput) -> bool:
        """Return whether a song belongs to this part; a problem belongs to the part of its label."""
        if self.count == 1:
            return True
        name = source.label if source.problem is not None else identity(Path(source.mirror, source.track))
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) % self.count == self.index - 1
