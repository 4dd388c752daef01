"""Tags of the song, carried over to its stems.

Read from mp3, FLAC, Ogg, m4a/mp4, wma, APE tags, WAV and AIFF (ID3 chunk, else INFO strings), Matroska and
what else FFmpeg opens; written to WAV and AIFF (ID3 chunk), FLAC, mp3, Ogg Vorbis, Opus and m4a.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from stemsplit.audio.cover_art import CoverArt, read_cover, write_cover
from stemsplit.audio.info import os_path
from stemsplit.audio.tag_fields import FIELDS, TagField
from stemsplit.errors import OutputError

_INFO_ENDINGS: Final = (".wav", ".wave", ".bwf", ".aif", ".aiff", ".caf", ".rf64", ".w64")
_MASK_COMMENT: Final = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK"


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
    comment: str = ""
    lyrics: str = ""
    musicbrainz_track_id: str = ""
    musicbrainz_album_id: str = ""
    musicbrainz_artist_id: str = ""
    musicbrainz_album_artist_id: str = ""
    musicbrainz_release_group_id: str = ""
    musicbrainz_release_track_id: str = ""
    cover: CoverArt | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __or__(self, other: "Tags") -> "Tags":
        """Return these tags, with those of `other` for what is not known."""
        names = (field.name for field in fields(self))
        return Tags(**{name: getattr(self, name) or getattr(other, name) for name in names})

    def for_stem(self, stem: str) -> "Tags":
        """Return the tags of one stem: the title says which.

        Examples
        --------
        >>> Tags(title="Song").for_stem("vocals").title
        'Song (vocals)'
        """
        return replace(self, title=f"{self.title} ({stem})") if self.title else self


def read_tags(path: Path) -> Tags:
    """Read the tags of a file; a file without any, or that cannot be read, has empty ones.

    Parameters
    ----------
    path : Path
    """
    found = Tags()
    for read in (_read_mutagen, _read_ape, _read_info_strings, _read_ffmpeg):
        # tags are decoration: whatever a broken one raises must not stop a song
        with contextlib.suppress(Exception):
            found = found | read(path, found)
    return found


def _read_mutagen(path: Path, _: Tags) -> Tags:
    import mutagen

    song = mutagen.File(path)
    if song is None or song.tags is None:
        return Tags()
    return replace(_collect(song.tags), cover=read_cover(song))


def _read_ape(path: Path, _: Tags) -> Tags:
    """Read an APE tag, which mp3s have in place of ID3 or beside it."""
    from mutagen import apev2

    if path.suffix.lower() not in (".mp3", ".mp2", ".mpga"):
        return Tags()
    song: Any = apev2
    with path.open("rb") as file:
        stored = song.APEv2(file)
    return replace(_collect(stored), cover=read_cover(SimpleNamespace(tags=stored)))


def _collect(stored: Any) -> Tags:
    known: dict[str, Any] = {field.name: _text(_find(stored, field)) for field in FIELDS}
    return Tags(**known)


def _find(stored: Any, field: TagField) -> Any:
    """Return what a tag of any kind holds of a field."""
    from mutagen.apev2 import APEv2
    from mutagen.asf import ASFTags
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    if isinstance(stored, ID3):
        found = stored.getall(field.id3)
        if field.name == "musicbrainz_track_id" and not found:
            return [frame.data for frame in stored.getall("UFID:http://musicbrainz.org")]
        return found[:1] if field.id3 in ("COMM", "USLT") else found
    if isinstance(stored, APEv2):
        return str(stored[field.ape]) if field.ape in stored else None
    if isinstance(stored, MP4Tags):
        return stored.get(field.mp4)
    return stored.get(field.asf if isinstance(stored, ASFTags) else field.vorbis)


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
    return str(value if inner is None else inner).replace("\0", "").strip()


def _read_info_strings(path: Path, found: Tags) -> Tags:
    import soundfile

    if found or path.suffix.lower() not in _INFO_ENDINGS:
        return Tags()
    with soundfile.SoundFile(os_path(path)) as file:
        strings = file.copy_metadata()
    names = ("title", "artist", "album", "date", "genre", "copyright", "comment")
    known = {name: strings[name].strip() for name in names if strings.get(name)}
    return Tags(**known, track_number=strings.get("tracknumber", "").strip())


def _read_ffmpeg(path: Path, found: Tags) -> Tags:
    """Read the tags of containers that mutagen does not know: Matroska, AVI, RF64 and more."""
    if found:
        return Tags()
    from stemsplit.audio.av_source import open_container

    with open_container(path) as container:
        sources = [container.metadata, *(stream.metadata for stream in container.streams.audio[:1])]
        stored = {key.lower(): text for source in reversed(sources) for key, text in source.items()}
        cover = _read_attached(container)
    known: dict[str, Any] = {field.name: stored.get(field.ffmpeg, "").strip() for field in FIELDS}
    return Tags(**known, cover=cover)


def _read_attached(container: Any) -> CoverArt | None:
    """Return a picture that is attached to a container, which FFmpeg shows as a video of one packet."""
    from av.stream import Disposition

    pictures = (each for each in container.streams.video if each.disposition & Disposition.attached_pic)
    packets = (packet for picture in pictures for packet in container.demux(picture) if packet.size)
    packet = next(packets, None)
    return None if packet is None else CoverArt(bytes(packet))


def write_tags(
    path: Path, tags: Tags, stem: str | None, *, format: str | None = None, channel_mask: int = 0
) -> None:
    """Write the tags of one stem, or of a file of all stems, into a finished audio file.

    Parameters
    ----------
    path : Path
        The file; its audio is not touched.
    tags : Tags
        Of the song; the title becomes "Title (stem)". Nothing is written if all are empty.
    stem : str or None
        None for a file of all stems, which has the title of the song.
    format : str or None
        One of `encoding.FORMATS`, `VIDEO_FORMATS` or `MULTITRACK_FORMATS`; None takes the extension.
    channel_mask : int
        Which speakers the channels of a FLAC are for, where they are not its usual ones; 0 for those.

    Raises
    ------
    OutputError
        The tags could not be written. The file may then be damaged: write it again without tags.
    """
    import mutagen

    if not tags and not channel_mask:
        return
    try:
        song = _open_for_tags(path, format or path.suffix[1:].lower())
        for field, text in _entries(tags if stem is None else tags.for_stem(stem)):
            _store(song.tags, field, text)
        if tags.cover is not None:
            write_cover(song, tags.cover)
        if channel_mask:
            song.tags[_MASK_COMMENT] = [f"0x{channel_mask:04X}"]
        song.save()
    except (mutagen.MutagenError, OSError, ValueError) as error:
        raise OutputError(f"{path}: the tags could not be written ({error})") from error


def _entries(tags: Tags) -> Iterator[tuple[TagField, str]]:
    for field in FIELDS:
        if text := getattr(tags, field.name):
            yield field, text


def _open_for_tags(path: Path, format: str) -> Any:
    from mutagen.aiff import AIFF
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis
    from mutagen.wave import WAVE

    kinds = {"wav": WAVE, "aiff": AIFF, "mp3": MP3, "flac": FLAC, "ogg": OggVorbis, "opus": OggOpus}
    kinds |= dict.fromkeys(("m4a", "alac", "mp4", "stem.mp4"), MP4)
    if format not in kinds:
        raise ValueError(f"no tags in {format!r} files")
    kind: Any = kinds[format]
    song = kind(path)
    if song.tags is None:
        song.add_tags()
    return song


def _store(stored: Any, field: TagField, text: str) -> None:
    """Put the text of a field into a tag of any kind."""
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    if isinstance(stored, ID3):
        _store_id3(stored, field, text)
    elif isinstance(stored, MP4Tags):
        _store_mp4(stored, field, text)
    else:
        stored[field.vorbis] = [text]


def _store_id3(stored: Any, field: TagField, text: str) -> None:
    from mutagen import id3

    frame, _, label = field.id3.partition(":")
    value = _timestamp(text) if field.name == "date" else text
    if not value:
        return
    known: dict[str, Any] = {"encoding": id3.Encoding.UTF8, "text": [value]}
    if label:
        known["desc"] = label
    if frame in ("COMM", "USLT"):
        known |= {"lang": "XXX", "desc": "", "text": value if frame == "USLT" else [value]}
    stored.setall(field.id3, [getattr(id3, frame)(**known)])


def _store_mp4(stored: Any, field: TagField, text: str) -> None:
    if field.mp4 in ("trkn", "disk"):
        numbers = [int(number) for number in re.findall(r"\d+", text)[:2]]
        if numbers and max(numbers) < 2**16:
            stored[field.mp4] = [(numbers[0], numbers[1] if len(numbers) > 1 else 0)]
    elif field.mp4 == "tmpo":
        if (bpm := re.match(r"\d+(\.\d+)?", text)) and float(bpm[0]) < 2**15:
            stored["tmpo"] = [round(float(bpm[0]))]
    elif field.mp4.startswith("----"):
        stored[field.mp4] = [text.encode()]
    else:
        stored[field.mp4] = [text]


def _timestamp(date: str) -> str:
    """Return a date as ID3 knows it, from the year on; of one in another order only the year, or nothing.

    >>> _timestamp("1999-12-03"), _timestamp("12/03/1999"), _timestamp("long ago")
    ('1999-12-03', '1999', '')
    """
    if re.fullmatch(r"\d{4}(-\d\d){0,2}([T ]\d\d(:\d\d){0,2})?", date):
        return date
    year = re.search(r"(?<!\d)\d{4}(?!\d)", date)
    return year[0] if year else ""
