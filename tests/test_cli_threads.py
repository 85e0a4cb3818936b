"""Threads of the command line: going on, Ctrl-C, resuming, and two processes on one thread."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from hugginggpt.app.cli import main

PROGRAM = str(Path(sys.executable).with_name("hugginggpt"))
INVOICE = str(Path(__file__).parents[1] / "examples" / "invoice.png")
READ = "Read the text in this picture"
BOTH = f'{READ}. Read aloud: "The parcel has arrived."'


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def page(place):
    """A picture of so much text that reading it takes many seconds."""
    picture = Image.new("RGB", (2400, 3200), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(24)
    for row in range(40):
        pen.text(
            (40, 30 + 31 * row),
            f"{row} " + "The quick brown fox jumps over the lazy dog. " * 4,
            "black",
            font,
        )
    picture.save(place / "page.png")
    return "page.png"


def started(*argv):
    """A process of the command line."""
    return subprocess.Popen([PROGRAM, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, pattern):
    """Reads stderr up to the line that matches."""
    for line in process.stderr:
        if re.search(pattern, line):
            return
    pytest.fail(f"the process ended with {process.wait()} before {pattern!r}")


def stopped(process):
    """Sends Ctrl-C; what it then says on stderr."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    return err


def test_a_second_turn_refers_to_the_result_of_the_first(capsys, place):
    assert main(["ask", READ, "--file", INVOICE, "--thread", "bills"]) == 0
    assert not (place / "out").exists()
    assert main(["ask", "Now read that aloud", "--thread", "bills"]) == 0
    assert [file.suffix for file in (place / "out").iterdir()] == [".wav"]


def test_a_second_turn_refers_to_the_file_of_the_first(capsys):
    assert main(["ask", READ, "--file", INVOICE, "--thread", "bills"]) == 0
    capsys.readouterr()
    assert main(["ask", "What is the total of the invoice?", "--thread", "bills"]) == 0
    assert "358.08" in capsys.readouterr().out


def test_ctrl_c_stops_a_working_model_at_once_and_says_how_to_resume(page):
    process = started("ask", READ, "--file", page)
    wait_for(process, r"#0 image-to-text running")
    (line,) = stopped(process).splitlines()
    assert re.fullmatch(
        rf"hugginggpt: stopped; to go on: hugginggpt ask --thread \w+-\w+ --file {page} '{READ}'", line
    )


def test_the_same_request_resumes_what_was_stopped_and_runs_nothing_twice(page, capsys):
    process = started("ask", BOTH, "--file", page, "--thread", "memo")
    wait_for(process, r"text-to-speech done")
    stopped(process)
    assert main(["ask", BOTH, "--file", page, "--thread", "memo"]) == 0
    out, err = capsys.readouterr()
    assert "thread memo: going on where it was stopped" in err
    assert "image-to-text running" in err
    assert "text-to-speech running" not in err
    assert "lazy dog" in out


def test_another_request_abandons_what_was_stopped_and_says_so(page, capsys):
    process = started("ask", READ, "--file", page, "--thread", "memo")
    wait_for(process, r"#0 image-to-text running")
    stopped(process)
    assert main(["ask", 'Read aloud: "Hello there"', "--thread", "memo"]) == 0
    assert "its last request was not finished and is abandoned" in capsys.readouterr().err


def test_a_second_process_on_a_busy_thread_gets_one_line(page, capsys):
    process = started("ask", READ, "--file", page, "--thread", "memo")
    wait_for(process, r"#0 image-to-text running")
    assert main(["ask", READ, "--thread", "memo"]) == 2
    line = "hugginggpt: thread memo is busy in another process; wait for it or name another with --thread\n"
    assert capsys.readouterr() == ("", line)
    stopped(process)


def test_a_killed_process_does_not_keep_its_thread(page):
    process = started("ask", READ, "--file", page, "--thread", "memo")
    wait_for(process, r"#0 image-to-text running")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert main(["ask", 'Read aloud: "Hello there"', "--thread", "memo"]) == 0
