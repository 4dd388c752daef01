"""Commands that do one file after the other."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stemsplit.cli.console import Results, describe, warn
from stemsplit.jobs.result import ExitStatus, FileResult, Status, exit_status

if TYPE_CHECKING:
    from stemsplit.jobs.cancellation import Cancellation
    from stemsplit.jobs.inputs import SongInput


def run_in_turn(
    sources: "Sequence[SongInput]",
    work: "Callable[[SongInput], FileResult]",
    cancellation: "Cancellation",
    *,
    as_json: bool,
    quiet: bool,
) -> ExitStatus:
    """Call `work` for one file after the other, and write the results; one that fails stops no other."""
    from stemsplit.jobs.cancellation import Cancelled, catch_signals
    from stemsplit.jobs.failure import wrap_bug
    from stemsplit.jobs.plan import failed_result

    def work_or_fail(source: "SongInput") -> FileResult:
        try:
            return work(source)
        except Exception as error:  # noqa: BLE001 - a bug that one file triggers must not stop the others
            cancellation.check()
            return failed_result(source, wrap_bug(error))

    results, statuses = Results(as_json=as_json), []
    with catch_signals(cancellation):
        for source in sources:
            try:
                result = work_or_fail(source)
            except Cancelled:
                return cancellation.status
            statuses.append(result.status)
            results.write(result)
            if not quiet or result.status is Status.FAILED:
                warn(describe(result))
    if results.problem is not None:
        warn(f"stemsplit: {results.problem}")
        return ExitStatus.FAILED
    return exit_status(statuses)
