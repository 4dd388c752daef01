"""Imports that the first song needs, done while the models are opened."""

import contextlib
from collections.abc import Iterable
from pathlib import Path


def import_ahead(songs: Iterable[Path]) -> None:
    """Import the libraries that separating `songs` will want; tags are read when the network is running.

    A session is made outside the interpreter's lock: imports in another thread cost no time meanwhile.
    What cannot be imported is left to whoever needs it, and reported there.
    """
    from stemsplit.audio.choice import import_decoder

    with contextlib.suppress(ImportError):
        import filelock  # noqa: F401
    for song in songs:
        with contextlib.suppress(ImportError):
            import_decoder(song)
