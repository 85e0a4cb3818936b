import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hugginggpt.graph import resources
from hugginggpt.graph.context import Home
from hugginggpt.tools.once import Once


def at_once(call):
    """What eight threads get that call it at the same moment."""
    start = threading.Barrier(8)

    def get(_):
        start.wait()
        return call()

    with ThreadPoolExecutor(8) as threads:
        return [*threads.map(get, range(8))]


def test_threads_that_ask_at_once_get_the_same_object():
    @Once
    def opened(name):
        time.sleep(0.05)
        return [name]

    first, *others = at_once(lambda: opened("a"))
    assert all(other is first for other in others)
    assert opened("b") == ["b"]


def test_what_is_raised_is_not_kept():
    tried = []

    @Once
    def opened():
        tried.append(None)
        if len(tried) == 1:
            raise OSError("not yet")
        return len(tried)

    with pytest.raises(OSError, match="not yet"):
        opened()
    assert opened() == opened() == 2


@pytest.mark.parametrize("open_", [resources.seen, resources.circuits, resources.store])
def test_the_first_runs_of_a_process_share_what_they_work_with(open_):
    home = Home.from_environment()
    first, *others = at_once(lambda: open_(home))
    assert all(other is first for other in others)


def test_the_first_runs_of_a_process_share_the_runtimes_and_so_the_memory_for_models():
    home = Home.from_environment()
    first, *others = at_once(lambda: resources.runtimes(home)["local"])
    assert all(other is first for other in others)
