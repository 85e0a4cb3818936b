"""The command line: what it says, and its exit status, when what it is given cannot be used."""

import sqlite3
import struct
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from hugginggpt.app.cli import main

PROGRAM = str(Path(sys.executable).with_name("hugginggpt"))
INVOICE = Path(__file__).parents[1] / "examples" / "invoice.png"


def refused(capsys, *argv):
    """The one line that a refused call prints."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("hugginggpt: ")
    return err.removeprefix("hugginggpt: ").strip()


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    assert "{ask,plan,tasks,index,doctor}" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hugginggpt 0.")


def test_no_command(capsys):
    assert "say what to do" in refused(capsys)


def test_unknown_command(capsys):
    assert "sing" in refused(capsys, "sing")


def test_settings_are_flags_with_their_description_and_default(capsys):
    assert main(["ask", "--help"]) == 0
    assert "--top-k N" in (text := " ".join(capsys.readouterr().out.split()))
    assert "Candidates on each task's shortlist. (default 5)" in text


def test_bad_setting_in_a_flag(capsys):
    assert "--top-k: 0: Input should be greater than or equal to 1" in refused(
        capsys, "ask", "Read it", "--top-k", "0"
    )


def test_bad_setting_in_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_TOP_K", "many")
    assert "HUGGINGGPT_TOP_K=many" in refused(capsys, "ask", "Read it")


@pytest.mark.parametrize("request_", ["", "  \n\t"])
def test_empty_request(capsys, request_):
    assert "the request is empty" in refused(capsys, "ask", request_)


def test_request_of_a_megabyte_says_the_limit_and_what_to_do(capsys):
    line = refused(capsys, "ask", "x" * 1_000_000)
    assert "100,000 characters" in line
    assert "--file" in line


def test_request_that_is_no_text():
    done = subprocess.run([PROGRAM.encode(), b"ask", b"\xff\xfe"], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"hugginggpt: the request is not UTF-8 text; attach it as a file instead\n"


def test_request_from_stdin_has_the_same_limits():
    done = subprocess.run([PROGRAM, "ask", "-"], input=b"x" * 1_000_000, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"100,000 characters" in done.stderr


def test_missing_file(capsys, tmp_path):
    assert "none.png" in refused(capsys, "ask", "Read it", "--file", str(tmp_path / "none.png"))


def test_empty_file(capsys, tmp_path):
    (tmp_path / "empty.png").touch()
    assert "empty.png" in refused(capsys, "ask", "Read it", "--file", str(tmp_path / "empty.png"))


def test_truncated_file(capsys, tmp_path):
    (tmp_path / "half.png").write_bytes(INVOICE.read_bytes()[:2000])
    assert "half.png" in refused(capsys, "ask", "Read it", "--file", str(tmp_path / "half.png"))


def test_mislabelled_file(capsys, tmp_path):
    (tmp_path / "song.mp3").write_bytes(INVOICE.read_bytes())
    assert "song.mp3" in refused(capsys, "ask", "Read it", "--file", str(tmp_path / "song.mp3"))


def test_folder_as_file(capsys, tmp_path):
    assert str(tmp_path) in refused(capsys, "ask", "Read it", "--file", str(tmp_path))


def test_output_folder_that_is_a_file(capsys, tmp_path):
    (tmp_path / "taken").touch()
    line = refused(capsys, "ask", "Read it", "--out", str(tmp_path / "taken"))
    assert "cannot write files there" in line


def test_output_folder_where_nothing_can_be_written(capsys):
    assert "/proc/out: cannot write files there" in refused(capsys, "ask", "Read it", "--out", "/proc/out")


def test_output_folder_is_checked_without_being_made(capsys, tmp_path):
    refused(capsys, "ask", "Read it", "--out", str(tmp_path / "a/b"), "--file", str(tmp_path / "none.png"))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["../up", "a b", "", "-x", "é", "x" * 65])
def test_thread_name_that_is_no_name(capsys, name):
    assert "use 1 to 64 letters" in refused(capsys, "ask", "Read it", f"--thread={name}")


def test_home_folder_that_cannot_be_made(capsys, monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_HOME", "/proc/home")
    assert "HUGGINGGPT_HOME" in refused(capsys, "ask", "Read it")


def test_threads_file_that_is_no_database(capsys, home):
    (home / "threads.sqlite").write_bytes(b"not a database, not at all" * 100)
    assert "threads.sqlite: file is not a database; move it away" in refused(capsys, "ask", "Read it")


def test_unexpected_error_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("hugginggpt.app.tasks.run", lambda args: {}["broken"])
    assert main(["tasks"]) == 1
    assert capsys.readouterr().err.startswith("hugginggpt: unexpected KeyError: 'broken'")


def test_reader_that_leaves_early_gets_no_traceback():
    shell = f"{PROGRAM} tasks --json | head -c 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, check=True)
    assert done.stderr == b""


def test_threads_file_that_another_program_holds(capsys, home):
    with closing(sqlite3.connect(home / "threads.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "threads.sqlite: database is locked" in refused(capsys, "ask", "Read it")


def test_small_picture_that_declares_a_huge_one(capsys, tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + INVOICE.read_bytes()[33:5000])
    assert "60000" in refused(capsys, "ask", "Read it", "--file", str(tmp_path / "bomb.png")).replace(",", "")


def test_index_folder_where_nothing_can_be_written(capsys, monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_INDEX", "/proc/index")
    assert main(["ask", 'Read aloud: "Hello"']) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("hugginggpt: /proc/index: cannot be written")


def test_no_sentence_encoder_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setenv("HUGGINGGPT_ENCODER", "nobody/nothing")
    assert main(["plan", "Read it"]) == 2
    assert "pip install 'hugginggpt[offline]'" in capsys.readouterr().err
