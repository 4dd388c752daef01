"""Digests of files and folders."""

import hashlib
from pathlib import Path


def hash_content(path: Path) -> str:
    """Return the SHA-256 of the content of a file, or of the names and contents of the files in a folder."""
    if path.is_dir():
        names = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
        listed = "".join(f"{hash_content(path / name)} {name}\n" for name in names)
        return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
