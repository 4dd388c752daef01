"""The picture of a song's record, in every kind of tag that can hold one."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

_FRONT: Final = 3
_APE_FRONT: Final = "Cover Art (Front)"
_VORBIS_PICTURE: Final = "metadata_block_picture"
_MAGIC: Final = {b"\x89PNG": "image/png", b"GIF8": "image/gif", b"RIFF": "image/webp", b"BM": "image/bmp"}


@dataclass(frozen=True)
class CoverArt:
    """The bytes of a picture file."""

    data: bytes

    @property
    def mime(self) -> str:
        """The kind of the picture, by its first bytes."""
        return next((mime for magic, mime in _MAGIC.items() if self.data.startswith(magic)), "image/jpeg")


def read_cover(song: Any) -> CoverArt | None:
    """Return the front cover, or else the first picture, of what mutagen opened; None if there is none."""
    tags = song.tags
    pictures = [*getattr(song, "pictures", ())]
    if hasattr(tags, "getall"):
        pictures += tags.getall("APIC")
    elif tags is not None:
        pictures += _decode_vorbis(tags)
    if pictures:
        front = next((picture for picture in pictures if picture.type == _FRONT), pictures[0])
        return CoverArt(bytes(front.data))
    return _read_plain(tags) if tags is not None else None


def _decode_vorbis(tags: Any) -> list[Any]:
    from mutagen.flac import Picture, error

    pictures = []
    for text in tags.get(_VORBIS_PICTURE, ()) if _is_vorbis(tags) else ():
        try:
            pictures.append(Picture(base64.b64decode(text)))
        except (binascii.Error, error, TypeError, ValueError):
            continue
    return pictures


def _is_vorbis(tags: Any) -> bool:
    from mutagen._vorbis import VComment

    return isinstance(tags, VComment)


def _read_plain(tags: Any) -> CoverArt | None:
    """Read the picture of tags that keep it as plain bytes: mp4, APE, ASF."""
    if found := tags.get("covr"):
        return CoverArt(bytes(found[0]))
    if found := tags.get(_APE_FRONT):
        return CoverArt(bytes(found.value).partition(b"\0")[2])
    if found := tags.get("WM/Picture"):
        return _parse_asf(bytes(found[0].value))
    return None


def _parse_asf(data: bytes) -> CoverArt | None:
    """Parse kind, size, and two texts of UTF-16 in front of the picture."""
    n_bytes = int.from_bytes(data[1:5], "little")
    return CoverArt(data[-n_bytes:]) if 0 < n_bytes < len(data) else None


def write_cover(song: Any, cover: CoverArt) -> None:
    """Put a front cover into what mutagen opened, in place of all pictures."""
    from mutagen.flac import FLAC, Picture
    from mutagen.id3 import APIC, ID3, Encoding
    from mutagen.mp4 import MP4Cover, MP4Tags

    if isinstance(song.tags, ID3):
        frame = APIC(encoding=Encoding.UTF8, mime=cover.mime, type=_FRONT, desc="", data=cover.data)
        song.tags.setall("APIC", [frame])
        return
    if isinstance(song.tags, MP4Tags):
        kind = MP4Cover.FORMAT_PNG if cover.mime == "image/png" else MP4Cover.FORMAT_JPEG
        song.tags["covr"] = [MP4Cover(cover.data, imageformat=kind)]
        return
    picture = Picture()
    picture.type, picture.mime, picture.data = _FRONT, cover.mime, cover.data
    if isinstance(song, FLAC):
        song.clear_pictures()
        song.add_picture(picture)
    else:
        song.tags[_VORBIS_PICTURE] = [base64.b64encode(picture.write()).decode("ascii")]
