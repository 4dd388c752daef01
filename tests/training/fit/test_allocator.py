"""What a training frees it gets back without new pages."""

import platform
import subprocess
import sys

import pytest

_COUNT = """
import resource, sys
import numpy as np
from stemsplit.training.fit.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
np.ones(10_000_000, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(10_000_000, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other options")
def test_freed_memory_is_kept() -> None:
    n_faults = {}
    for kind in ("kept", "returned"):
        command = [sys.executable, "-c", _COUNT, kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        n_faults[kind] = int(done.stdout)
    assert n_faults["kept"] < 0.1 * n_faults["returned"]
