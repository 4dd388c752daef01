"""``python -m benchmarks.service_load [NAME...]``: a service under load, as ``docs/web-page.md`` reports it.

Starts ``stemsplit serve``, and measures: 200 uploads at once, slow senders, 50 listeners of one song while it
is separated, guesses at the addresses of songs, a kill in the middle, and its memory over 300 songs,
and a disk that is full.
Whatever was answered with 202 must be done in the end.
"""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.machine import describe_machine, describe_models
from benchmarks.process import find_stemsplit
from benchmarks.report import load, save
from benchmarks.songs import EXAMPLE, make_song
from stemsplit.client import Client, ServiceError, Song

RESULTS = Path(__file__).with_name("results") / "service_load.json"
N_UPLOADS = 200
N_SLOW = 20
N_LISTENERS = 50
N_GUESSES = 2000
N_SHORT = 300
SHORT_S = 1.5
N_BATCH = 25
DISK_MB = 40


@dataclass
class Server:
    """A service in a process of its own."""

    process: "subprocess.Popen[str]"
    address: str

    @property
    def memory_mb(self) -> float:
        """Megabytes that it holds."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    def upload(self, _: int = 0, path: Path = EXAMPLE) -> Song | None:
        """Upload a song; None where the service is busy."""
        with Client(self.address, timeout_s=600) as client:
            try:
                return client.upload(path, stems=["vocals"])
            except ServiceError as error:
                if error.status != 503:
                    raise
                return None

    def wait(self, songs: list[Song], timeout_s: float = 900) -> int:
        """Wait for songs; return how many are done."""
        with Client(self.address, timeout_s=600) as client:
            return sum(
                client.wait(client.song(song.id), timeout_s=timeout_s).status == "done" for song in songs
            )


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Server]:
    """Start a service whose temporary files lie in `folder`; it is killed at the end."""
    command = [*find_stemsplit(), "serve", "--port", "0", "--device", "cpu", *arguments]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            yield Server(process, next(_find_addresses(process.stderr)))
        finally:
            process.kill()


def _find_addresses(lines: Any) -> Iterator[str]:
    for line in lines:
        found = re.search(r"https?://\S+", line)
        if found:
            yield found[0]


def measure_uploads(folder: Path) -> dict[str, Any]:
    """200 uploads at once: those that are taken are done, the others are told to come again."""
    with serving(folder) as server:
        server.wait([song for song in [server.upload()] if song])
        before_mb, started_s = server.memory_mb, time.monotonic()
        with ThreadPoolExecutor(N_UPLOADS) as pool:
            songs = [song for song in pool.map(server.upload, range(N_UPLOADS)) if song]
        elapsed_s, peak_mb = time.monotonic() - started_s, server.memory_mb
        done = server.wait(songs)
        return {
            "uploads": N_UPLOADS,
            "taken": len(songs),
            "refused_503": N_UPLOADS - len(songs),
            "done": done,
            "answered_s": round(elapsed_s, 2),
            "memory_before_mb": round(before_mb, 1),
            "memory_after_uploads_mb": round(peak_mb, 1),
            "memory_after_songs_mb": round(server.memory_mb, 1),
        }


def measure_slow_senders(folder: Path) -> dict[str, Any]:
    """Senders that stall do not keep others waiting."""
    with serving(folder) as server:
        host, port = re.findall(r"//(.*):(\d+)/", server.address)[0]
        head = b"POST /api/songs HTTP/1.1\r\nHost: %s:%s\r\nContent-Length: 1000000\r\n\r\nRIFF"
        slow = [socket.create_connection((host, int(port))) for _ in range(N_SLOW)]
        for connection in slow:
            connection.sendall(head % (host.encode(), port.encode()))
        time.sleep(1)
        started_s = time.monotonic()
        song = server.upload()
        assert song is not None
        answered_s = time.monotonic() - started_s
        done = server.wait([song])
        for connection in slow:
            connection.close()
        return {"slow_senders": N_SLOW, "upload_answered_s": round(answered_s, 3), "done": done}


def measure_listeners(folder: Path) -> dict[str, Any]:
    """50 listeners of one song all get its end."""
    with serving(folder) as server:
        server.wait([song for song in [server.upload()] if song])
        before_mb = server.memory_mb
        song = server.upload()
        assert song is not None

        def listen(_: int) -> tuple[str, float]:
            with Client(server.address, timeout_s=600) as client:
                last = list(client.follow(client.song(song.id)))[-1]
                return last.status, time.monotonic()

        with ThreadPoolExecutor(N_LISTENERS) as pool:
            ends = list(pool.map(listen, range(N_LISTENERS)))
        times_s = [end_s for _, end_s in ends]
        return {
            "listeners": N_LISTENERS,
            "told_the_end": sum(status == "done" for status, _ in ends),
            "apart_s": round(max(times_s) - min(times_s), 3),
            "memory_growth_mb": round(server.memory_mb - before_mb, 1),
        }


def measure_guesses(folder: Path) -> dict[str, Any]:
    """Addresses of songs cannot be guessed, and nobody is shown another's."""
    with serving(folder) as server:
        song = server.upload()
        assert song is not None
        found, times_s = 0, []
        with Client(server.address) as client:
            for _ in range(N_GUESSES):
                guess, started_s = secrets.token_urlsafe(18), time.monotonic()
                try:
                    client.song(guess)
                    found += 1
                except ServiceError:
                    times_s.append(time.monotonic() - started_s)
            listed = len(client.songs())
        return {
            "guesses": N_GUESSES,
            "found": found,
            "others_listed": listed,
            "median_ms": round(1000 * median(times_s), 2),
        }


