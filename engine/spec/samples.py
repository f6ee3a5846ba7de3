"""Sections of a spec's ``data`` that say how a dataset becomes samples: texts, series, recordings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True)
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Text(BaseModel):
    """How texts become numbers. The vocabulary is that of the texts that train."""

    model_config = STRICT
    tokenizer: Literal["byte", "character", "word", "bpe"] | None = Field(None, description="By default word; byte for a language model.")
    vocab_size: Annotated[int, Field(ge=4, le=1_000_000)] | None = Field(
        None, description="How many tokens there are at most, with the three special ones; by default 20000. Bytes are always 259."
    )
    max_length: Annotated[int, Field(ge=1, le=1 << 20)] | None = Field(
        None,
        description="Tokens of a sample; longer texts are cut. By default what 19 of 20 texts have, at most 512; 128 for a language model.",
    )
    lowercase: bool | None = Field(None, description="By default for words.")


class Windows(BaseModel):
    """How a table of rows in the order of time becomes samples: windows of rows, and the target in the rows after each."""

    model_config = STRICT
    length: Count = Field(description="How many rows a sample has.")
    horizon: Count = Field(1, description="How many rows after it are predicted.")
    stride: Count = Field(1, description="How many rows lie between the beginnings of two samples.")


class Audio(BaseModel):
    """How recordings become pictures of their frequencies (torchaudio's MelSpectrogram, and its logarithm)."""

    model_config = STRICT
    sample_rate: Annotated[int, Field(ge=100, le=768_000)] | None = Field(None, description="In Hz; by default what most recordings have.")
    seconds: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        None,
        description="Of a sample: shorter recordings are followed by silence, longer ones cut. By default what 19 of 20 have, at most 10.",
    )
    n_fft: Annotated[int, Field(ge=16, le=1 << 16)] | None = Field(None, description="Samples of a column; by default 25 ms.")
    hop_length: Annotated[int, Field(ge=1, le=1 << 16)] | None = Field(None, description="Samples between columns; by default 10 ms.")
    n_mels: Annotated[int, Field(ge=1, le=1024)] = Field(64, description="Rows.")
    f_min: Annotated[float, Field(ge=0)] = Field(0.0, description="The lowest frequency, in Hz.")
    f_max: Annotated[float, Field(gt=0)] | None = Field(None, description="The highest; by default half of the sample rate.")
