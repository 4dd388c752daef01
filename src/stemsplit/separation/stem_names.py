"""Names of stems: the words that people use for them, and the stem that is the sum of others."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stemsplit.registry.installed import read_properties

INSTRUMENTAL: Final = "instrumental"
VOCALS: Final = "vocals"

SYNONYMS: Final = MappingProxyType(
    {
        "vocal": VOCALS,
        "voice": VOCALS,
        "voices": VOCALS,
        "drum": "drums",
        "basses": "bass",
        "others": "other",
        "instrumentals": INSTRUMENTAL,
        "accompaniment": INSTRUMENTAL,
    }
)


class StemVocabulary:
    """What the names of stems mean to some models.

    Parameters
    ----------
    find_offered
        Called for the targets of the models, in their order, once there is a name.
    """

    def __init__(self, find_offered: Callable[[], Iterable[str]]) -> None:
        self._find_offered = find_offered

    @classmethod
    def of_models(cls, paths: Sequence[Path]) -> "StemVocabulary":
        """Return the vocabulary of the models at `paths`, whose metadata are read when they are needed."""
        return cls(lambda: (target for path in paths for target in read_properties(path).targets))

    def translate(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names as `translate_name` does, each once."""
        return tuple(dict.fromkeys(map(self.translate_name, names)))

    def translate_name(self, name: str) -> str:
        """Return what the models call a stem: a synonym is replaced, unless a model offers it itself.

        Upper and lower case mean the same, as far as no model tells them apart.
        """
        if name in self._offered:
            return name
        folded = name.lower()
        usual = SYNONYMS.get(folded, name)
        return self._by_case.get(folded) or self._by_case.get(usual.lower(), usual)

    def find_needed(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the targets that the stems are made of; the instrumental needs the vocals."""
        return tuple(dict.fromkeys(VOCALS if self._is_derived(name) else name for name in names))

    def _is_derived(self, name: str) -> bool:
        return name == INSTRUMENTAL and name not in self._offered

    @cached_property
    def _offered(self) -> tuple[str, ...]:
        return tuple(self._find_offered())

    @cached_property
    def _by_case(self) -> dict[str, str]:
        """The stems there are by their names in lower case; of two that differ in case only, the first."""
        return {INSTRUMENTAL: INSTRUMENTAL} | {name.lower(): name for name in reversed(self._offered)}
