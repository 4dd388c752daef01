"""What to say of a name that nothing has."""

from collections.abc import Iterable

from stemsplit.errors import SettingsError


def propose(name: str, known: Iterable[str]) -> str:
    """Return a question that proposes the name nearest to `name`; nothing if none is near.

    >>> propose("drum", ["bass", "drums"]), propose("x", ["bass"])
    ("; did you mean 'drums'?", '')
    """
    import difflib  # only mistakes need it

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_name(problem: str, name: str, known: Iterable[str]) -> SettingsError:
    """An error that says what is wrong with `name`, proposes the nearest name and lists all `known` ones.

    >>> print(unknown_name("no model offers the stem 'drum'", "drum", ["bass", "drums"]))
    no model offers the stem 'drum'; did you mean 'drums'? There are: bass, drums
    >>> print(unknown_name("there is no preset 'x'", "x", []))
    there is no preset 'x'; there are: none
    """
    names = list(known)
    question = propose(name, names)
    hint = f"{question} There" if question else "; there"
    return SettingsError(f"{problem}{hint} are: {', '.join(names) or 'none'}")
