"""Models with several outputs: each is learned as if it were the only one, and the losses are added up by their weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.metrics import METRICS
from engine.nn.module import Module
from engine.spec import registry
from engine.spec.build import build_loss
from engine.spec.layers import LayerChecker
from engine.spec.problems import pointer, shown
from engine.spec.registry import check_model
from engine.tensor import Tensor

MetricName = Literal[tuple(METRICS)]  # type: ignore[valid-type]  # made from the registry


class Output(BaseModel):
    """What one of the model's outputs is learned from."""

    model_config = ConfigDict(extra="forbid", strict=True)
    loss: Any
    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="How much its loss counts in the sum.")
    target: Literal["input"] | None = Field(None, description="The input itself instead of the dataset's targets.")
    columns: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = Field(
        None, description="Which of the dataset's several targets, counted from 0."
    )
    metrics: list[MetricName] = []  # type: ignore[valid-type]  # as above


def check_outputs(value: Any, at: str, checker: LayerChecker) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) < 2:
        checker.fail(at, "invalid", f"expected an object with two outputs or more by name, got {shown(value)}", "an object", value)
        return None
    found = {}
    for name, section in value.items():
        here = pointer(at, name)
        checked = check_model(Output, section, here, checker.problems, "an output takes")
        if checked is None:
            continue
        loss = checker.named(checked["loss"], pointer(here, "loss"), registry.losses(), "a loss")
        if loss is not None and loss.get("reduction", "mean") == "sum":
            checker.fail(pointer(here, "loss", "reduction"), "invalid", "losses of several outputs are means", "mean", "sum")
        if checked["target"] and checked["columns"]:
            checker.fail(
                pointer(here, "columns"),
                "invalid",
                "columns are of the dataset's targets, and the target is the input",
                None,
                checked["columns"],
            )
        found[name] = {**checked, "loss": loss}
    return found


def heads(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What is learned: by the name of each output the spec as if this output were the only one; of a single output the spec itself, under ''."""
    if spec["outputs"] is None:
        return {"": spec}
    return {
        name: {
            **spec, "model": _ending_in(spec["model"], name), "loss": o["loss"], "metrics": o["metrics"], "outputs": None,
            "data": {**spec["data"], "target": o["target"] or spec["data"]["target"], "columns": o["columns"]},
        }
        for name, o in spec["outputs"].items()
    }  # fmt: skip


def _ending_in(model: list[Any], name: str) -> list[Any]:
    """The layers, with one of the outputs of the graph that they end in."""
    last = model[-1] if model else None
    return [*model[:-1], {**last, "output": name}] if isinstance(last, dict) and last.get("type") == "Graph" else model


def with_heads(spec: dict[str, Any], own: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The spec with the losses of its heads replaced."""
    if spec["outputs"] is None:
        return {**spec, "loss": own[""]["loss"]}
    return {**spec, "outputs": {n: {**o, "loss": own[n]["loss"]} for n, o in spec["outputs"].items()}}


class WeightedSum(Module):
    """The losses of several outputs, given as the outputs in order and then the targets, added up by their weights."""

    def __init__(self, losses: list[Module], weights: list[float]) -> None:
        super().__init__()
        for i, loss in enumerate(losses):
            self.add_module(str(i), loss)
        self.weights = weights

    def forward(self, *given: Tensor) -> Tensor:
        n, total = len(self.weights), None
        for loss, weight, out, y in zip(self._modules.values(), self.weights, given[:n], given[n:], strict=True):
            assert loss is not None
            own = loss(out, y) * weight
            total = own if total is None else total + own
        assert total is not None
        return total


def build_objective(spec: dict[str, Any]) -> Module:
    """The loss of a spec, of one output and its targets, or of several outputs and then their targets."""
    if spec["outputs"] is None:
        return build_loss(spec)
    return WeightedSum([build_loss(h) for h in heads(spec).values()], [o["weight"] for o in spec["outputs"].values()])
