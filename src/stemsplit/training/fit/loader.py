"""Data loader: the inputs of the training steps, prepared ahead of time by worker processes."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stemsplit.errors import StemsplitError
from stemsplit.training.examples.source import ExampleSource
from stemsplit.training.fit.settings import FitSettings
from stemsplit.training.networks.spectra import draw_eq_gains

# stems, known, eq_gains: the arguments of `SeparationNetwork.loss`
Inputs = tuple[Tensor, Tensor, Tensor]
# A worker that cannot share its examples, because shared memory is full, drops them without an error.
_PATIENCE_S = 60


class ExampleLoader:
    """Loads the inputs of training steps; those of a step depend only on the seeds and its number.

    Parameters
    ----------
    source : ExampleSource
        Source of the examples.
    settings : FitSettings
        Batch size, seed, device and number of workers.
    n_bins : int
        Number of bins of the network's STFT.
    """

    def __init__(self, source: ExampleSource, settings: FitSettings, n_bins: int) -> None:
        self._steps, self._settings = _Steps(source, settings, n_bins), settings
        self._coming: Iterator[Inputs] | None = None
        self._next = 0

    def load(self, step_number: int) -> Inputs:
        """Return the inputs of a step, on the device; the workers continue with the steps after it.

        Raises
        ------
        StemsplitError
            The examples cannot be loaded: a song is damaged, or a worker died.
        """
        if self._coming is None or step_number != self._next:
            self._coming = self._iterate_from(step_number)
        self._next = step_number + 1
        try:
            inputs = next(self._coming)
        except StemsplitError as error:  # the message of a worker contains its traceback
            raise StemsplitError(str(error).strip().rpartition("StemsplitError: ")[2]) from error
        except (RuntimeError, ValueError, OSError) as error:
            self.close()
            raise StemsplitError(f"the examples of step {step_number} cannot be loaded: {error}") from error
        stems, known, eq_gains = (x.to(self._settings.device, non_blocking=True) for x in inputs)
        return stems, known, eq_gains

    def close(self) -> None:
        """Stop the worker processes; the next `load` starts new ones."""
        self._coming = None

    def _iterate_from(self, step_number: int) -> Iterator[Inputs]:
        n_workers = self._settings.n_workers
        loader = DataLoader(
            self._steps,
            batch_size=None,
            sampler=range(step_number, 2**40),
            num_workers=n_workers,
            timeout=_PATIENCE_S if n_workers else 0,
            pin_memory=self._settings.device == "cuda",
            worker_init_fn=_ignore_interrupts,
            multiprocessing_context=_context() if n_workers else None,
        )
        with _keeping_child_handler():
            return iter(loader)


class _Steps(Dataset[Inputs]):
    def __init__(self, source: ExampleSource, settings: FitSettings, n_bins: int) -> None:
        self._source, self._settings, self._n_bins = source, settings, n_bins

    def __getitem__(self, step_number: int) -> Inputs:
        size = self._settings.batch_size
        examples = [self._source.example(step_number * size + index) for index in range(size)]
        rng = np.random.default_rng((self._settings.seed, 1, step_number))
        stems = torch.from_numpy(np.stack([example.stems for example in examples]))
        known = torch.from_numpy(np.stack([example.known for example in examples]).astype(np.float32))
        return stems, known, draw_eq_gains(rng, size, stems.shape[1], self._n_bins)


@contextmanager
def _keeping_child_handler() -> Iterator[None]:
    """Restore the handler of SIGCHLD, which torch's data loader replaces.

    Its handler raises as soon as a worker dies, even in the middle of an update of the weights. Without it,
    the next `load` reports the dead worker.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


def _ignore_interrupts(_: int) -> None:
    """Ignore Ctrl-C: the training process stops its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _context() -> str | None:
    # a fork shares the list of songs; a new process would need a copy of it
    return "fork" if "fork" in multiprocessing.get_all_start_methods() else None
