"""Which files are audio, told by their names."""

from pathlib import Path, PurePath
from typing import Final

# fmt: off
AUDIO_EXTENSIONS: Final = frozenset(
    (
        "wav", "wave", "bwf", "rf64", "bw64", "w64", "flac", "mp3", "mp2", "mp1", "mpga", "ogg", "oga", "ogv",
        "ogx", "opus", "spx", "aiff", "aif", "aifc", "caf", "au", "snd", "avr", "8svx", "iff", "svx", "paf",
        "pvf", "sd2", "sds", "sf", "ircam", "voc", "nist", "sph", "xi", "m4a", "m4b", "m4r", "m4p", "mp4",
        "m4v", "mov", "3gp", "3g2", "aac", "adts", "alac", "wma", "wmv", "asf", "mkv", "mka", "webm", "weba",
        "avi", "flv", "f4v", "ac3", "eac3", "ec3", "dts", "ape", "wv", "tta", "mpc", "amr", "ts", "m2ts",
        "mts", "mpg", "mpeg", "vob", "dsf", "dff", "tak", "ra", "rm",
    )
)
# fmt: on


# the whole ending of Native Instruments' stem files
STEM_ENDINGS: Final = (".stem.mp4", ".stem.m4a")


def strip_ending(path: PurePath) -> str:
    """Return the name of a file without its ending.

    Examples
    --------
    >>> strip_ending(PurePath("So.Long.flac")), strip_ending(PurePath("Song.stem.mp4"))
    ('So.Long', 'Song')
    """
    ending = next((each for each in STEM_ENDINGS if path.name.lower().endswith(each)), "")
    return path.name[: -len(ending)] if ending and path.name != ending else path.stem


def is_audio(path: Path) -> bool:
    """Tell by its extension whether a file found in a folder is audio, or a video with sound.

    Examples
    --------
    >>> is_audio(Path("Song.FLAC")), is_audio(Path("cover.jpg"))
    (True, False)
    """
    return path.suffix[1:].lower() in AUDIO_EXTENSIONS
