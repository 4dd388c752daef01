"""The calculator: what a run of many songs needs."""

import json
from typing import Any

import pytest

from stemsplit import SettingsError
from stemsplit.jobs.capacity import Driver, Machine, Workload, estimate, find_machine, read_machines
from tests.support.cli import call

MACHINE = Machine("a test", speed=20.0, memory_mb=400.0)
DRIVER = Driver(plan_s=0.0002, schedule_s=0.0003)


def test_a_million_songs() -> None:
    needed = estimate(Workload(1e6, 4), MACHINE, DRIVER, workers=1000)
    assert needed.worker_hours == pytest.approx(1e6 * 12 / 3600)
    assert needed.hours == pytest.approx(12e6 / 3600 / 1000)
    assert needed.songs_per_hour == pytest.approx(300_000)
    assert needed.read_gb == pytest.approx(9600)
    assert needed.written_gb == pytest.approx(1e6 * 240 * 4 * 44.1 * 4 / 1e6, rel=1e-6)
    assert needed.network_mb_per_s == pytest.approx((9.6 + 169.344) * 1e6 / (needed.hours * 3600))
    assert needed.driver_cores == pytest.approx(1000 / 12 * 0.0005)


@pytest.mark.parametrize(
    ("network_gbps", "stem_kbps", "first"),
    [(1.0, 1411.2, "the network"), (1e6, 1.0, "requests to one prefix of the storage")],
)
def test_what_saturates_first_is_named(network_gbps: float, stem_kbps: float, first: str) -> None:
    workload = Workload(1e6, 4, stem_kbps=stem_kbps)
    needed = estimate(workload, MACHINE, DRIVER, workers=10, network_gbps=network_gbps)
    assert needed.first_limit == first
    slow = estimate(workload, MACHINE, Driver(1.0, 1.0), workers=10, network_gbps=network_gbps)
    assert (slow.first_limit, slow.max_workers) == ("the driver", 6)


def test_workers_follow_from_the_time() -> None:
    needed = estimate(Workload(1e6, 4), MACHINE, DRIVER, days=7)
    assert needed.workers == 20
    assert needed.hours <= 7 * 24


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workers": 2, "days": 1}, "--workers or --days"),
        ({"workers": 0}, "above 0"),
        ({"days": -1}, "above 0"),
        ({"network_gbps": 0}, "above 0"),
    ],
)
def test_what_cannot_be_is_rejected(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        estimate(Workload(10, 4), MACHINE, DRIVER, **given)


@pytest.mark.parametrize("name", ["songs", "minutes", "stems", "song_kbps", "stem_kbps"])
def test_a_workload_of_nothing_is_rejected(name: str) -> None:
    given: dict[str, Any] = {"songs": 1, "minutes": 1, name: 0}
    with pytest.raises(SettingsError, match="must be above 0"):
        Workload(**given)


def test_machines_were_measured() -> None:
    assert all(machine.speed > 0 and machine.memory_mb > 0 for machine in read_machines().values())
    with pytest.raises(SettingsError, match=r"no machine 'cpus' was measured.*did you mean 'cpu'"):
        find_machine("cpus")


def test_the_command_calculates() -> None:
    done = call("plan", "--songs", "1e6", "--minutes", "4", "--speed", "20", "--workers", "1000", "--json")
    assert done.code == 0
    (record,) = done.records
    assert record["worker_hours"] == pytest.approx(1e6 * 12 / 3600)
    text = call("plan", "--songs", "1e6", "--speed", "20", "--days", "7").text
    assert "3,333 worker hours" in text and "with 20" in text and "saturates" in text
    assert call("plan", "--songs", "0").code == 2
    assert json.loads(call("plan", "--songs", "1", "--json").text)["workers"] == 1
