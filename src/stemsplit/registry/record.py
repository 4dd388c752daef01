"""``model.toml``: what the registry keeps beside the files of a model.

For an external model it is its description, complete: what its family and its graph said is written out, and
the hash of every file. A file that describes itself needs no more than a pointer with its hash::

    self_described = true
    graph = "band.onnx"
    sha256 = { "band.onnx" = "..." }
"""

from pathlib import Path

from stemsplit.errors import ModelError
from stemsplit.files.toml import read_toml
from stemsplit.models.integrity import check_pinned, hold

FILE_NAME = "model.toml"


def format_pointer(file: str, sha256: str) -> str:
    """Return the record of a `file` that describes itself."""
    import tomli_w

    return tomli_w.dumps({"self_described": True, "graph": file, "sha256": {file: sha256}})


def read_pointer(path: Path) -> Path | None:
    """Return the file that the record at `path` points to, its hash checked; None if it is a description.

    Raises
    ------
    ModelError
        If the file is missing, lies elsewhere, or is another one than was registered.
    """
    pointer = _read(path)
    if pointer is None:
        return None
    file, pinned = pointer
    try:
        check_pinned(path.parent, [file], pinned)
        return hold(path.parent, file)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[str, dict[str, str]] | None:
    try:
        values = read_toml(path, about="a record of a model")
    except ModelError:  # reading it as a description will say it better
        return None
    if values.get("self_described") is not True:
        return None
    file, pinned = values.get("graph"), values.get("sha256")
    if not isinstance(file, str) or not isinstance(pinned, dict) or not isinstance(pinned.get(file), str):
        raise ModelError(f"{path}: names no graph with its sha256; register the model again")
    return file, {file: pinned[file]}
