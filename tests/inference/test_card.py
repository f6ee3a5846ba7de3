"""Model cards: what is in the metadata stands there, and nothing of it as markup."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from engine.inference import Model, model_card
from tests.inference.finished import finished, uploaded
from tests.inference.test_models import EXAMPLES, UPLOADS


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("digits")
    source = uploaded(folder, "imagefolder", (EXAMPLES / "digits.zip").read_bytes())
    layers = [
        {"type": "Residual", "layers": [{"type": "Conv2d", "out_channels": 1, "kernel_size": 1}]},
        {"type": "Flatten"},
        {"type": "Linear", "out_features": 10},
    ]
    return finished(source, folder, "CrossEntropyLoss", layers, epochs=1, name="digits", metrics=["accuracy"])[1]


def test_a_card_says_what_the_metadata_says(digits: Model) -> None:
    text, known = model_card(digits.metadata, "digits.safetensors"), digits.metadata
    assert text.startswith("# digits\n\nIt predicts one of 10 classes, trained with CrossEntropyLoss, from samples of 1 x 8 x 8.")
    assert known["dataset"]["sha256"] in text and f"| `val_accuracy` | {known['metrics']['val_accuracy']:.4g} |" in text
    assert "Residual()\n  Conv2d(out_channels=1" in text and "1,797" in text and 'load_model("digits.safetensors")' in text


def test_the_code_of_a_card_is_python(digits: Model) -> None:
    blocks = re.findall(r"```python\n(.*?)```", model_card(digits.metadata), re.S)
    assert len(blocks) == 3
    for block in blocks:
        compile(block, "card", "exec")


def test_names_are_no_markup(digits: Model) -> None:
    metadata = copy.deepcopy(digits.metadata)
    metadata["spec"]["name"] = "a|b <script>\n# c"
    metadata["classes"][0] = "[x](http://y)"
    text = model_card(metadata)
    assert "<script>" not in text.replace("\\<script\\>", "") and "\n# c" not in text and "[x](" not in text.replace("\\[x\\](", "")


@pytest.mark.parametrize(
    ("name", "loss", "out"), [("regression", "MSELoss", 1), ("words", "CrossEntropyLoss", 3), ("shares", "BCEWithLogitsLoss", 2)]
)
def test_cards_of_other_tasks(name: str, loss: str, out: int, tmp_path: Path) -> None:
    _, model = finished(uploaded(tmp_path, *UPLOADS[name]), tmp_path, loss, [{"type": "Linear", "out_features": out}], epochs=1)
    text = model_card(model.metadata)
    assert ("| Columns | a, b, c |" in text) == (name in ("regression", "words")) and text.count("## ") == 4
