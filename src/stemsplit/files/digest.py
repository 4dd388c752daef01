"""Digests of files."""

import hashlib
from pathlib import Path


def hash_content(path: Path) -> str:
    """Return the SHA-256 of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
