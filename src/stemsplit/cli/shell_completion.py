"""Completion in bash, zsh and fish: what may follow the words of a command line, and the shells' scripts.

A script asks the program itself, with the words up to the cursor in `WORDS` and the shell in `SHELL`. The
answer is a line ``value<TAB>description`` for each candidate, and `FILES` where the shell is to add files and
folders.
"""

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from stemsplit.files.atomic import whole_file

SHELL: Final = "_STEMSPLIT_COMPLETE"
WORDS: Final = "_STEMSPLIT_WORDS"
FILES: Final = ":files"
_SEPARATOR: Final = "\x1f"
_OF_FILES: Final = frozenset({"output", "models_dir", "presets", "describe", "index", "file"})

_BASH: Final = """\
_stemsplit() {
    local line files= IFS=$'\\x1f'
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then files=1; else COMPREPLY+=("${line%%$'\\t'*}"); fi
    done < <(_STEMSPLIT_COMPLETE=bash _STEMSPLIT_WORDS="${COMP_WORDS[*]:1:COMP_CWORD}" "$1" 2>/dev/null)
    if [[ $files ]]; then
        compopt -o filenames 2>/dev/null
        IFS=$'\\n'
        COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    fi
}
complete -F _stemsplit stemsplit
"""
_ZSH: Final = """\
#compdef stemsplit
_stemsplit() {
    local line files=0
    local -a candidates
    while IFS= read -r line; do
        if [[ $line == :files ]]; then files=1; continue; fi
        candidates+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done < <(_STEMSPLIT_COMPLETE=zsh _STEMSPLIT_WORDS="${(pj:\\x1f:)words[2,CURRENT]}" $words[1] 2>/dev/null)
    (( $#candidates )) && _describe stemsplit candidates
    (( files )) && _files
}
if [[ $funcstack[1] == _stemsplit ]]; then _stemsplit "$@"; else compdef _stemsplit stemsplit; fi
"""
_FISH: Final = """\
function __stemsplit_complete
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1]
    set -lx _STEMSPLIT_COMPLETE fish
    set -lx _STEMSPLIT_WORDS (string join \\x1f -- $words)
    for line in (stemsplit 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c stemsplit -f -a '(__stemsplit_complete)'
"""
SCRIPTS: Final[Mapping[str, str]] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def answer_shell(group: Any) -> None:
    """Print the candidates if a shell asks for them, and exit."""
    shell = os.environ.get(SHELL)
    if shell not in SCRIPTS:
        return
    words = os.environ.get(WORDS, "").split(_SEPARATOR)
    if shell == "bash":
        words = _join_bash_words(words)
    cut = _find_bash_cut(words[-1]) if shell == "bash" else 0
    for value, text in find_candidates(group, words[:-1], words[-1]):
        print(value if value == FILES else f"{value[cut:]}\t{text}")  # noqa: T201 - the shell reads it
    sys.exit(0)


def _join_bash_words(words: Sequence[str]) -> list[str]:
    """Join what bash has split at ``=`` and ``:``."""
    joined: list[str] = []
    for word in words:
        is_continued = bool(joined) and joined[-1][-1:] in {"=", ":"} and joined[-1] != ""
        if joined and (word in {"=", ":"} or is_continued):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _find_bash_cut(word: str) -> int:
    """Return where the part of a word begins that bash replaces."""
    return max(word.rfind("="), word.rfind(":")) + 1


