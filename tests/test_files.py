"""Old content or new content, never half of it."""

import os

import pytest

from specialists.base.files import digest, md5, named, read_json, replacing, write_json
from specialists.data.folders import readable


def test_a_failure_inside_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyError), replacing(path) as draft:
        draft.write_text("ne")
        raise KeyError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_success_replaces_and_makes_folders(tmp_path):
    with replacing(tmp_path / "b/c") as draft:
        draft.write_text("new")
    assert (tmp_path / "b/c").read_text() == "new" and len(list((tmp_path / "b").iterdir())) == 1


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder: could not be written: Is a directory"):
        write_json(tmp_path / "folder", {})


def test_equal_content_is_equal_bytes_and_nan_is_refused(tmp_path):
    write_json(tmp_path / "a", {"x": 1, "a": [2.5]})
    write_json(tmp_path / "b", {"a": [2.5], "x": 1})
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "a", tmp_path / "b")
    assert read_json(tmp_path / "a") == {"a": [2.5], "x": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "c", {"x": float("nan")})
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("text", ['{"a": ', "\udcff", ""])
def test_cut_short_is_one_line(tmp_path, text):
    (tmp_path / "a").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="a: not JSON, perhaps cut short") as caught:
        read_json(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_md5_is_the_one_that_is_known_of_a_text(tmp_path):
    (tmp_path / "a").write_text("The quick brown fox jumps over the lazy dog")
    assert md5(tmp_path / "a") == "9e107d9d372bb6826bd81d3542a419d6"


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="a: not found$"):
        read_json(tmp_path / "a")


@pytest.mark.parametrize("cell", ["", "../../../x", "cells/../../x", "/tmp/x", "cells//x", "cells/", "."])
def test_a_cell_whose_files_would_lie_elsewhere_is_refused(cell):
    with pytest.raises(ValueError, match="expected a name such as cells/NAME"):
        named(cell)


@pytest.mark.parametrize("cell", ["cell", "cells/san-mcl-k1-s0", "a..b", ".hidden"])
def test_a_cell_with_a_name_is_taken(cell):
    named(cell)


def test_a_folder_is_readable_unless_somebody_would_wait_for_what_is_in_it(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").touch()
    (tmp_path / "a/gone").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "a/b/c", tmp_path / "nowhere"):
        readable(path)
    (tmp_path / "a/zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "fifo")
    for path, found in ((tmp_path / "a", "a/zero"), (tmp_path, "fifo"), (tmp_path / "fifo", "fifo")):
        with pytest.raises(ValueError, match=f"{tmp_path}/{found}: a FIFO, a socket or a device"):
            readable(path)
