"""The catalogue: every entry pinned, described, and run on stand-ins of the shapes published for it.

Nobody has fetched these files here. A stand-in is a graph with the inputs and outputs of the real one that
scales its input by known factors, one for each row and each channel of the audio, so that a plain reference
says what each stem must be.
"""

import dataclasses
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from benchmarks.peers import difference_db  # noqa: E402
from stemsplit import Separator  # noqa: E402
from stemsplit.errors import SettingsError  # noqa: E402
from stemsplit.files.toml import read_tables  # noqa: E402
from stemsplit.models.description import Description  # noqa: E402
from stemsplit.models.description_file import parse_description  # noqa: E402
from stemsplit.registry import scaffold  # noqa: E402
from stemsplit.registry.download import DownloadLimits  # noqa: E402
from stemsplit.registry.index import CATALOGUE, RemoteModel, find_in_catalogue, list_remote  # noqa: E402
from stemsplit.registry.pull import pull_model  # noqa: E402
from stemsplit.registry.scaffold import draft_description  # noqa: E402
from stemsplit.registry.store import Registry  # noqa: E402
from stemsplit.types import FloatArray  # noqa: E402
from tests.support.http_server import Behaviour, serve  # noqa: E402
from tests.support.marks import slow_but  # noqa: E402

NAMES = list(read_tables(CATALOGUE))
GAINS = (0.6, 0.35, 0.2, 0.5, 0.15, 0.25)  # of the rows of a graph
BALANCE = (1.0, 0.5)  # of the channels

# what was published of each graph: input, output, and the axis of the output that has the rows of targets
SPLEETER = ([2, "splits", 512, 1024], [2, "splits", 512, 1024], None)
UNMIX = ([1, 2, 2049, "frames"], [1, 2, 2049, "frames"], None)
SHAPES: dict[str, tuple[list[Any], list[Any], int | None]] = {
    **dict.fromkeys([name for name in NAMES if name.startswith("spleeter")], SPLEETER),
    "umxhq": UNMIX,
    "umxhq-vocals-fp16": UNMIX,
    **dict.fromkeys(
        ["htdemucs", "htdemucs-fp16weights", "htdemucs_ft", "htdemucs_ft-fp16weights"],
        ([1, 2, 343980], [1, 4, 2, 343980], 1),
    ),
    **dict.fromkeys(["htdemucs_6s", "htdemucs_6s-fp16weights"], ([1, 2, 343980], [1, 6, 2, 343980], 1)),
    **dict.fromkeys(
        ["UVR-MDX-NET-Voc_FT", "UVR-MDX-NET-Inst_HQ_3", "Kim_Vocal_2"],
        (["b", 4, 3072, 256], ["b", 4, 3072, 256], None),
    ),
    **dict.fromkeys(
        ["UVR-MDX-NET-Inst_HQ_4", "UVR-MDX-NET-Inst_HQ_5"], (["b", 4, 2560, 256], ["b", 4, 2560, 256], None)
    ),
    "UVR_MDXNET_KARA_2": (["b", 4, 2048, 256], ["b", 4, 2048, 256], None),
    "Reverb_HQ_By_FoxJoy": (["b", 4, 3072, 512], ["b", 4, 3072, 512], None),
    "mobilenet-accompaniment": ([1, 2, 132300], [1, 2, 132300], None),
    "scnet": ([1, 4, 2049, 338], [1, 4, 4, 2049, 338], 1),
    "scnet-int8": ([1, 4, 2049, 476], [1, 16, 2049, 476], 1),
    "scnet-large-int8": ([1, 4, 2049, 476], [1, 16, 2049, 476], 1),
    "mel-band-roformer-kim": ([1, 4, 1025, 801], [1, 4, 1025, 801], None),
}
ONE_OF_EACH_SHAPE = list({str(shapes): name for name, shapes in SHAPES.items()}.values())


def remote_of(name: str) -> RemoteModel:
    found = find_in_catalogue(name)
    assert found is not None
    return found


def described(name: str) -> Description:
    description = remote_of(name).description
    assert description is not None
    return description


