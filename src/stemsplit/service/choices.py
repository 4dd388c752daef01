"""What an upload can choose beside stems and formats: the preset, and one of the installed models."""

from dataclasses import dataclass
from typing import Any

from stemsplit.did_you_mean import unknown_name
from stemsplit.files.toml import read_tables
from stemsplit.models.licence import UNKNOWN
from stemsplit.models.mask_model import ModelInfo
from stemsplit.models.properties import ModelProperties
from stemsplit.registry.installed import read_properties
from stemsplit.registry.store import Registry
from stemsplit.separation.presets import BUILT_IN


@dataclass(frozen=True)
class Choices:
    """The models that make the stems, those that could instead, and the presets.

    Parameters
    ----------
    served
        Those that the service was started with.
    installed
        The models of the registry, by name.
    """

    served: tuple[ModelProperties, ...]
    installed: dict[str, ModelProperties]

    @classmethod
    def find(cls, served: tuple[ModelInfo, ...], models_dir: str | None) -> "Choices":
        """Read what is installed in `models_dir`, None for the default folder; no network is opened.

        Raises
        ------
        ModelError
            If a model cannot be read.
        """
        registry = Registry(models_dir)
        installed = {name: read_properties(registry.path(name)) for name in registry.names()}
        return cls(tuple(info.spec for info in served), installed)

    @property
    def presets(self) -> list[str]:
        """Names of the presets that come with the package, save for those that choose models."""
        return [name for name, table in read_tables(BUILT_IN).items() if "best_installed" not in table]

    def find_specs(self, models: tuple[str, ...], defaults: tuple[str, ...]) -> tuple[ModelProperties, ...]:
        """Return what the models of a request say about themselves.

        Raises
        ------
        SettingsError
            If one is neither installed nor of the service; a client can name no file.
        """
        if models == defaults:
            return self.served
        unknown = next((model for model in models if model not in self.installed), None)
        if unknown is not None:
            raise unknown_name(f"there is no model {unknown!r}", unknown, self.installed)
        return tuple(self.installed[model] for model in models)

    def describe(self) -> list[dict[str, Any]]:
        """Return the installed models as clients are shown them."""
        return [
            {
                "name": name,
                "stems": list(spec.targets),
                "licence": spec.licence or UNKNOWN,
                "commercial": spec.commercial,
            }
            for name, spec in self.installed.items()
        ]
