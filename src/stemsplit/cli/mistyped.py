"""Words that were meant as a command and are none."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stemsplit.audio.extensions import is_audio

# what people try, and where it is
_ELSEWHERE: Final = {
    "help": "--help",
    "version": "--version",
    "list": "models list",
    "info": "models info NAME",
    "pull": "models pull NAME",
    "download": "models pull NAME",
    "settings": "config",
    "web": "serve",
    "server": "serve",
    "check": "doctor",
    "completion": "--install-completion",
}


def explain_mistyped(word: str, commands: Sequence[str]) -> str | None:
    """Return what is wrong with the first word if it was meant as a command, or a file as it is written.

    None if it may be a song.

    A file, a folder, a path, a glob and a name with the suffix of an audio file are never commands.

    >>> explain_mistyped("doctr", ["models", "doctor"])
    "there is no command and no file 'doctr'; did you mean 'stemsplit doctor'?"
    """
    if word.startswith("-") and word != "-" and os.path.lexists(word):
        return f"{word!r} is read as an option; to name the file, write ./{word}"
    looks_like_input = not word.isidentifier() or is_audio(Path(word))
    if looks_like_input or os.path.lexists(word):
        return None
    near = difflib.get_close_matches(word.lower(), [*commands, *_ELSEWHERE], n=1, cutoff=0.75)
    if not near:
        return None
    meant = _ELSEWHERE.get(near[0], near[0])
    return f"there is no command and no file {word!r}; did you mean 'stemsplit {meant}'?"
