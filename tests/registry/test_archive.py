"""Archives of models: pulled, extracted without trust, registered; and graphs with their weights beside."""

import hashlib
import io
import itertools
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from stemsplit import Separator
from stemsplit.errors import ModelError
from stemsplit.registry.archive import extract
from stemsplit.registry.store import Registry
from tests.conftest import make_noise
from tests.support.cli import call
from tests.support.external_models import GAINS, write_magnitude
from tests.support.http_server import Behaviour, serve
from tests.support.marks import slow_but

LIMIT = 2**20
Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def make_member(name: str, content: bytes = b"", **attributes: object) -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member, content


def write_tar(path: Path, *members: Member) -> Path:
    mode = {".bz2": "w:bz2", ".gz": "w:gz", ".tgz": "w:gz", ".xz": "w:xz", ".tar": "w"}[path.suffix]
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return path


def pack(folder: Path, path: Path, *, top: str) -> Path:
    """Write an archive of the graphs in `folder`, below the folder `top` in it."""
    graphs = sorted(folder.glob("*.onnx"))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for graph in graphs:
                archive.write(graph, f"{top}{graph.name}")
        return path
    return write_tar(path, *(make_member(f"{top}{graph.name}", graph.read_bytes()) for graph in graphs))


def check_stems(name: str) -> None:
    mixture = make_noise(2, 30_000)
    with Separator(models=[Registry().path(name)], device="cpu", threads=1) as separator:
        stems = separator(mixture, 44100)
    for target, gain in GAINS.items():
        np.testing.assert_allclose(stems[target], gain * mixture, atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "top"),
    slow_but(
        [(".tar.gz", "spleeter-2stems/")],
        itertools.product(
            [".tar.bz2", ".zip", ".tar.gz", ".tgz", ".tar.xz", ".tar"], ["", "spleeter-2stems/"]
        ),
    ),
)
def test_an_archive_becomes_a_model_that_runs(suffix: str, top: str, tmp_path: Path) -> None:
    described = write_magnitude(tmp_path)
    content = pack(tmp_path, tmp_path / f"models{suffix}", top=top).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with serve(Behaviour(content)) as address:
        url = address.replace("model.onnx", f"models{suffix}")
        refused = call("models", "pull", url, "--sha256", digest)
        done = call("models", "pull", url, "--sha256", digest, "--describe", described)
    assert refused.code == 2 and "is an archive; name with --describe" in refused.stderr
    assert done.code == 0, done.stderr
    assert sorted(path.name for path in Registry().folder.iterdir()) == ["external"]
    check_stems("external")


def test_a_list_names_an_archive(tmp_path: Path) -> None:
    write_magnitude(tmp_path)
    content = pack(tmp_path, tmp_path / "models.zip", top="").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "list.toml").write_text(
        '[both]\nfamily = "open-unmix"\ngraphs = { vocals = "vocals.onnx", drums = "drums.onnx" }\n'
        f'archive = "{(tmp_path / "models.zip").as_uri()}"\nsha256 = "{digest}"\n',
        encoding="utf-8",
    )
    done = call("models", "pull", "both", "--index", tmp_path / "list.toml")
    assert done.code == 0, done.stderr
    check_stems("both")


def test_a_file_that_the_archive_lacks_is_named(tmp_path: Path) -> None:
    described = write_magnitude(tmp_path)
    (tmp_path / "drums.onnx").rename(tmp_path / "drum.onnx")
    archive = pack(tmp_path, tmp_path / "models.zip", top="").as_uri()
    refused = call("models", "pull", archive, "--allow-unpinned", "--describe", described)
    assert refused.code == 1
    assert "models.zip: holds no drums.onnx, which the description names" in refused.stderr
    assert "drum.onnx, vocals.onnx" in refused.stderr
    assert list(Registry().folder.rglob("*.onnx")) == []


# what no archive may hold -----------------------------------------------------------------------------------


def refuse(path: Path, match: str, *, max_bytes: float = LIMIT) -> None:
    outside = set(path.parent.rglob("*"))
    with pytest.raises(ModelError, match=match):
        extract(path, path.parent / "out", max_bytes=max_bytes)
    new = set(path.parent.rglob("*")) - outside
    assert all(each.is_relative_to(path.parent / "out") for each in new)


