"""What a song failed of: its own fault, or a bug of the program."""

import traceback

from stemsplit.errors import StemsplitError


class BugError(StemsplitError):
    """An unexpected exception: a bug in stemsplit."""


def wrap_bug(error: Exception) -> Exception:
    """Return `error` if a song can cause it, and a `BugError` that describes it otherwise."""
    if isinstance(error, MemoryError):
        return MemoryError("out of memory; close other programs, or lower --jobs, --batch or --threads")
    if isinstance(error, StemsplitError | OSError):
        return error
    place = traceback.extract_tb(error.__traceback__)[-1]
    return BugError(
        f"unexpected {type(error).__name__}: {error} (line {place.lineno} of {place.name}); "
        "this is a bug in stemsplit, please report it"
    )
