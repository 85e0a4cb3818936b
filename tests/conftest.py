import os

# Read when langgraph and huggingface_hub are imported, so before anything of theirs is.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["LANGGRAPH_CLI_NO_ANALYTICS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import hypothesis
import pytest

# Shared machines are slow now and then; that is no finding.
hypothesis.settings.register_profile(
    "shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared")


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Every test has a home folder of its own, and none of the settings of the person who runs it."""
    for name in [*os.environ]:
        if name.startswith("HUGGINGGPT_") or name in {"OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN"}:
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HUGGINGGPT_HOME", str(folder))
    return folder
