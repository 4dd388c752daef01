"""``python -m stemsplit``, and what the command ``stemsplit`` starts."""

import sys
from contextlib import suppress

_INTERRUPTED = 130  # as `stemsplit.jobs.result` has it, which is not there yet


def main() -> None:
    """Run the program; Ctrl-C ends it in one line also while its modules are being read."""
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
