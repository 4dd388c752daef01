"""What is wrong with a file: small lies are noted and mended, damage is an error or, if wanted, salvaged."""

from pathlib import Path

from stemsplit.errors import AudioError

_ADVICE = "get a whole copy of the file, or separate what there is with --salvage"


class Condition:
    """Collects what a decoder finds wrong with one file.

    Parameters
    ----------
    name : Path or str
        The file, for the messages.
    salvage : bool
        Whether damage is noted and passed, too.

    Attributes
    ----------
    notes : list of str
        What was mended or, if `salvage` is true, what is missing.
    is_refused : bool
        Whether it was refused for damage, and so is known and not whole.
    """

    def __init__(self, name: Path | str, *, salvage: bool = False) -> None:
        self.name = name
        self.salvage = salvage
        self.notes: list[str] = []
        self.is_refused = False
        self._noted: set[str] = set()

    def note(self, what: str, *, of: str = "") -> None:
        """Note what was mended and costs no sound; once only for each `of`, by default for the same words."""
        if (of or what) not in self._noted:
            self._noted.add(of or what)
            self.notes.append(what)

    def damaged(self, what: str, *, of: str = "") -> None:
        """Refuse the file for damage, or note it, once only for each `of`.

        Raises
        ------
        AudioError
            Unless what there is shall be salvaged.
        """
        if not self.salvage:
            self.is_refused = True
            raise AudioError(f"{self.name}: {what}; {_ADVICE}")
        self.note(f"salvaged: {what}", of=of)
