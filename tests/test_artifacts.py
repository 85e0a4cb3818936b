import errno
import hashlib
import os
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hugginggpt.tools.artifacts import ArtifactError, ArtifactStore, artifact_store, clean_name
from hugginggpt.tools.media import BadFileError, Limits

LIMITS = Limits()
NOWHERE = "sha256:" + "0" * 64


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return ArtifactStore(
        str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}"
    )


@pytest.fixture
def local(tmp_path):
    return ArtifactStore(str(tmp_path / "store"))


def test_content_comes_back_under_its_digest(store):
    artifact = store.add(b"hello", "a.txt", LIMITS)
    assert artifact == {
        "id": f"sha256:{hashlib.sha256(b'hello').hexdigest()}",
        "name": "a.txt",
        "media_type": "text/plain",
        "bytes": 5,
        "meta": {"characters": 5},
    }
    media = store.read(artifact)
    assert (media.data, media.media_type, media.name) == (b"hello", "text/plain", "a.txt")


def test_the_same_content_is_stored_once(local, tmp_path):
    first, second = local.add(b"hello", "a.txt", LIMITS), local.add(b"hello", "b.md", LIMITS)
    assert first["id"] == second["id"]
    assert len([path for path in (tmp_path / "store").rglob("*") if path.is_file()]) == 1


def test_nothing_temporary_is_left_behind(local, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ArtifactError, match=r"cannot keep a\.txt there \(No space left on device\)"):
        local.add(b"hello", "a.txt", LIMITS)
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_half_a_file_from_a_crash_is_stored_again(local):
    artifact = local.add(b"hello", "a.txt", LIMITS)
    Path(local._path(artifact["id"])).write_bytes(b"he")
    local.add(b"hello", "a.txt", LIMITS)
    assert local.get(artifact["id"]) == b"hello"


def test_damaged_content_is_not_given_out(local):
    artifact = local.add(b"hello", "a.txt", LIMITS)
    Path(local._path(artifact["id"])).write_bytes(b"jello")
    with pytest.raises(ArtifactError, match="is damaged in the artifact store; attach the file again"):
        local.get(artifact["id"])


def test_it_is_known_what_is_there(store):
    artifact = store.add(b"hello", "a.txt", LIMITS)
    assert store.exists(artifact["id"])
    assert not store.exists(NOWHERE)
    assert not store.exists("../etc/passwd")


def test_content_that_is_not_there_is_told(store):
    with pytest.raises(ArtifactError, match="is not in the artifact store; attach the file again"):
        store.get(NOWHERE)


def test_an_id_that_is_a_path_is_refused(store):
    with pytest.raises(ArtifactError, match="is not the id of an artifact"):
        store.get("sha256:../../etc/passwd")


def test_a_file_system_that_is_not_installed_is_told():
    fsspec.register_implementation("cloud", "not_installed.Cloud", errtxt="Install cloudfs", clobber=True)
    with pytest.raises(
        ArtifactError, match=r"^cloud://bucket: cannot be used to keep files \(Install cloudfs\)"
    ):
        ArtifactStore("cloud://bucket")


def test_there_is_one_store_per_place(tmp_path):
    assert artifact_store(str(tmp_path)) is artifact_store(str(tmp_path))


def test_a_file_of_this_machine_is_stored_under_its_name(store, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    artifact = store.add_path(tmp_path / "a.csv", LIMITS)
    assert (artifact["name"], artifact["meta"]) == ("a.csv", {"rows": 1, "columns": 2})


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda path: None, "no such file; check the path"),
        (lambda path: path.mkdir(), "is a folder; attach the files in it"),
        (os.mkfifo, "is not a regular file; attach a copy of its content"),
    ],
)
def test_what_is_no_file_is_told_by_its_path(local, tmp_path, make, line):
    path = tmp_path / "x.txt"
    make(path)
    with pytest.raises(BadFileError) as caught:
        local.add_path(path, LIMITS)
    assert str(caught.value) == f"{path}: {line}"


def test_a_path_that_no_file_can_have_is_told(local):
    with pytest.raises(BadFileError, match=r"cannot be read \(File name too long\)"):
        local.add_path(Path("x" * 5000), LIMITS)


def test_a_file_that_may_not_be_read_is_told(local, tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("x")

    def denied(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))  # root may read anything

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(BadFileError, match=r"cannot be read \(Permission denied\); check its permissions"):
        local.add_path(path, LIMITS)


def test_a_file_too_large_is_refused_before_it_is_read(local, tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("x" * 11)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read"))
    with pytest.raises(BadFileError, match="has 11 bytes; at most 10 are taken"):
        local.add_path(path, Limits(max_bytes=10))


def test_of_an_artifact_from_outside_only_id_and_name_are_believed(store):
    real = store.add(b"hello", "a.txt", LIMITS)
    claimed = {**real, "name": "../b.txt", "media_type": "image/png", "bytes": 1, "meta": {"width": 9}}
    assert store.check(claimed, LIMITS) == {**real, "name": "b.txt"}


@pytest.mark.parametrize(
    "value",
    [
        None, 3, "a.txt", [], {}, {"id": 3, "name": "a"}, {"id": "sha256:xyz", "name": "a"},
        {"path": "/etc/passwd"}, {"id": NOWHERE}, {"id": NOWHERE, "name": 3}, {"id": NOWHERE, "name": "a"},
    ],
)  # fmt: skip
def test_what_is_no_artifact_is_refused_in_one_line(store, value):
    with pytest.raises(BadFileError) as caught:
        store.check(value, LIMITS)
    assert "\n" not in str(caught.value)


def test_a_copy_is_written_under_the_name(store, tmp_path):
    artifact = store.add(b"hello", "a.txt", LIMITS)
    path = store.export(artifact, tmp_path / "out" / "deep")
    assert path == tmp_path / "out" / "deep" / "a.txt"
    assert path.read_bytes() == b"hello"


def test_another_file_of_that_name_is_not_overwritten(store, tmp_path):
    paths = [store.export(store.add(data, "a.txt", LIMITS), tmp_path) for data in (b"1", b"2", b"3", b"2")]
    assert [path.name for path in paths] == ["a.txt", "a-2.txt", "a-3.txt", "a-2.txt"]
    assert paths[0].read_bytes() == b"1"


@pytest.mark.parametrize(
    ("name", "media_type", "exported"),
    [
        ("photo.png", "image/jpeg", "photo.jpg"),
        ("photo", "image/png", "photo.png"),
        ("v1.2", "text/plain", "v1.2.txt"),
        ("a.jpeg", "image/jpeg", "a.jpeg"),
        ("a.log", "text/plain", "a.log"),
    ],
)
def test_a_copy_has_the_extension_of_what_it_is(store, tmp_path, name, media_type, exported):
    artifact = store.put(b"hello", name, media_type, {})
    assert store.export(artifact, tmp_path).name == exported


def test_a_folder_that_cannot_be_written_raises_what_the_system_says(store, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        store.export(store.add(b"hello", "a.txt", LIMITS), tmp_path / "file")


@given(
    st.text()
    | st.sampled_from(["..", "/", "a/../b", "C:\\x\\y", "\0", "x" * 500, "😀" * 200 + ".png", "\ud800"])
)
def test_no_name_leaves_its_folder_or_is_too_long_for_it(name):
    cleaned = clean_name(name)
    assert cleaned
    assert Path("folder", cleaned).name == cleaned
    assert len(cleaned) <= 120
    assert len(cleaned.encode()) <= 240
    assert clean_name(cleaned) == cleaned


def test_a_long_name_keeps_its_extension():
    assert clean_name("x" * 500 + ".png").endswith("x.png")