@pytest.mark.parametrize("name", ["../x.onnx", "/tmp/x.onnx", "a/../../x.onnx", "C:\\x.onnx", "..\\x.onnx"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_leave_the_folder_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"x")
    else:
        write_tar(path, make_member(name, b"x"))
    refuse(path, "leads out of the model's folder")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    link = make_member("x.onnx", type=kind, linkname="/etc/passwd")
    refuse(write_tar(tmp_path / "a.tar", link), "'x.onnx', which is a link or a device")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("x.onnx")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refuse(tmp_path / "a.zip", "'x.onnx', which is a link or a device")


@pytest.mark.parametrize("suffix", [".zip", ".tar.bz2", ".tar.gz", ".tar.xz"])
def test_a_small_file_that_unpacks_to_a_large_one_ends_at_the_limit(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "zeros.onnx").write_bytes(bytes(2 * LIMIT))
    path = pack(tmp_path, tmp_path / f"a{suffix}", top="")
    assert path.stat().st_size < LIMIT / 100
    refuse(path, "unpacks to more than is allowed, see --max-size")


def test_all_files_count_together(tmp_path: Path) -> None:
    members = [make_member(f"{n}.onnx", bytes(LIMIT // 3)) for n in range(4)]
    refuse(write_tar(tmp_path / "a.tar.gz", *members), "unpacks to more than is allowed")


def test_what_a_zip_says_of_its_sizes_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.onnx", bytes(2 * LIMIT))
    content = path.read_bytes().replace((2 * LIMIT).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(content)
    refuse(path, "damaged|unpacks to more")


def test_a_header_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    longest = tarfile.TarInfo("././@LongLink")
    longest.type, longest.size = tarfile.GNUTYPE_LONGNAME, 2**30
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(longest)
    refuse(tmp_path / "a.tar", "has a header of 10737")


def test_a_name_may_be_there_once(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", make_member("x.onnx", b"a"), make_member("x.onnx", b"b"))
    refuse(path, r"holds 'x.onnx' twice")


@pytest.mark.parametrize("suffix", [".zip", ".tar.bz2", ".tar.gz", ".tar.xz", ".tar"])
def test_a_damaged_archive_says_so(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(os.urandom(20_000))
    path = pack(tmp_path, tmp_path / f"a{suffix}", top="")
    path.write_bytes(path.read_bytes()[:9000])
    refuse(path, "a.*: the archive is damaged")


def test_a_password_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.onnx", b"secret")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the local header, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refuse(path, "damaged: .*password")


# a graph whose weights are in a file beside it --------------------------------------------------------------


@pytest.fixture
def divided(tmp_path: Path) -> Iterator[Path]:
    """A folder with a model whose weights are in ``vocals.onnx.data``, and its description."""
    described = write_magnitude(tmp_path)
    model = onnx.load(str(tmp_path / "vocals.onnx"))
    onnx.save(
        model,
        str(tmp_path / "vocals.onnx"),
        save_as_external_data=True,
        location="vocals.onnx.data",
        size_threshold=0,
        convert_attribute=False,
    )
    yield described.parent


def list_model(folder: Path, names: list[str]) -> Path:
    urls = ", ".join(f'"{name}" = "{(folder / name).as_uri()}"' for name in names)
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    hashes = ", ".join(f'"{name}" = "{digest}"' for name, digest in digests.items())
    path = folder / "list.toml"
    path.write_text(
        '[divided]\nfamily = "open-unmix"\ngraphs = { vocals = "vocals.onnx", drums = "drums.onnx" }\n'
        f"urls = {{ {urls} }}\nsha256 = {{ {hashes} }}\n",
        encoding="utf-8",
    )
    return path


def test_weights_beside_the_graph_are_fetched_and_pinned(divided: Path) -> None:
    names = ["vocals.onnx", "vocals.onnx.data", "drums.onnx"]
    done = call("models", "pull", "divided", "--index", list_model(divided, names), "--json")
    assert done.code == 0, done.stderr
    assert sorted(done.records[0]["files"]) == sorted(names)
    check_stems("divided")
    (Registry().folder / "divided" / "vocals.onnx.data").write_bytes(bytes(99))
    assert call("models", "verify", "divided").code == 1


def test_weights_that_were_not_fetched_are_named(divided: Path) -> None:
    done = call("models", "pull", "divided", "--index", list_model(divided, ["vocals.onnx", "drums.onnx"]))
    assert done.code == 1
    assert "vocals.onnx: keeps its weights in 'vocals.onnx.data'" in done.stderr


# a file of other people without a description ---------------------------------------------------------------


def test_a_file_without_metadata_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    write_magnitude(tmp_path)
    behaviour = Behaviour((tmp_path / "vocals.onnx").read_bytes())
    with serve(behaviour) as url:
        refused = call("models", "pull", url, "--allow-unpinned")
        assert (behaviour.n_tails, behaviour.paths) == (1, [])
        behaviour.knows_ranges = False
        late = call("models", "pull", url, "--allow-unpinned")
        assert behaviour.paths == ["/model.onnx"]
    for each in (refused, late):
        assert each.code == 1
        assert "`stemsplit models new-description FILE` drafts it, --describe or --model" in each.stderr


def test_a_description_after_the_download_needs_no_second_one(tmp_path: Path) -> None:
    write_magnitude(tmp_path)
    behaviour = Behaviour((tmp_path / "vocals.onnx").read_bytes(), knows_ranges=False)
    described = tmp_path / "x.toml"
    described.write_text(
        'name = "x"\nfamily = "open-unmix"\ngraphs = { vocals = "model.onnx" }\n', encoding="utf-8"
    )
    with serve(behaviour) as url:
        pull: Callable[..., object] = call
        pull("models", "pull", url, "--allow-unpinned")
        done = call("models", "pull", url, "--allow-unpinned", "--describe", described)
        assert done.code == 0, done.stderr
        assert behaviour.paths == ["/model.onnx"]
