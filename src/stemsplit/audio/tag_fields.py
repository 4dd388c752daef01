"""Where each kind of tag keeps what is known of a song."""

from typing import Final, NamedTuple

_ITUNES: Final = "----:com.apple.iTunes:"


class TagField(NamedTuple):
    """The names of one field: in `tags.Tags`, and in each kind of tag."""

    name: str
    id3: str
    vorbis: str
    mp4: str
    asf: str
    ape: str

    @property
    def ffmpeg(self) -> str:
        """FFmpeg's name, of Matroska and others that mutagen does not know, in lower case."""
        return {"album_artist": "album_artist", "track_number": "track", "disc_number": "disc"}.get(
            self.name, self.vorbis.lower()
        )


def _musicbrainz(name: str, label: str, vorbis: str) -> TagField:
    return TagField(
        name,
        f"TXXX:MusicBrainz {label}",
        vorbis,
        f"{_ITUNES}MusicBrainz {label}",
        f"MusicBrainz/{label}",
        vorbis.upper(),
    )


FIELDS: Final = (
    TagField("title", "TIT2", "title", "\xa9nam", "Title", "Title"),
    TagField("artist", "TPE1", "artist", "\xa9ART", "Author", "Artist"),
    TagField("album", "TALB", "album", "\xa9alb", "WM/AlbumTitle", "Album"),
    TagField("album_artist", "TPE2", "albumartist", "aART", "WM/AlbumArtist", "Album Artist"),
    TagField("composer", "TCOM", "composer", "\xa9wrt", "WM/Composer", "Composer"),
    TagField("date", "TDRC", "date", "\xa9day", "WM/Year", "Year"),
    TagField("genre", "TCON", "genre", "\xa9gen", "WM/Genre", "Genre"),
    TagField("track_number", "TRCK", "tracknumber", "trkn", "WM/TrackNumber", "Track"),
    TagField("disc_number", "TPOS", "discnumber", "disk", "WM/PartOfSet", "Disc"),
    TagField("bpm", "TBPM", "bpm", "tmpo", "WM/BeatsPerMinute", "BPM"),
    TagField("key", "TKEY", "initialkey", f"{_ITUNES}initialkey", "WM/InitialKey", "InitialKey"),
    TagField("isrc", "TSRC", "isrc", f"{_ITUNES}ISRC", "WM/ISRC", "ISRC"),
    TagField("copyright", "TCOP", "copyright", "cprt", "Copyright", "Copyright"),
    TagField("comment", "COMM", "comment", "\xa9cmt", "Description", "Comment"),
    TagField("lyrics", "USLT", "lyrics", "\xa9lyr", "WM/Lyrics", "Lyrics"),
    _musicbrainz("musicbrainz_track_id", "Track Id", "musicbrainz_trackid"),
    _musicbrainz("musicbrainz_album_id", "Album Id", "musicbrainz_albumid"),
    _musicbrainz("musicbrainz_artist_id", "Artist Id", "musicbrainz_artistid"),
    _musicbrainz("musicbrainz_album_artist_id", "Album Artist Id", "musicbrainz_albumartistid"),
    _musicbrainz("musicbrainz_release_group_id", "Release Group Id", "musicbrainz_releasegroupid"),
    _musicbrainz("musicbrainz_release_track_id", "Release Track Id", "musicbrainz_releasetrackid"),
)
