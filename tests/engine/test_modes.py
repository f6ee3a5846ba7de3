"""Grad modes as decorators: of functions, of generators, with and without parentheses."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import engine as torch

OFF: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("name", OFF)
def test_a_generator_is_inside_while_it_runs_only(name: str) -> None:
    @OFF[name]()
    def body() -> Iterator[bool]:
        yield torch.is_grad_enabled()
        with torch.enable_grad():
            yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()

    seen = []
    for inside in body():
        seen += [inside, torch.is_grad_enabled()]
    assert seen == [False, True, True, True, False, True]


def test_a_generator_gets_what_is_sent_and_thrown_and_returns() -> None:
    closed = []

    @torch.no_grad()
    def body() -> Any:
        received = yield torch.is_grad_enabled()
        try:
            yield received
        except KeyError as error:
            yield error.args[0], torch.is_grad_enabled()
        try:
            yield "last"
        finally:
            closed.append(torch.is_grad_enabled())
        return "result"

    run = body()
    assert next(run) is False
    assert run.send("sent") == "sent"
    assert run.throw(KeyError("thrown")) == ("thrown", False)
    assert torch.is_grad_enabled()
    assert next(run) == "last"
    run.close()
    assert closed == [False]
    complete = body()
    assert [next(complete), complete.send(1), next(complete)] == [False, 1, "last"]
    with pytest.raises(StopIteration) as end:
        next(complete)
    assert end.value.value == "result"


def test_an_error_in_a_generator_leaves_the_mode_as_it_was() -> None:
    @torch.no_grad()
    def body() -> Iterator[int]:
        yield 1
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        list(body())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", ["no_grad", "inference_mode", "enable_grad"])
def test_without_parentheses(name: str) -> None:
    @getattr(torch, name)
    def body(a: int, *, b: int) -> tuple[bool, int]:
        """Says so."""
        return torch.is_grad_enabled(), a + b

    with torch.set_grad_enabled(name != "enable_grad"):
        assert body(1, b=2) == (name == "enable_grad", 3)
    assert body.__name__ == "body"
    assert body.__doc__ == "Says so."
    assert torch.is_grad_enabled()


def test_a_method_of_a_class() -> None:
    class Model:
        @torch.no_grad
        def score(self, x: Any) -> bool:
            return bool((x * 2).requires_grad)

        @torch.no_grad()
        def scores(self, x: Any) -> Iterator[bool]:
            yield (x * 2).requires_grad

    x = torch.ones(1, requires_grad=True)
    assert (Model().score(x), list(Model().scores(x))) == (False, [False])


def test_decorating_does_not_switch() -> None:
    @torch.set_grad_enabled(False)
    def body() -> bool:
        return torch.is_grad_enabled()

    assert torch.is_grad_enabled()
    assert not body()
    with torch.no_grad():
        assert not torch.inference_mode(False)(torch.is_grad_enabled)()
    assert torch.inference_mode(False)(torch.is_grad_enabled)()
