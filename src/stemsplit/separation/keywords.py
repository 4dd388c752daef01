"""The keyword arguments of a separator: their names, what they may be, and the settings they make."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import SettingsError
from stemsplit.separation.ensemble import EnsembleWeights
from stemsplit.separation.settings import MAX_THREADS, SeparationSettings

if TYPE_CHECKING:
    from stemsplit.separation.stem_names import StemVocabulary


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
    int8: bool
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


def check_values(keywords: SeparatorKeywords) -> None:
    """Raise a `SettingsError` for a name in place of a list, no models, or a count out of its range."""
    _check_list("stems", keywords["stems"])
    _check_list("models", keywords["models"])
    if keywords["models"] is not None and not len(keywords["models"]):
        raise SettingsError("the list of models is empty; name one or more, or leave it out for the bundled")
    _check_count("threads", keywords["threads"], maximum=MAX_THREADS)
    _check_count("batch_size", keywords["batch_size"])


def _check_list(name: str, value: object) -> None:
    if isinstance(value, str | Path):
        raise SettingsError(f"{name} is {str(value)!r}; give a list, as {name}=[{str(value)!r}]")


def _check_count(name: str, count: int | None, *, maximum: int | None = None) -> None:
    if count is not None and (count < 1 or (maximum is not None and count > maximum)):
        raise SettingsError(
            f"{name} is {count}; it must be 1 or more" + (f", at most {maximum}" if maximum else "")
        )


def make_settings(keywords: SeparatorKeywords, vocabulary: "StemVocabulary") -> SeparationSettings:
    """Return the settings of a separator, with the names of stems as the models call them."""
    stems, karaoke = keywords["stems"], keywords["karaoke"]
    weights = _translate_weights(keywords["weights"] or {}, vocabulary)
    return SeparationSettings(
        None if stems is None else vocabulary.translate(stems),
        keywords["residual"],
        None if karaoke is None else vocabulary.translate_name(karaoke),
        keywords["wiener"],
        keywords["chunk_s"],
        keywords["overlap_s"],
        EnsembleWeights(keywords["ensemble"], weights),
        keywords["half"],
        keywords["int8"],
        keywords["shifts"],
        keywords["transpositions"],
        keywords["drums"],
        keywords["before"],
    )


def _translate_weights(
    weights: Mapping[str, Sequence[float]], vocabulary: "StemVocabulary"
) -> dict[str, tuple[float, ...]]:
    translated: dict[str, tuple[float, ...]] = {}
    for stem, each in weights.items():
        name = vocabulary.translate_name(stem)
        if name in translated:
            raise SettingsError(f"{stem!r} is the stem {name!r}, which has weights already; leave one out")
        translated[name] = tuple(each)
    return translated
