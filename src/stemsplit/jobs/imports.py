"""Imports that the first song needs, done while the models are opened."""

import contextlib
from importlib import import_module
from io import BytesIO
from typing import Final

_MODULES: Final = (
    "filelock",
    "stemsplit.audio.frame_decoder",
    "stemsplit.audio.pyav",
    "stemsplit.audio.wav_decoder",
)


def import_ahead() -> None:
    """Import the modules that the first song will want.

    A session is made outside the interpreter's lock: imports in another thread cost no time meanwhile.
    What cannot be imported is left to whoever needs it, and reported there.
    """
    for name in _MODULES:
        with contextlib.suppress(ImportError):
            import_module(name)
    import mutagen

    mutagen.File(BytesIO())  # it imports the formats that it compares with
