"""The panels in which the help arranges the options."""

from enum import StrEnum
from typing import Final


class Panel(StrEnum):
    """The panels of the help, in order."""

    STEMS = "Stems"
    OUTPUT = "Output"
    SONGS = "Songs"
    MODELS = "Models"
    SPEED = "Speed"
    OTHER = "Other"


# the options that most users need; the short help shows only these
MAIN_OPTIONS: Final = ("stems", "karaoke", "output", "format", "recursive", "device")
# those that the short help describes; it names the others
MAIN_COMMANDS: Final = ("serve", "analyse", "models", "config", "doctor")
