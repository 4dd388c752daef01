"""Tags of the song, carried over to its stems.

Read from mp3, FLAC, Ogg Vorbis, Opus, m4a/mp4, wma, WAV and AIFF (ID3 chunk, else INFO strings); written to
WAV (ID3 chunk), FLAC, mp3, Ogg Vorbis and Opus. Text only: cover art is not copied.
"""

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from stemsplit.audio.info import os_path
from stemsplit.errors import OutputError


@dataclass(frozen=True)
class Tags:
    """What is known of a song; empty strings for what is not."""

    title: str = ""
    artist: str = ""
    album: str = ""
    album_artist: str = ""
    composer: str = ""
    date: str = ""
    genre: str = ""
    track_number: str = ""
    disc_number: str = ""
    bpm: str = ""
    key: str = ""
    isrc: str = ""
    copyright: str = ""

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def for_stem(self, stem: str) -> "Tags":
        """Return the tags of one stem: the title says which.

        Examples
        --------
        >>> Tags(title="Song").for_stem("vocals").title
        'Song (vocals)'
        """
        return replace(self, title=f"{self.title} ({stem})") if self.title else self


_ID3: Final = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "album_artist": "TPE2",
    "composer": "TCOM",
    "date": "TDRC",
    "genre": "TCON",
    "track_number": "TRCK",
    "disc_number": "TPOS",
    "bpm": "TBPM",
    "key": "TKEY",
    "isrc": "TSRC",
    "copyright": "TCOP",
}
_VORBIS: Final = {
    "title": "title",
    "artist": "artist",
    "album": "album",
    "album_artist": "albumartist",
    "composer": "composer",
    "date": "date",
    "genre": "genre",
    "track_number": "tracknumber",
    "disc_number": "discnumber",
    "bpm": "bpm",
    "key": "initialkey",
    "isrc": "isrc",
    "copyright": "copyright",
}
_MP4: Final = {
    "title": "\xa9nam",
    "artist": "\xa9ART",
    "album": "\xa9alb",
    "album_artist": "aART",
    "composer": "\xa9wrt",
    "date": "\xa9day",
    "genre": "\xa9gen",
    "track_number": "trkn",
    "disc_number": "disk",
    "bpm": "tmpo",
    "key": "----:com.apple.iTunes:initialkey",
    "isrc": "----:com.apple.iTunes:ISRC",
    "copyright": "cprt",
}
_ASF: Final = {
    "title": "Title",
    "artist": "Author",
    "album": "WM/AlbumTitle",
    "album_artist": "WM/AlbumArtist",
    "composer": "WM/Composer",
    "date": "WM/Year",
    "genre": "WM/Genre",
    "track_number": "WM/TrackNumber",
    "disc_number": "WM/PartOfSet",
    "bpm": "WM/BeatsPerMinute",
    "key": "WM/InitialKey",
    "isrc": "WM/ISRC",
    "copyright": "Copyright",
}


def read_tags(path: Path) -> Tags:
    """Read the tags of a file; a file without any, or that cannot be read, has empty ones.

    Parameters
    ----------
    path : Path
    """
    import mutagen

    try:
        song = mutagen.File(path)
        found = _collect(song.tags) if song is not None and song.tags is not None else Tags()
        return found or _read_info_strings(path)
    except Exception:  # noqa: BLE001 - tags are decoration: whatever a broken one raises must not stop a song
        return Tags()


def _collect(stored: Any) -> Tags:
    from mutagen.asf import ASFTags
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    if isinstance(stored, ID3):
        keys = _ID3
    elif isinstance(stored, MP4Tags):
        keys = _MP4
    else:
        keys = _ASF if isinstance(stored, ASFTags) else _VORBIS
    return Tags(**{name: text for name, key in keys.items() if (text := _text(stored.get(key)))})


def _text(value: Any) -> str:
    """Flatten mutagen's many kinds of values; several values are joined by "; "."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, tuple):  # a number and of how many; 0 for what is not known
        return "/".join(str(number) for number in value if number) if value[0] else ""
    if isinstance(value, list):
        return "; ".join(filter(None, map(_text, value)))
    inner = getattr(value, "text", None)
    if isinstance(inner, list):
        return _text(inner)
    return str(value).replace("\0", "").strip()


def _read_info_strings(path: Path) -> Tags:
    import soundfile

    if path.suffix.lower() not in (".wav", ".wave", ".bwf", ".aif", ".aiff", ".caf", ".rf64", ".w64"):
        return Tags()
    with soundfile.SoundFile(os_path(path)) as file:
        strings = file.copy_metadata()
    names = ("title", "artist", "album", "date", "genre", "copyright")
    found = {name: strings[name].strip() for name in names if strings.get(name)}
    return Tags(**found, track_number=strings.get("tracknumber", "").strip())


def write_tags(path: Path, tags: Tags, stem: str, *, format: str | None = None) -> None:
    """Write the tags of one stem into a finished audio file.

    Parameters
    ----------
    path : Path
        The file; its audio is not touched.
    tags : Tags
        Of the song; the title becomes "Title (stem)". Nothing is written if all are empty.
    stem : str
    format : str or None
        "wav", "flac", "mp3", "ogg" or "opus"; None takes the extension.

    Raises
    ------
    OutputError
        The tags could not be written. The file may then be damaged: write it again without tags.
    """
    import mutagen

    if not tags:
        return
    try:
        song = _open_for_tags(path, format or path.suffix[1:].lower())
        _store(song, tags.for_stem(stem))
        song.save()
    except (mutagen.MutagenError, OSError, ValueError) as error:
        raise OutputError(f"{path}: the tags could not be written ({error})") from error


def _open_for_tags(path: Path, format: str) -> Any:
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis
    from mutagen.wave import WAVE

    kinds = {"wav": WAVE, "mp3": MP3, "flac": FLAC, "ogg": OggVorbis, "opus": OggOpus}
    if format not in kinds:
        raise ValueError(f"no tags in {format!r} files")
    kind: Any = kinds[format]
    song = kind(path)
    if song.tags is None:
        song.add_tags()
    return song


def _store(song: Any, tags: Tags) -> None:
    from mutagen import id3

    stored: Any = song.tags
    is_id3 = isinstance(song.tags, id3.ID3)
    for name, frame in _ID3.items():
        text = getattr(tags, name)
        if not text:
            continue
        if not is_id3:
            stored[_VORBIS[name]] = [text]
        elif value := _timestamp(text) if name == "date" else text:
            stored.setall(frame, [getattr(id3, frame)(encoding=id3.Encoding.UTF8, text=[value])])


def _timestamp(date: str) -> str:
    """A date as ID3 knows it, from the year on; of one in another order only the year, or nothing.

    >>> _timestamp("1999-12-03"), _timestamp("12/03/1999"), _timestamp("long ago")
    ('1999-12-03', '1999', '')
    """
    if re.fullmatch(r"\d{4}(-\d\d){0,2}([T ]\d\d(:\d\d){0,2})?", date):
        return date
    year = re.search(r"(?<!\d)\d{4}(?!\d)", date)
    return year[0] if year else ""
