"""Options of the computation: device, threads, chunks and cluster."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import typer

from stemsplit.cli.options.panels import Panel
from stemsplit.cli.options.shared import Device, Threads
from stemsplit.errors import SettingsError

_option: Final = partial(typer.Option, rich_help_panel=Panel.SPEED)


@dataclass(frozen=True, kw_only=True)
class SpeedOptions:
    """Options of the computation, as they were given."""

    device: Device = "auto"
    half: Annotated[
        bool,
        _option("--half", help="Compute in half precision on a GPU (cuda, directml); needs the extra half."),
    ] = False
    int8: Annotated[
        bool,
        _option(
            "--int8",
            help="Compute band, the model of the package, in 8-bit integers on the CPU: 1.25 times as fast.",
        ),
    ] = False
    threads: Threads = None
    batch: Annotated[
        int | None,
        _option(
            "--batch",
            metavar="N",
            min=1,
            help="Chunks per call of the network. Default: 1 on the CPU, 4 on a GPU.",
        ),
    ] = None
    chunk: Annotated[
        float | None,
        _option("--chunk", metavar="S", help="Length of a chunk in seconds. Default: the model's."),
    ] = None
    overlap: Annotated[
        float | None,
        _option("--overlap", metavar="S", help="Seconds of cross-fade between chunks. Default: 0.5."),
    ] = None
    provider_option: Annotated[
        list[str] | None,
        _option(
            "--provider-option",
            metavar="KEY=VALUE",
            help="Option of onnxruntime for the device, such as trt_fp16_enable=1; repeatable.",
        ),
    ] = None
    cluster: Annotated[
        str | None,
        _option(
            "--cluster",
            metavar="ADDRESS",
            help="Separate on a Ray cluster: local, auto or ray://HOST:PORT; needs the extra ray.",
        ),
    ] = None
    cpus_per_worker: Annotated[
        int,
        _option("--cpus-per-worker", metavar="N", min=1, help="CPU cores of a worker of the cluster."),
    ] = 1
    gpus_per_worker: Annotated[
        float,
        _option(
            "--gpus-per-worker",
            metavar="N",
            min=0,
            help="GPUs of a worker of the cluster; a fraction shares one.",
        ),
    ] = 0.0
    retries: Annotated[
        int,
        _option(
            "--retries",
            metavar="N",
            min=0,
            help="How often a song is tried again whose worker in the cluster died.",
        ),
    ] = 2

    def parse_provider_options(self) -> dict[str, str]:
        """Return the options of onnxruntime by their keys."""
        pairs = [text.partition("=") for text in self.provider_option or ()]
        for key, sign, value in pairs:
            if not key or not sign:
                raise SettingsError(
                    f"--provider-option {key + sign + value!r} must be written like key=value"
                )
        return {key: value for key, _, value in pairs}
