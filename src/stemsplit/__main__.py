"""``python -m stemsplit``, and what the command ``stemsplit`` starts."""

import gc
import sys
from contextlib import suppress

_INTERRUPTED = 130  # as `stemsplit.jobs.result` has it, which is not there yet
# new objects until garbage is looked for; at the usual 700, imports lose a tenth of their time to it
_GC_THRESHOLD = 10_000


def main() -> None:
    """Run the program; Ctrl-C ends it in one line also while its modules are being read."""
    gc.set_threshold(_GC_THRESHOLD)
    try:
        from stemsplit.cli.app import main as run
    except KeyboardInterrupt:
        if sys.stderr is not None:
            with suppress(OSError):
                sys.stderr.write("stemsplit: interrupted\n")
        sys.exit(_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
