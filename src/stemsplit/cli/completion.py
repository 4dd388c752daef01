"""What a shell may offer for the values of options.

Nothing is printed here and nothing fails: where a file cannot be read, its names are not offered.
"""

import contextlib
from collections.abc import Iterable, Iterator

from stemsplit.errors import StemsplitError


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def complete_models(incomplete: str) -> list[str]:
    """Offer the names of all models, the bundled ones last."""
    return _matching([*complete_registered(""), *_bundled_names()], incomplete)


def _bundled_names() -> Iterator[str]:
    from stemsplit.models.hpss import HPSS
    from stemsplit.registry.installed import bundled_models, read_spec, work_models

    with contextlib.suppress(StemsplitError):
        yield from (read_spec(path).name for path in bundled_models())
        yield from work_models()
        yield HPSS


def complete_registered(incomplete: str) -> list[str]:
    """Offer the names of the user's models."""
    from stemsplit.registry.store import Registry

    with contextlib.suppress(StemsplitError):
        return _matching(Registry().names(), incomplete)
    return []


def complete_stems(incomplete: str) -> list[str]:
    """Offer names of stems behind the last comma."""
    from stemsplit.registry.installed import bundled_models, read_spec

    head, comma, tail = incomplete.rpartition(",")
    chosen = set(head.split(","))
    targets = [target for path in bundled_models() for target in read_spec(path).targets]
    offered = [name for name in [*targets, "instrumental"] if name not in chosen]
    return [head + comma + name for name in _matching(offered, tail)]


def complete_device(incomplete: str) -> list[str]:
    """Offer the kinds of devices."""
    from stemsplit.models.device import BACKENDS

    return _matching(["auto", "cpu", *BACKENDS], incomplete)


def complete_before(incomplete: str) -> list[str]:
    """Return the steps before the networks."""
    from stemsplit.separation.settings import BEFORE

    return _matching(BEFORE, incomplete)


def complete_format(incomplete: str) -> list[str]:
    """Offer the formats of stems."""
    from stemsplit.audio.encoding import FORMATS, MULTITRACK_FORMATS, VIDEO_FORMATS

    return _matching([*FORMATS, *VIDEO_FORMATS, *MULTITRACK_FORMATS], incomplete)


def complete_bits(incomplete: str) -> list[str]:
    """Offer the depths of samples."""
    return _matching(["16", "24", "32f"], incomplete)


def complete_preset(incomplete: str) -> list[str]:
    """Offer the names of the presets, the user's and those of the package."""
    from stemsplit.files import user_dirs
    from stemsplit.files.toml import read_tables
    from stemsplit.separation.presets import BUILT_IN, FILE_NAME

    names: list[str] = []
    for path in (user_dirs.config_folder() / FILE_NAME, BUILT_IN):
        with contextlib.suppress(StemsplitError, OSError):
            names += read_tables(path)
    return _matching(names, incomplete)
