"""What a run of many songs needs: worker hours, storage, network; from the measured speed of a worker.

``machines.toml`` has the speeds that were measured, see ``benchmarks``; it is made by
``python -m docs.generate.tables``.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stemsplit.did_you_mean import unknown_name
from stemsplit.errors import SettingsError
from stemsplit.files.toml import read_tables

MACHINES: Final = Path(__file__).with_name("machines.toml")
# to object storage, of a new song with four stems
REQUESTS_PER_SONG: Final = 20
# of a song that is done, to leave it out
REQUESTS_PER_DONE: Final = 3
# 16 bits, 44.1 kHz, stereo
WAV_KBPS: Final = 1411.2
_DRIVER: Final = "driver"
# objects that one prefix of S3 takes a second, as its makers state it
_MAX_WRITES_PER_S: Final = 3500.0


@dataclass(frozen=True)
class Machine:
    """What one worker of a machine was measured to do.

    Attributes
    ----------
    about : str
        What was measured, and on what.
    speed : float
        Seconds of song that one worker separates in a second.
    memory_mb : float
        Peak memory of a worker.
    """

    about: str
    speed: float
    memory_mb: float


@dataclass(frozen=True)
class Driver:
    """What one process that plans and gives out songs was measured to do: seconds of CPU for a song."""

    plan_s: float
    schedule_s: float


@dataclass(frozen=True)
class Workload:
    """The songs of a run.

    Parameters
    ----------
    songs
        Their number.
    minutes
        Length of a song.
    stems
        Number of stems.
    song_kbps, stem_kbps
        Bitrates of the songs and of each stem, in kilobits per second.

    Raises
    ------
    SettingsError
        If a value is not above 0.
    """

    songs: float
    minutes: float
    stems: int = 4
    song_kbps: float = 320.0
    stem_kbps: float = WAV_KBPS

    def __post_init__(self) -> None:
        for name in ("songs", "minutes", "stems", "song_kbps", "stem_kbps"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise SettingsError(f"{name.replace('_', ' ')} is {value:g}; it must be above 0")

    @property
    def input_mb(self) -> float:
        """Megabytes of a song."""
        return self.minutes * 60 * self.song_kbps / 8000

    @property
    def output_mb(self) -> float:
        """Megabytes of the stems of a song."""
        return self.minutes * 60 * self.stem_kbps * self.stems / 8000


@dataclass(frozen=True)
class Estimate:
    """What a run needs, and what limits it.

    Attributes
    ----------
    worker_hours : float
        Of all workers together.
    workers : int
        Workers at the same time.
    hours : float
        From the first song to the last.
    songs_per_hour : float
        Of all workers.
    read_gb, written_gb : float
        Songs and stems.
    network_mb_per_s : float
        Of all workers, in both directions.
    requests : float
        To object storage.
    driver_cores : float
        Share of one core that a driver of a Ray cluster spends on planning and giving out songs.
    max_workers : int
        Workers that one driver can keep busy.
    first_limit : str
        What saturates first when there are more workers.
    """

    worker_hours: float
    workers: int
    hours: float
    songs_per_hour: float
    read_gb: float
    written_gb: float
    network_mb_per_s: float
    requests: float
    driver_cores: float
    max_workers: int
    first_limit: str


def estimate(
    workload: Workload,
    machine: Machine,
    driver: Driver,
    *,
    workers: int | None = None,
    days: float | None = None,
    network_gbps: float = 10.0,
) -> Estimate:
    """Return what a workload needs.

    Parameters
    ----------
    workload
        The songs.
    machine
        What one worker does.
    driver
        What a driver does.
    workers, days
        The number of workers, or the time in which all has to be done; neither is one worker.
    network_gbps
        Of all workers together, to the storage, in gigabits per second.

    Raises
    ------
    SettingsError
        If both or an impossible value are given.
    """
    if workers is not None and days is not None:
        raise SettingsError("give --workers or --days; the other one follows")
    if (workers is not None and workers < 1) or (days is not None and not days > 0) or not network_gbps > 0:
        raise SettingsError("workers, days and the network must be above 0")
    song_s = workload.minutes * 60 / machine.speed
    worker_hours = workload.songs * song_s / 3600
    if workers is None:
        workers = 1 if days is None else max(1, math.ceil(worker_hours / (24 * days)))
    song_mb, rate = workload.input_mb + workload.output_mb, workers / song_s
    # workers that each part of the system can keep busy
    limits = {
        "the driver": song_s / (driver.plan_s + driver.schedule_s),
        "the network": song_s * network_gbps * 125 / song_mb,
        "requests to one prefix of the storage": song_s * _MAX_WRITES_PER_S / (workload.stems + 2),
    }
    return Estimate(
        worker_hours=worker_hours,
        workers=workers,
        hours=worker_hours / workers,
        songs_per_hour=3600 * rate,
        read_gb=workload.songs * workload.input_mb / 1000,
        written_gb=workload.songs * workload.output_mb / 1000,
        network_mb_per_s=rate * song_mb,
        requests=workload.songs * REQUESTS_PER_SONG,
        driver_cores=rate * (driver.plan_s + driver.schedule_s),
        max_workers=int(min(limits.values())),
        first_limit=min(limits, key=lambda name: limits[name]),
    )


def read_machines() -> dict[str, Machine]:
    """Return the machines that were measured, by name."""
    return {name: Machine(**values) for name, values in read_tables(MACHINES).items() if name != _DRIVER}


def read_driver() -> Driver:
    """Return what a driver was measured to do."""
    return Driver(**read_tables(MACHINES)[_DRIVER])


def find_machine(name: str) -> Machine:
    """Return a machine that was measured.

    Raises
    ------
    SettingsError
        If there is no such name; the nearest is proposed.
    """
    machines = read_machines()
    if name not in machines:
        raise unknown_name(f"no machine {name!r} was measured; give --speed", name, machines)
    return machines[name]
