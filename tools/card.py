"""What the index knows of a model."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

_ELSEWHERE = frozenset({"builtin", "chat", "endpoint"})


class ModelCard(BaseModel):
    """The facts of one model, as the Hub states them, and a summary to search by."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(
        description="Repository on the Hub, `owner/name`; `builtin/…` for packaged models, `chat/…` for the "
        "language model."
    )
    task: str = Field(
        description="The model's pipeline_tag: a row of the task table, or another tag of the Hub; such a "
        "model is found by searches and is on no shortlist."
    )
    tag: str = Field("", description="The Hub's pipeline_tag where it is another word than `task`.")
    summary: str = Field(description="What it does and for whom, in a sentence or two.")
    library: str = Field("", description="Library that loads it, e.g. `transformers`.")
    license: str = Field("", description="SPDX-like id as the Hub writes it, e.g. `apache-2.0`.")
    languages: tuple[str, ...] = Field((), description="ISO 639-1 codes; empty where it does not matter.")
    parameters: int | None = Field(None, ge=0, description="Number of weights.")
    downloads: int | None = Field(None, ge=0, description="Downloads in the last 30 days.")
    likes: int | None = Field(None, ge=0, description="Likes on the Hub.")
    revision: str | None = Field(None, description="Commit that the facts were read at.")
    gated: bool = Field(default=False, description="Whether the weights need an accepted licence.")
    inferred: bool = Field(default=False, description="Whether the task is our guess: the Hub states none.")
    updated: date | None = Field(None, description="Day of the last change of the repository.")
    architecture: str = Field(
        "",
        description="Class that the weights are of: the first of `architectures` in config.json, or a "
        "pipeline's `_class_name`.",
    )
    base_model: str = Field("", description="Repository that this one is a copy or a quantised form of.")
    safetensors: bool | None = Field(
        None, description="Whether there are safetensors weights; None: not known."
    )
    providers: tuple[str, ...] | None = Field(
        None, description="Inference Providers that served it when the card was read; None: not known."
    )
    doubt: float = Field(
        0.0, ge=0, le=1, description="How much its text was written for machines and not for people."
    )

    @property
    def author(self) -> str:
        """The account that the repository belongs to."""
        return self.id.partition("/")[0]

    @property
    def on_hub(self) -> bool:
        """Whether the id is a repository on the Hub, as far as an id can tell."""
        return self.id.count("/") == 1 and self.author not in _ELSEWHERE

    @property
    def builtin(self) -> bool:
        """Whether the model comes inside an installed package and not from the Hub."""
        return self.id.startswith("builtin/")
