"""File names that every system can store: cleaning, shortening and comparison of names."""

import unicodedata
from pathlib import Path

# most file systems allow 255 bytes; the rest is for the suffix of the temporary file
MAX_NAME_BYTES = 220
HASH_DIGITS = 8
_ILLEGAL = frozenset('<>:"/\\|?*')
_PORTS = "123456789\u00b9\u00b2\u00b3"
_RESERVED = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"COM{port}" for port in _PORTS}
    | {f"LPT{port}" for port in _PORTS}
)
# control, surrogate (undecodable bytes), line and paragraph separators
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
# marks that change the direction of the text, with which one name can look like another
_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_illegal(char: str) -> bool:
    """Tell whether a character may not be in a file name on some system."""
    return char in _ILLEGAL or char in _DIRECTION or unicodedata.category(char) in _UNPRINTABLE


def clean_value(text: str) -> str:
    """Return `text` with every character replaced that a file name may not contain on some system.

    >>> clean_value('AC/DC: "Live?"')
    'AC_DC_ _Live__'
    """
    # most names: nothing is illegal, and all is composed
    if text.isascii() and text.isprintable() and _ILLEGAL.isdisjoint(text):
        return text
    composed = unicodedata.normalize("NFC", text)
    return "".join("_" if is_illegal(char) else char for char in composed)


def clean_name(text: str) -> str:
    """Return `text` as a complete file or folder name that is valid on every system.

    >>> clean_name("..."), clean_name("con.txt"), clean_name("So. ")
    ('_', '_con.txt', 'So')
    """
    name = clean_value(text).rstrip(". ").lstrip(" ")
    if not name:
        return "_"
    if name.startswith("."):  # would be hidden, and skipped when its folder is read
        name = "_" + name[1:]
    # reserved with any extension, and with blanks before it
    if name.partition(".")[0].rstrip().upper() in _RESERVED:
        name = "_" + name
    return name


def shorten(text: str, n_bytes: int) -> str:
    """Return `text` in at most `n_bytes` of UTF-8; a hash of the text replaces what is cut off.

    The hash distinguishes long names that begin alike.
    """
    if len(text.encode()) <= n_bytes:
        return text
    import hashlib  # not for help, which names no file

    mark = "~" + hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
    kept = text.encode()[: max(n_bytes - len(mark), 0)].decode(errors="ignore")
    while kept and unicodedata.combining(kept[-1]):
        kept = kept[:-1]
    # a letter must not lose the mark that follows it
    if kept and len(kept) < len(text) and unicodedata.combining(text[len(kept)]):
        kept = kept[:-1]
    return kept.rstrip(". ") + mark


def identity(path: Path | str) -> str:
    """Return a key that two paths share if some file system treats them as equal, by case or by accents.

    >>> identity(Path("A/caf\\u00e9")) == identity(Path("a/CAFE\\u0301"))
    True
    """
    text = str(path)
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFC", text).casefold()
    return unicodedata.normalize("NFC", folded)
