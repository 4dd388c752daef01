"""The ``plan`` command: what a run of many songs needs, before it is started."""

from typing import TYPE_CHECKING, Annotated

import typer

from stemsplit.cli.console import show
from stemsplit.cli.exit import run_command
from stemsplit.errors import SettingsError
from stemsplit.jobs.result import ExitStatus

if TYPE_CHECKING:
    from stemsplit.jobs.capacity import Estimate, Machine

EPILOG = (
    "The speed is that of one core of the machine that was measured; of another machine it is the `speed` of "
    "`--json` with `--threads 1`, or of a GPU. Nothing is separated."
)


def plan(  # noqa: PLR0917 - as they are typed
    songs: Annotated[
        float, typer.Option("--songs", metavar="N", help="Number of songs, such as 1e6.", show_default=False)
    ],
    minutes: Annotated[float, typer.Option("--minutes", metavar="MIN", help="Length of a song.")] = 4.0,
    stems: Annotated[int, typer.Option("--stems", metavar="N", help="Number of stems.")] = 4,
    machine: Annotated[
        str, typer.Option("--machine", metavar="NAME", help="Machine that was measured.")
    ] = "cpu",
    speed: Annotated[
        float | None,
        typer.Option("--speed", metavar="X", help="Times real time of one worker, instead of --machine."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Workers at a time. Default: 1.")
    ] = None,
    days: Annotated[
        float | None,
        typer.Option("--days", metavar="DAYS", help="Time for all songs, instead of --workers."),
    ] = None,
    song_kbps: Annotated[
        float, typer.Option("--song-kbps", metavar="KBPS", help="Bitrate of the songs.")
    ] = 320.0,
    stem_kbps: Annotated[
        float | None,
        typer.Option(
            "--stem-kbps", metavar="KBPS", help="Bitrate of a stem. Default: of wav, 16 bits, stereo."
        ),
    ] = None,
    network_gbps: Annotated[
        float, typer.Option("--network-gbps", metavar="GBPS", help="Network of all workers to the storage.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Calculate what a run of many songs needs: worker hours, storage, network, what saturates first."""

    def command() -> ExitStatus:
        import json
        from dataclasses import asdict

        from stemsplit.jobs.capacity import WAV_KBPS, Workload, estimate, find_machine, read_driver

        workload = Workload(songs, minutes, stems, song_kbps, WAV_KBPS if stem_kbps is None else stem_kbps)
        found = find_machine(machine) if speed is None else _measured_elsewhere(speed)
        needed = estimate(
            workload, found, read_driver(), workers=workers, days=days, network_gbps=network_gbps
        )
        show(json.dumps(asdict(needed)) if as_json else "\n".join(_describe(found, needed)))
        return ExitStatus.OK

    run_command(command)


def _measured_elsewhere(speed: float) -> "Machine":
    from dataclasses import replace

    from stemsplit.jobs.capacity import find_machine

    if not speed > 0:
        raise SettingsError(f"--speed {speed:g} must be above 0")
    return replace(find_machine("cpu"), about="as given", speed=speed)


def _describe(machine: "Machine", needed: "Estimate") -> list[str]:
    return [
        f"one worker        {machine.speed:.1f} times real time, {machine.memory_mb:.0f} MB; {machine.about}",
        f"all songs         {needed.worker_hours:,.0f} worker hours",
        f"with {needed.workers:<13}{needed.hours:,.1f} h, {needed.songs_per_hour:,.0f} songs an hour",
        f"storage           {needed.read_gb:,.0f} GB read, {needed.written_gb:,.0f} GB written, "
        f"{needed.requests:,.0f} requests",
        f"network           {needed.network_mb_per_s:,.1f} MB/s",
        f"driver            {needed.driver_cores:.1%} of a core",
        f"more workers      up to {needed.max_workers:,}; then {needed.first_limit} saturates",
    ]