def balance_input(taken: list[Any]) -> FloatArray:
    """`BALANCE` along the axis of the audio's channels, both parts of a complex channel alike."""
    axis = next(n for n, size in enumerate(taken) if size in (2, 4))
    values = np.repeat(np.float32(BALANCE), taken[axis] // 2)
    return values.reshape([-1 if n == axis else 1 for n in range(len(taken))])


def make_stand_in(name: str, gains: tuple[float, ...]) -> bytes:
    """A graph of the published shapes: row n of its output is the input times ``gains[n]``."""
    taken, given, axis = SHAPES[name]
    n_rows = 1 if axis is None else (given[1] if len(given) > len(taken) else given[1] // taken[1])
    weights = [numpy_helper.from_array(np.float32(gain), f"g{n}") for n, gain in enumerate(gains[:n_rows])]
    weights.append(numpy_helper.from_array(balance_input(taken), "balance"))
    nodes = [helper.make_node("Mul", ["in", "balance"], ["balanced"])]
    nodes += [helper.make_node("Mul", ["balanced", f"g{n}"], [f"s{n}"]) for n in range(n_rows)]
    parts = [f"s{n}" for n in range(n_rows)]
    if len(given) > len(taken):
        weights.append(numpy_helper.from_array(np.array([1]), "axis"))
        nodes += [helper.make_node("Unsqueeze", [part, "axis"], [f"{part}u"]) for part in parts]
        parts = [f"{part}u" for part in parts]
    nodes.append(helper.make_node("Concat", parts, ["out"], axis=1 if axis is None else axis))
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, taken)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, given)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def gain_of(description: Description, target: str) -> float:
    """The factor of the row that a target is taken from, by the stand-ins of `install`."""
    files = [file.name for file in remote_of(description.name).files]
    for graph in description.graphs:
        if target in graph.targets:
            number = files.index(graph.file)
            row = graph.rows_of_targets[graph.targets.index(target)]
            return GAINS[(row + number) % len(GAINS)]
    raise AssertionError(target)


def install(name: str, folder: Path) -> Registry:
    """Fetch the stand-ins of an entry from a local server; register them by the catalogue's description."""
    remote = remote_of(name)
    registry = Registry(folder / "models")
    contents = {
        file.name: make_stand_in(name, (*GAINS[number:], *GAINS[:number]))
        for number, file in enumerate(remote.files)
    }
    behaviours = {file: Behaviour(body=content) for file, content in contents.items()}
    files = []
    servers = {file: serve(behaviour) for file, behaviour in behaviours.items()}
    try:
        for file in remote.files:
            url = servers[file.name].__enter__()
            digest = hashlib.sha256(contents[file.name]).hexdigest()
            files.append(dataclasses.replace(file, urls=(url,), sha256=digest))
        local = dataclasses.replace(remote, files=tuple(files))
        pull_model(registry, local, name=None, overwrite=False, limits=DownloadLimits())
    finally:
        for server in servers.values():
            server.__exit__(None, None, None)
    return registry


def make_song(n_channels: int, sample_rate: int) -> FloatArray:
    """Tones that lie within the band of every model, above the bins that some set to zero."""
    seconds = np.arange(int(1.3 * sample_rate)) / sample_rate
    rng = np.random.default_rng(3)
    song = np.zeros((n_channels, len(seconds)))
    for hz in (220.0, 450.0, 1000.0, 3300.0, 7000.0):
        for channel in range(n_channels):
            song[channel] += 0.1 * np.sin(2 * np.pi * hz * seconds + rng.uniform(0, 6))
    # tones that begin and end softly do not reach beyond their place in the spectrum
    fade = np.sin(np.pi * np.arange(len(seconds)) / len(seconds)) ** 2
    return np.asarray(song * fade, dtype=np.float32)


