"""The table of the catalogue in docs/models.md is the catalogue."""

from stemsplit.models.licence import say
from stemsplit.registry.index import list_remote
from tests.support import ROOT

TEXT = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_table_has_every_entry_as_the_catalogue_has_it() -> None:
    for remote in list_remote():
        assert remote.description is not None and remote.size is not None
        cells = (
            f"`{remote.name}`",
            ", ".join(remote.description.targets),
            f"{remote.size / 1e6:.0f} MB",
            say(remote.commercial),
            remote.speed,
            remote.quality or "none",
        )
        assert f"| {' | '.join(cells)} |" in TEXT
