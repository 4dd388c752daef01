"""A command that ends at the first run of a network.

``python -m benchmarks.first_network ARGS...`` is ``stemsplit ARGS...`` up to there, with imports, models and
decoding. It loads nothing that the command does not load, and nothing earlier.
"""

import os
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NoReturn

LIBRARY = "onnxruntime"


def main() -> None:
    """Run the command up to there."""
    finder: Any = _Finder()
    sys.meta_path.insert(0, finder)
    from stemsplit.__main__ import main as stemsplit

    with suppress(SystemExit):
        stemsplit()
    sys.exit("no network was run")


class _Finder:
    """Finds the library whose networks are not to run, when the command imports it."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Return the library with a loader that also replaces what runs a network."""
        if name != LIBRARY:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_replace(module: ModuleType) -> None:
            execute(module)
            module.InferenceSession.run = _stop

        loader.exec_module = execute_and_replace
        return spec


def _stop(*_: Any, **__: Any) -> NoReturn:
    os._exit(0)


if __name__ == "__main__":
    main()
