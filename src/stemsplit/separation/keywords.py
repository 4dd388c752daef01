"""The keyword arguments of a separator, for functions that hand them on."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict

from stemsplit.did_you_mean import unknown_name


class SeparatorKeywords(TypedDict, total=False):
    """What `stemsplit.Separator` takes; each may be left out."""

    stems: Sequence[str] | None
    residual: bool
    karaoke: str | None
    wiener: int
    device: str
    models: Sequence[Path | str] | None
    threads: int | None
    chunk_s: float | None
    overlap_s: float | None
    batch_size: int | None
    ensemble: bool
    weights: Mapping[str, Sequence[float]] | None
    provider_options: Mapping[str, str] | None
    half: bool
    shifts: int
    transpositions: int
    drums: str
    before: str | None


SEPARATOR_KEYWORDS: Final = tuple(SeparatorKeywords.__annotations__)


def check_keywords(given: Iterable[str], known: Iterable[str] = SEPARATOR_KEYWORDS) -> None:
    """Raise a `SettingsError` that suggests the nearest name if one of `given` is not among `known`."""
    names = list(known)
    for name in given:
        if name not in names:
            raise unknown_name(f"unknown setting {name!r}", name, names)