def find_candidates(group: Any, words: Sequence[str], incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield what may stand at the cursor, each with a description; `FILES` stands for all files.

    Parameters
    ----------
    group
        The command.
    words
        Those before the one at the cursor, without the program.
    incomplete
        The beginning of the word at the cursor.
    """
    command, is_first = _find_command(group, words)
    options = {name: param for param in _list_options(group, command) for name in param.opts}
    if "--" in words:
        yield FILES, ""
    elif words and words[-1] in options and not options[words[-1]].is_flag:
        yield from _complete_value(options[words[-1]], command, incomplete)
    elif incomplete.startswith("--") and "=" in incomplete:
        name, _, value = incomplete.partition("=")
        if name in options:
            found = _complete_value(options[name], command, value)
            yield from ((each if each == FILES else f"{name}={each}", text) for each, text in found)
    elif incomplete.startswith("-"):
        seen = {word for word in words if word in options and not options[word].multiple}
        for name, param in options.items():
            if name.startswith(incomplete) and name.startswith("--") and name not in seen:
                yield name, _first_line(param.help)
    else:
        yield from _complete_word(group, command, incomplete, is_first=is_first)


def _find_command(group: Any, words: Sequence[str]) -> tuple[Any, bool]:
    """Return the command that `words` name, and whether nothing follows it yet."""
    command, n_names = group, 0
    for word in words:
        if word not in getattr(command, "commands", {}):
            break
        command, n_names = command.commands[word], n_names + 1
    is_first = n_names == len(words)
    return (group.commands[group.default] if command is group and not is_first else command), is_first


def _list_options(group: Any, command: Any) -> list[Any]:
    default = group.commands[group.default]
    commands = [default, group] if command in {group, default} else [command]
    params = [param for each in commands for param in each.params]
    return [param for param in params if param.param_type_name == "option" and not param.hidden]


def _complete_value(param: Any, command: Any, incomplete: str) -> Iterator[tuple[str, str]]:
    if param.name in _OF_FILES:
        yield FILES, ""
    ctx = typer.Context(command, info_name="stemsplit", resilient_parsing=True)
    found = [item.value for item in param.shell_complete(ctx, incomplete)]
    yield from ((value, "") for value in found)
    if param.name == "model":
        yield FILES, ""


def _complete_word(group: Any, command: Any, incomplete: str, *, is_first: bool) -> Iterator[tuple[str, str]]:
    commands = getattr(command, "commands", {}) if is_first else {}
    for name, each in commands.items():
        if name.startswith(incomplete) and not each.hidden:
            yield name, _first_line(each.get_short_help_str(200))
    if command is group or command is group.commands[group.default]:
        yield FILES, ""
        return
    for argument in (param for param in command.params if param.param_type_name == "argument"):
        found = list(_complete_value(argument, command, incomplete))
        yield from found or [(FILES, "")]
        break


def _first_line(text: str | None) -> str:
    return " ".join((text or "").split())


def install(shell: str, home: Path) -> Path:
    """Write the script where `shell` finds it, have its start-up file read it, and return its path.

    Raises
    ------
    OSError
        If one of them cannot be written; the start-up file is as it was then.
    """
    if shell == "fish":
        return _write(home / ".config" / "fish" / "completions" / "stemsplit.fish", shell)
    if shell == "bash":
        script = _write(home / ".bash_completions" / "stemsplit.sh", shell)
        _add_line(home / ".bashrc", b"source " + _quote(os.fsencode(script)))
        return script
    script = _write(home / ".zfunc" / "_stemsplit", shell)
    _add_line(home / ".zshrc", b"fpath+=~/.zfunc; autoload -Uz compinit; compinit")
    return script


def _write(path: Path, shell: str) -> Path:
    with whole_file(path) as file:
        file.write(SCRIPTS[shell].encode())
    return path


def _quote(word: bytes) -> bytes:
    # always in quotes, unlike shlex.quote, so that a line that is there already is found
    return b"'" + word.replace(b"'", b"'\\''") + b"'"


def _add_line(path: Path, line: bytes) -> None:
    """Append a line, unless it is there, to a file that is somebody else's: in any encoding, maybe a link."""
    before = path.read_bytes() if path.exists() else b""
    if line in before.splitlines():
        return
    added = (b"" if not before or before.endswith(b"\n") else b"\n") + line + b"\n"
    with path.open("ab", buffering=0) as file:
        if file.write(added) < len(added):
            file.truncate(len(before))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