def measure_kill(folder: Path) -> dict[str, Any]:
    """A service that is killed with songs in its queue: the next one makes all of them."""
    with serving(folder) as server:
        with ThreadPoolExecutor(20) as pool:
            songs = [song for song in pool.map(server.upload, range(20)) if song]
        time.sleep(2)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    time.sleep(6)
    with serving(folder) as server:
        return {"taken": len(songs), "done_by_the_next": server.wait(songs)}


def measure_full_disk(folder: Path) -> dict[str, Any]:
    """A small disk: what is taken is done, and what has no room is refused with the reason; needs root."""
    disk = folder / "disk"
    disk.mkdir()
    size = f"size={DISK_MB}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
    try:
        path = make_song(folder / "song.mp3", 10)
        with serving(disk) as server, ThreadPoolExecutor(N_BATCH) as pool:
            answers = list(pool.map(lambda _: _try_upload(server, path), range(N_BATCH)))
            songs = [answer for answer in answers if isinstance(answer, Song)]
            refusals = [answer for answer in answers if isinstance(answer, ServiceError)]
            done = server.wait(songs)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    return {
        "disk_mb": DISK_MB,
        "uploads": N_BATCH,
        "taken": len(songs),
        "refused_507": sum("the disk is full" in str(refusal) for refusal in refusals),
        "done": done,
    }


def _try_upload(server: Server, path: Path) -> Song | ServiceError:
    try:
        song = server.upload(path=path)
        assert song is not None
        return song
    except ServiceError as error:
        return error


def measure_memory(folder: Path) -> dict[str, Any]:
    """Many short songs, sent 25 at once: what the service holds after each batch."""
    path = make_song(folder / "short.mp3", SHORT_S)
    held_mb = []
    with serving(folder) as server, ThreadPoolExecutor(N_BATCH) as pool:
        for _ in range(N_SHORT // N_BATCH):
            sent = pool.map(lambda number: server.upload(number, path), range(N_BATCH))
            server.wait([song for song in sent if song])
            held_mb.append(server.memory_mb)
    marks = (1, len(held_mb) // 2, len(held_mb))
    return {
        "short_songs": N_SHORT,
        **{f"memory_after_{N_BATCH * n}_mb": round(held_mb[n - 1], 1) for n in marks},
    }


BENCHMARKS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "uploads": measure_uploads,
    "slow_senders": measure_slow_senders,
    "listeners": measure_listeners,
    "guesses": measure_guesses,
    "kill": measure_kill,
    "memory": measure_memory,
    "full_disk": measure_full_disk,
}


def main() -> None:
    """Measure what is named on the command line, or all, and keep the figures."""
    rows = load("service_load")["rows"] if RESULTS.exists() else []
    for name in sys.argv[1:] or BENCHMARKS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            figures = BENCHMARKS[name](Path(folder))
        print(name, figures, file=sys.stderr, flush=True)
        rows = [row for row in rows if row["load"] != name]
        rows += [{"load": name, "figure": figure, "value": value} for figure, value in figures.items()]
        save(
            "service_load", rows, {"machine": describe_machine(), "models": describe_models()}, RESULTS.parent
        )


if __name__ == "__main__":
    main()
