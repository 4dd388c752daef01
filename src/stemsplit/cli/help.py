"""The help of the command: a screen with what everybody needs, and all options in panels."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from stemsplit.cli.options.panels import MAIN_COMMANDS, MAIN_OPTIONS, Panel

MAX_COLUMNS: Final = 120
_EXAMPLE_COLUMNS: Final = 38
EXAMPLES: Final = (
    ("stemsplit song.mp3", "all stems, into separated/song/"),
    ("stemsplit song.mp3 --karaoke vocals", "the vocals, and the song without them"),
    ("stemsplit Music -r -s drums -f flac", "the drums of every song below a folder"),
)
_NOTES: Final = (
    "A song that has the name of a command is given with its folder: ./models.",
    "Exit codes: 0 all done, 1 a song failed, 2 a mistake in the call, 129, 130 or 143 stopped by a signal.",
)


def write_main_options(group: Any, ctx: Any, formatter: Any) -> None:
    """Write what fits a screen: examples, the options that everybody needs, the commands."""
    with formatter.section("Examples"):
        formatter.write_dl(EXAMPLES, col_max=_EXAMPLE_COLUMNS)
    params = {param.name: param for param in iter_options(group, ctx)}
    with formatter.section("Options (--help-all shows all)"):
        formatter.write_dl([_shorten(params[name]) for name in MAIN_OPTIONS])
    described = dict(_describe_commands(group))
    others = ", ".join(name for name in described if name not in MAIN_COMMANDS)
    with formatter.section("Commands"):
        formatter.write_dl([(name, described[name]) for name in MAIN_COMMANDS])
        formatter.write_text(f"and {others}.")


def _shorten(param: Any) -> tuple[str, str]:
    """Return an option's main names, and its help up to the first semicolon."""
    names = [name for name in param.opts if not name.startswith("--")] + [param.opts[0]]
    value = "" if param.is_flag else f" {param.metavar}"
    return ", ".join(names) + value, param.help.partition(";")[0].rstrip(".") + "."


def write_all_options(group: Any, ctx: Any, formatter: Any) -> None:
    """Write the arguments, all options in their panels, and the commands."""
    arguments = [
        param for param in group.commands[group.default].params if param.param_type_name == "argument"
    ]
    with formatter.section("Arguments"):
        formatter.write_dl([(f"{param.metavar}...", param.help) for param in arguments])
    params = list(iter_options(group, ctx))
    for panel in Panel:
        with formatter.section(panel):
            formatter.write_dl(_list_records(ctx, (each for each in params if get_panel(each) is panel)))
    with formatter.section("Commands"):
        formatter.write_dl(_describe_commands(group))
    for note in _NOTES:
        formatter.write_paragraph()
        formatter.write_text(note)


def iter_options(group: Any, ctx: Any) -> Iterator[Any]:
    """Yield the options of the default command, then those of the group."""
    for param in [*group.commands[group.default].params, *group.get_params(ctx)]:
        if param.param_type_name == "option":
            yield param


def get_panel(param: Any) -> Panel:
    """Return the panel of an option; what comes with the parser is in the last one."""
    return Panel(param.rich_help_panel or Panel.OTHER)


def _list_records(ctx: Any, params: Iterable[Any]) -> list[tuple[str, str]]:
    return [record for param in params if (record := param.get_help_record(ctx))]


def _describe_commands(group: Any) -> list[tuple[str, str]]:
    return list(group.summaries.items())
