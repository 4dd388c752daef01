"""External models, open: the description and the graphs, checked against each other.

`SpectralModel` gives masks, whatever its network gives, so that all that follows knows masks only;
`WaveformModel` gives waveforms. Both are called with a batch, and each of their graphs runs once a call.
"""

from pathlib import Path

from stemsplit.errors import ModelError
from stemsplit.models.description import Description
from stemsplit.models.description_file import read_description
from stemsplit.models.device import Device
from stemsplit.models.external_graph import ExternalGraph
from stemsplit.models.integrity import check_files, hash_model
from stemsplit.models.mask_model import ModelInfo
from stemsplit.models.session import Session
from stemsplit.models.spectral_model import SpectralModel
from stemsplit.models.waveform_model import WaveformModel


def open_external(path: Path, *, device: Device, threads: int | None = None) -> SpectralModel | WaveformModel:
    """Open the model that the description at `path` describes.

    Raises
    ------
    ModelError
        If the description or a file of the model is missing or wrong, or the two contradict each other.
    DeviceError
        If the model cannot run on `device`.
    """
    description = read_description(path)
    try:
        hashes = check_files(description, path.parent)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    graphs, description = _open_graphs(path.parent, description, device, threads)
    info = ModelInfo(path, hash_model(path, hashes), description)
    model = SpectralModel if description.is_spectral else WaveformModel
    return model(info, description, graphs)


def _open_graphs(
    folder: Path, description: Description, device: Device, threads: int | None
) -> tuple[list[ExternalGraph], Description]:
    """Open all graphs; return them and the description with what their shapes state."""
    graphs: list[ExternalGraph] = []
    stated = description
    for entry in description.graphs:
        session = Session(folder / entry.file, device=device, threads=threads)
        try:
            graph = ExternalGraph(session, entry, description)
        except ModelError as error:
            raise ModelError(f"{error}{_tell_completed(stated, description)}") from error
        description = graph.complete(description)
        graphs.append(graph)
    return graphs, description


def _tell_completed(stated: Description, completed: Description) -> str:
    """Return which sizes were read from a graph before, in words; empty if the description states all."""
    read = [
        f"{name} {getattr(completed, name)}"
        for name in ("n_bins", "n_frames", "n_samples")
        if getattr(completed, name) != getattr(stated, name)
    ]
    return f"; {', '.join(read)} is from {stated.graphs[0].file}" if read else ""
