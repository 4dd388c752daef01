"""The separation command: options in, stems and an exit code out.

Only what is needed to open the models is imported with this module, see `_open_separator`.
"""

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice

from stemsplit.cli.console import has_stdout
from stemsplit.cli.models_fetch import fetch_missing
from stemsplit.cli.options.separation import SeparationOptions
from stemsplit.errors import SettingsError
from stemsplit.jobs.imports import import_ahead
from stemsplit.jobs.inputs import SongInput, expand_inputs
from stemsplit.jobs.manifest import check_manifests, is_manifest, iterate_inputs
from stemsplit.jobs.output_folder import check_output_dir, check_working_folder
from stemsplit.jobs.output_settings import OutputSettings
from stemsplit.jobs.request import SeparationRequest, make_output_settings, open_separator
from stemsplit.jobs.result import ExitStatus
from stemsplit.jobs.shard import Shard
from stemsplit.registry.store import Registry
from stemsplit.separation.base_separator import BaseSeparator


def separate(options: SeparationOptions) -> ExitStatus:
    """Separate the songs that `options` name.

    Raises
    ------
    SettingsError
        If the options are invalid for any song; nothing has been written.
    ModelError, DeviceError
        If the models cannot be opened.
    LicenceError
        If only models that allow commercial use are wanted, and one does not.
    OutputError
        If the journal cannot be read.
    """
    check_working_folder()
    request = options.make_request()
    output = make_output_settings(request)
    if not options.writes_stdout and not output.storage.is_remote:
        check_output_dir(output.output_dir)
    shard = Shard.parse(options.shard)
    with closing(output.storage):
        sources = _list_sources(options, output, shard)
        fetch_missing(request.models, Registry(request.models_dir), yes=options.yes)
        if options.cluster is not None:
            from stemsplit.cli.song_run import separate_on_cluster

            return separate_on_cluster(options, request, output, sources)
        with _open_separator(request, sources, quiet=options.quiet) as separator:
            from stemsplit.cli.song_run import separate_songs

            return separate_songs(options, request, output, sources, separator)


def _open_separator(
    request: SeparationRequest, sources: Iterable[SongInput], *, quiet: bool
) -> BaseSeparator:
    """Open the separator in a thread, and import meanwhile what the first song needs."""
    import onnxruntime  # noqa: F401 - here, since imports in two threads hold each other up

    with ThreadPoolExecutor(1) as opening:
        separator = opening.submit(open_separator, request)
        from stemsplit.cli import progress, song_run  # noqa: F401

        known = sources[:1] if isinstance(sources, list) else []  # others come one by one
        import_ahead(source.path for source in known if source.path)
        progress.import_display(quiet=quiet)
    return separator.result()


def _list_sources(options: SeparationOptions, output: OutputSettings, shard: Shard) -> Iterable[SongInput]:
    """Return the songs of this shard: a list, unless they come from a manifest, one by one."""
    output_dir = None if options.writes_stdout else output.output_dir
    if any(map(is_manifest, options.inputs)):
        check_manifests(options.inputs)
        songs = iterate_inputs(options.inputs, recursive=options.recursive, output_dir=output_dir)
        if not options.writes_stdout:
            return filter(shard.contains, songs)
        # one song more than allowed is enough to reject the others
        sources = list(islice(filter(shard.contains, songs), 2))
    else:
        found = expand_inputs(options.inputs, recursive=options.recursive, output_dir=output_dir)
        sources = list(filter(shard.contains, found))
    _check_pipes(options, sources)
    return sources


def _check_pipes(options: SeparationOptions, sources: Sequence[SongInput]) -> None:
    if any(source.is_stdin for source in sources) and sys.stdin.isatty():
        raise SettingsError("'-' reads a wav from a pipe, but standard input is a terminal")
    if not options.writes_stdout:
        return
    if len(sources) != 1:
        raise SettingsError(f"--output - takes one song, but {len(sources)} were named")
    if not has_stdout():
        raise SettingsError("--output - writes a wav into a pipe, but standard output is closed")
    if sys.stdout.isatty() and not options.dry_run:
        raise SettingsError("--output - writes a wav into a pipe, but standard output is a terminal")
