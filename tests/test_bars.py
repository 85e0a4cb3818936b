import re

import pytest

from hugginggpt.app import bars


@pytest.mark.parametrize(
    ("share", "told"), [(0.5, "gathering 2,000, .*/s, 50%, 0:00:.* left"), (None, "gathering 2,000, .*/s")]
)
def test_elsewhere_than_on_a_terminal_a_line_is_told_now_and_then(capsys, monkeypatch, share, told):
    with bars.watched() as watch:
        watch.gathered(1000, share and share / 2)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(bars, "_EVERY", 0.0)
        watch.gathered(2000, share)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(told, line)