def expected_stems(description: Description, song: FloatArray) -> dict[str, FloatArray]:
    """What the stand-ins make of a song, by the layout of the entry alone.

    One channel goes through both channels of a network, whose mean is taken.
    """
    balance = np.array(BALANCE if len(song) == 2 else [np.mean(BALANCE)], dtype=np.float32)[:, None]
    gains = {target: gain_of(description, target) for target in description.graph_targets}
    if description.masking == "ratio":
        total = sum(gain**2 for gain in gains.values())
        shares = {target: gain**2 / total for target, gain in gains.items()}
    else:
        shares = {target: gain * description.compensate for target, gain in gains.items()}
    mean = np.float32(song.mean()) if description.normalisation == "track" else np.float32(0)
    if description.masking == "ratio":
        balance = np.ones_like(balance)  # it is the same in all magnitudes, and leaves their shares alone
    stems = {target: np.float32(share) * balance * (song - mean) + mean for target, share in shares.items()}
    if description.complement:
        stems[description.complement] = song - np.sum(list(stems.values()), axis=0)
    return stems


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_entry_runs_as_it_is_described(name: str, tmp_path: Path) -> None:
    registry = install(name, tmp_path)
    description = described(name)
    path = registry.path(name)
    with Separator(models=[path], device="cpu", threads=2) as separator:
        for n_channels, sample_rate in ((2, 44100), (1, 44100), (2, 48000)):
            song = make_song(n_channels, sample_rate)
            stems = separator(song, sample_rate)
            for target, expected in expected_stems(description, song).items():
                found = stems[target]
                assert found.shape == song.shape
                inner = slice(sample_rate // 10, -sample_rate // 10)
                level_db = difference_db(found[:, inner], expected[:, inner])
                assert level_db < -100, (target, n_channels, sample_rate, level_db)
            np.testing.assert_allclose(sum(stems.values()), song, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_is_pinned_and_says_what_is_known(name: str) -> None:
    remote = remote_of(name)
    assert remote.size
    for file in remote.files:
        assert file.sha256 is not None and re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.size and all(url.startswith("https://") for url in file.urls)
    description = described(name)
    assert description.licence and description.commercial in (True, False, "unknown")
    assert description.training_data and description.attribution and description.source
    assert set(description.files) == {file.name for file in remote.files}


def test_no_name_or_alias_is_there_twice() -> None:
    names = [each.casefold() for remote in list_remote() for each in (remote.name, *remote.aliases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("demucs", "htdemucs"),
        ("umx", "umxhq"),
        ("UVR-MDX-NET-Inst_HQ_3.onnx", "UVR-MDX-NET-Inst_HQ_3"),
        ("kim_vocal_2", "Kim_Vocal_2"),
    ],
)
def test_names_that_people_know_are_found(alias: str, name: str) -> None:
    assert remote_of(alias).name == name


def test_a_model_that_is_not_installed_names_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_MODELS", str(tmp_path))
    with pytest.raises(SettingsError, match=r"316 MB, commercial use: unknown\).*models pull htdemucs"):
        Separator(models=["demucs"], device="cpu")


@pytest.mark.parametrize("name", slow_but(ONE_OF_EACH_SHAPE, NAMES))
def test_the_kind_of_every_entry_is_recognised(name: str, tmp_path: Path) -> None:
    wanted = described(name)
    paths = [tmp_path / file.name for file in remote_of(name).files]
    for path in paths:
        path.write_bytes(make_stand_in(name, GAINS))
    text = draft_description(paths)
    # what no shape tells: the transform of a graph that has some of its bins, and names of targets
    text = text.replace("n_fft = 0", f"n_fft = {wanted.n_fft}")
    text = re.sub(r'^targets = \[""(, "")*\]', f"targets = {list(wanted.graph_targets)}", text, flags=re.M)
    found = parse_description(tomllib.loads(text))
    for field in ("family", "output_kind", "features", "n_fft", "hop_length", "layout", "masking"):
        if field != "hop_length" or found.family:
            assert getattr(found, field) == getattr(wanted, field), field
    assert len(found.graph_targets) == wanted.n_outputs
    if name.startswith(("htdemucs", "spleeter", "umxhq")):
        assert set(found.graphs) == set(wanted.graphs)


def test_a_file_of_the_catalogue_is_known_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "UVR_MDXNET_KARA_2"
    (file,) = remote_of(name).files
    path = tmp_path / file.name
    path.write_bytes(make_stand_in(name, GAINS))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    local = dataclasses.replace(remote_of(name), files=(dataclasses.replace(file, sha256=digest),))
    monkeypatch.setattr(scaffold, "list_remote", lambda: [local])
    text = draft_description([path])
    assert text.startswith(f"# {name} of the catalogue, known by its hash")
    found = parse_description(tomllib.loads(text))
    assert dataclasses.replace(found, sha256={}) == described(name)
