"""File names: for any song, the stems have legal, distinct names inside the output folder."""

import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsplit.errors import SettingsError
from stemsplit.files.names import MAX_NAME_BYTES, clean_name, identity, shorten
from stemsplit.jobs.name_template import FIELDS, NameTemplate, Value

_WINDOWS = '<>:"/\\|?*'
_VALUES: dict[str, Value] = dict.fromkeys(FIELDS, "x")

texts = st.text(max_size=400) | st.from_regex(r"(con|aux|com1|LPT9)[. ]{0,3}(\.txt)?", fullmatch=True)


def assert_legal(name: str) -> None:
    assert name
    assert not set(name) & set(_WINDOWS)
    assert all(unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"} for char in name)
    assert name[-1] not in ". "
    assert name[0] not in ". "
    base = name.partition(".")[0].rstrip().upper()
    assert base not in {"CON", "PRN", "AUX", "NUL", *(f"COM{n}" for n in range(1, 10))}
    assert base not in {f"LPT{n}" for n in range(1, 10)}


@given(texts)
def test_a_clean_name_is_legal_everywhere_and_stays_as_it_is(text: str) -> None:
    name = clean_name(text)
    assert_legal(name)
    assert clean_name(name) == name


@given(texts, texts, texts)
def test_every_name_from_a_template_is_legal_and_inside(track: str, artist: str, album: str) -> None:
    template = NameTemplate("{artist}/{album} - x/{track} ({stem}).{ext}")
    values = {"track": track, "artist": artist, "album": album, "stem": "vocals", "ext": "wav"}
    path = template.render(values)
    assert not path.is_absolute()
    assert len(path.parts) == 3
    assert path.name.endswith(" (vocals).wav")
    for name in path.parts:
        assert_legal(name)
        assert len(name.encode()) <= MAX_NAME_BYTES


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.integers(16, 60))
def test_a_shortened_text_fits_and_stays_distinct(text: str, n_bytes: int) -> None:
    short = shorten(text, n_bytes)
    assert len(short.encode()) <= n_bytes
    assert len(text.encode()) > n_bytes or short == text
    assert shorten(text + "x" * 60, n_bytes) != shorten(text + "x" * 61, n_bytes)


def test_shortening_does_not_split_a_letter_from_its_accent() -> None:
    text = "x" * 10 + "q\u0323" * 40
    kept = shorten(text, 30).split("~")[0]
    assert kept.endswith("\u0323")
    assert not shorten(text, 20).split("~")[0].endswith("q")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("song", "song"),
        ("AC/DC", "AC_DC"),
        ("..", "_"),
        ("...Baby", "_..Baby"),
        ("what?", "what_"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("com\u00b9", "_com\u00b9"),
        ("console", "console"),
        ("end. . ", "end"),
        ("a\nb\x7f", "a_b_"),
        ("abc\u202egpj", "abc_gpj"),
        ("\udce9t\u00e9", "_t\u00e9"),
        ("cafe\u0301", "caf\u00e9"),
        ("", "_"),
        ("日本語 の歌", "日本語 の歌"),
    ],
)
def test_known_names(text: str, expected: str) -> None:
    assert clean_name(text) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{track}/{stem}", "must end in"),
        ("{trak}/{stem}.{ext}", r"\{trak\}; there are: \{track\}"),
        ("{track!r}.{ext}", r"\{track!r\}"),
        ("{number:s}.{ext}", r"format 's', which is invalid for \{number\}; write it like \{number:02d\}"),
        ("{track:d}.{ext}", r"\{track:.20\}"),
        ("{bpm:{key}}.{ext}", "format"),
        ("{track.__class__}.{ext}", "unknown field"),
        ("{}.{ext}", "unknown field"),
        ("{track.{ext}", "cannot be read|unknown field"),
        ("/{stem}.{ext}", "relative"),
        ("../{stem}.{ext}", r"'\.\.'"),
        ("a//{stem}.{ext}", "relative"),
        ("./{stem}.{ext}", "relative"),
        ("C:/{stem}.{ext}", "':'"),
        ("a\\{stem}.{ext}", "separated by '/'"),
        ("aux/{stem}.{ext}", "'aux'"),
    ],
)
def test_an_invalid_template_is_rejected(template: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        NameTemplate(template)


def test_every_field_can_be_used() -> None:
    template = NameTemplate("-".join(f"{{{field}}}" for field in FIELDS if field != "ext") + ".{ext}")
    assert template.fields == set(FIELDS)
    assert template.render(_VALUES | {"ext": "wav"}).name == "-".join("x" * (len(FIELDS) - 1)) + ".wav"


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("{number}.{ext}", {"number": 3}, "03.x"),
        ("{number:03d}.{ext}", {"number": 3}, "003.x"),
        ("{number:03d}.{ext}", {"number": "A1"}, "A1.x"),
        ("{bpm}.{ext}", {"bpm": 127.98}, "128.x"),
        ("{bpm:.1f}.{ext}", {"bpm": 127.98}, "128.0.x"),
        ("{bpm:06.2f}.{ext}", {"bpm": 97.5}, "097.50.x"),
        ("{bpm:.2f} {key}.{ext}", {"bpm": "none", "key": "none"}, "none none.x"),
        ("{track:.3}.{ext}", {"track": "longer"}, "lon.x"),
        ("{track:?>8}.{ext}", {"track": "ab"}, "______ab.x"),
    ],
)
def test_fields_have_formats(template: str, values: dict[str, Value], expected: str) -> None:
    assert NameTemplate(template).render({**_VALUES, **values}).name == expected


def test_double_braces_are_braces() -> None:
    assert NameTemplate("{{{stem}}}.{ext}").render(_VALUES).name == "{x}.x"


def test_a_value_cannot_make_a_folder() -> None:
    path = NameTemplate("{title}/{stem}.{ext}").render(_VALUES | {"title": "../../etc", "stem": "a/b"})
    assert PurePosixPath(path).parts == ("_._.._etc", "a_b.x")


def test_long_names_keep_their_ends_and_stay_apart() -> None:
    template = NameTemplate("{track}-{stem}.{ext}")
    names = {template.render(_VALUES | {"track": "é" * 300 + end, "stem": "bass"}).name for end in "ab"}
    assert len(names) == 2
    assert all(name.endswith("-bass.x") and len(name.encode()) <= MAX_NAME_BYTES for name in names)


def test_a_template_too_long_by_itself_is_rejected() -> None:
    with pytest.raises(SettingsError, match="too long"):
        NameTemplate("y" * 300 + "{stem}.{ext}").render(_VALUES)


@given(st.text(max_size=40))
def test_identity_folds_case_and_composition(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert identity(Path("d", composed)) == identity(Path("d", unicodedata.normalize("NFD", composed)))
    if composed.upper().casefold() == composed.casefold():
        assert identity(Path("d", composed)) == identity(Path("d", composed.upper()))
