"""Fetching of models in the catalogue that a separation names and that are not installed."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from stemsplit.cli.console import warn
from stemsplit.registry.installed import NotInstalledError, resolve, summarise
from stemsplit.registry.store import Registry

if TYPE_CHECKING:
    from stemsplit.registry.index import RemoteModel


def fetch_missing(models: Sequence[str], registry: Registry, *, yes: bool) -> None:
    """Fetch those of `models` that are in the catalogue and not installed.

    The user is asked first, which needs a terminal, unless `yes` is set.

    Raises
    ------
    NotInstalledError
        If a model is not there and may not be fetched; the command that fetches it is named.
    DownloadError, ModelError, OutputError, SettingsError
        If one cannot be fetched or registered.
    """
    for model in models:
        try:
            resolve(model, registry)
        except NotInstalledError as error:
            if not (yes or _confirm(error.remote)):
                raise
            _fetch(error.remote, registry)


def _confirm(remote: "RemoteModel") -> bool:
    if not _is_terminal():
        return False
    return typer.confirm(
        f"{remote.name}: {summarise(remote)}, licence: {remote.licence}; fetch it?", err=True
    )


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _fetch(remote: "RemoteModel", registry: Registry) -> None:
    # HTTP and TLS take time that a run without downloads need not lose
    from stemsplit.cli.progress import showing_downloads
    from stemsplit.registry.download import DownloadLimits
    from stemsplit.registry.pull import is_offline, pull_model

    warn(f"fetching {remote.name} ({summarise(remote)})")
    limits = DownloadLimits(offline=is_offline(False))
    with showing_downloads() as progress:
        pull_model(registry, remote, name=None, overwrite=False, limits=limits, progress=progress)
