"""Requests of clients: the parameters of an upload, checked as the command checks its options."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, cast

from stemsplit.audio.encoding import FORMATS
from stemsplit.audio.extensions import AUDIO_EXTENSIONS, strip_ending
from stemsplit.audio.read_settings import ReadSettings
from stemsplit.errors import SettingsError
from stemsplit.jobs.name_template import NameTemplate
from stemsplit.jobs.request import SeparationRequest, make_output_settings, parse_stems
from stemsplit.separation.keywords import SeparatorKeywords
from stemsplit.separation.model_selection import check_stem
from stemsplit.separation.presets import merge_preset, read_preset
from stemsplit.separation.recipe import make_recipe
from stemsplit.separation.stem_names import StemVocabulary
from stemsplit.service.choices import Choices
from stemsplit.service.mixdown import Mix

PARAMETERS = (
    "name",
    "stems",
    "residual",
    "karaoke",
    "format",
    "bits",
    "preset",
    "model",
    "analyse",
    "start_s",
    "end_s",
)
MIX_PARAMETERS = ("stems", "gains_db", "pans", "format", "bits", "start_s", "end_s")

_DOWNLOAD = NameTemplate("{track} ({stem}).{ext}")
_LARGEST = 1e9  # seconds or dB; as samples it is still an integer
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class UploadRequest:
    """The name of a song, as the client has it, and what is asked for.

    Parameters
    ----------
    name
        Of the song.
    separation
        Its stems.
    analyse
        Whether its tempo and key are estimated as well.
    """

    name: str
    separation: SeparationRequest
    analyse: bool = False

    def name_download(self, stem: str, ext: str) -> str:
        """Return what a client's file of one stem is called: the song without its ending, and the stem.

        >>> UploadRequest("C:\\\\Music\\\\Song.mp3", SeparationRequest()).name_download("vocals", "flac")
        'Song (vocals).flac'
        >>> UploadRequest("Mr. Blue Sky", SeparationRequest()).name_download("vocals", "wav")
        'Mr. Blue Sky (vocals).wav'
        """
        path = PurePosixPath(self.name.replace("\\", "/"))
        track = strip_ending(path) if path.suffix[1:].lower() in AUDIO_EXTENSIONS else path.name
        return str(_DOWNLOAD.render({"track": track, "stem": stem, "ext": ext}))


def read_request(query: Sequence[tuple[str, str]], defaults: SeparationRequest) -> UploadRequest:
    """Read the parameters of an upload; what is not said is as `defaults` have it.

    Raises
    ------
    SettingsError
        If one is unknown, there twice, or cannot be read.
    """
    given: dict[str, Any] = dict(check_parameters(query, PARAMETERS))
    name = given.pop("name", "").strip() or "song"
    analyse = _read_truth("analyse", given.pop("analyse", "false"))
    preset = given.pop("preset", None)
    start_s = _read_number("start_s", given.pop("start_s", None))
    end_s = _read_number("end_s", given.pop("end_s", None))
    reading = ReadSettings(start_s or 0.0, end_s)
    if "format" in given:
        given["format"] = _read_format(given["format"])
    if "residual" in given:
        given["residual"] = _read_truth("residual", given["residual"])
    if "stems" in given:
        given["stems"] = parse_stems(given["stems"])
    if "model" in given:
        given["models"] = (given.pop("model"),)
    if preset is not None:
        stored = {name: given.pop(name) for name in ("format", "bits") if name in given}
        chosen = read_preset(preset)
        if chosen.best_installed:
            raise SettingsError(
                f"the preset {preset!r} chooses the models; a service has them chosen already"
            )
        given = dict(merge_preset(chosen, cast(SeparatorKeywords, given))) | stored
    return UploadRequest(name, replace(defaults, **given, reading=reading), analyse)


def read_mix(
    query: Sequence[tuple[str, str]],
    known: Sequence[str] = MIX_PARAMETERS,
    stems: tuple[str, ...] | None = None,
) -> Mix:
    """Read the parameters of a mix; `stems` are those that sound where the query does not say it.

    Raises
    ------
    SettingsError
        If one is unknown, there twice, cannot be read, or is outside its range.
    """
    given = check_parameters(query, known)
    return Mix(
        stems=parse_stems(given["stems"]) if given.get("stems") else stems,
        gains_db=_read_values("gains_db", given.get("gains_db", "")),
        pans=_read_values("pans", given.get("pans", "")),
        format=_read_format(given["format"]) if "format" in given else None,
        bits=given.get("bits"),
        start_s=_read_number("start_s", given.get("start_s")),
        end_s=_read_number("end_s", given.get("end_s")),
    )


def _read_format(text: str) -> str:
    # stems here have no picture: the formats of videos are not among these
    if text.lower() not in FORMATS:
        raise SettingsError(f"format {text!r} is unknown: choose one of {', '.join(FORMATS)}")
    return text.lower()


def _read_values(name: str, text: str) -> dict[str, float]:
    """Read numbers by stem, such as ``drums:-6,bass:3``."""
    pairs = [pair.rpartition(":") for pair in text.split(",") if pair]
    for stem, _, _ in pairs:
        if not stem:
            raise SettingsError(f"{name} is {text!r}; write it like drums:-6,bass:3")
    return {stem.strip(): _read_number(name, value) or 0.0 for stem, _, value in pairs}


def _read_number(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise SettingsError(f"{name} has {text!r}, which is no number") from error
    if not abs(value) <= _LARGEST:  # nan is not
        raise SettingsError(f"{name} has {text!r}, which is no number up to {_LARGEST:g}")
    return value


def check_parameters(query: Sequence[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a request by name.

    Raises
    ------
    SettingsError
        If one is unknown, or there twice.
    """
    for name, _ in query:
        if name not in known:
            raise SettingsError(f"the parameter {name!r} is unknown; there are: {', '.join(known) or 'none'}")
    given = dict(query)
    if len(given) < len(query):
        raise SettingsError("a parameter is there twice; name several stems like stems=vocals,drums")
    return given


def _read_truth(name: str, text: str) -> bool:
    if text not in _TRUTHS:
        raise SettingsError(f"{name} is {text!r}; write true or false")
    return _TRUTHS[text]


def check_request(request: UploadRequest, choices: Choices, defaults: SeparationRequest) -> int:
    """Make sure that the models can make what is asked for, and that some format holds it; count the stems.

    Raises
    ------
    SettingsError
        If they cannot, in the words of the command.
    """
    wanted = request.separation
    specs = choices.find_specs(wanted.models, defaults.models)
    offered = {target for spec in specs for target in spec.targets}
    vocabulary = StemVocabulary(lambda: offered)
    stems = None if wanted.stems is None else vocabulary.translate(wanted.stems)
    karaoke = None if wanted.karaoke is None else vocabulary.translate_name(wanted.karaoke)
    for stem in vocabulary.find_needed([*(stems or ()), *([] if karaoke is None else [karaoke])]):
        check_stem(stem, offered)
    recipe = make_recipe(specs, stems, residual=wanted.residual, karaoke=karaoke)
    make_output_settings(wanted)
    return len(recipe.stems)
