"""L-BFGS: a quasi-Newton method that knows curvature from its last steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from engine.creation import zeros_like
from engine.modes import enable_grad, no_grad
from engine.ops.join import cat
from engine.optim.optimizer import Optimizer, Params, check_range
from engine.optim.wolfe import Point, strong_wolfe
from engine.tensor import Tensor

_CURVATURE = 1e-10  # pairs of less positive curvature are not remembered


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal, 1980): ``step(closure)`` runs up to ``max_iter`` iterations, calling ``closure`` for each.

    All parameters are one group. Steps have the length ``lr``, or one that ``line_search_fn="strong_wolfe"`` finds.
    """

    def __init__(
        self, params: Params, lr: float = 1, max_iter: int = 20, max_eval: int | None = None, tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9,
        history_size: int = 100, line_search_fn: Literal["strong_wolfe"] | None = None,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise RuntimeError(f"only 'strong_wolfe' is supported as line_search_fn, got {line_search_fn!r}")
        most = max_iter * 5 // 4 if max_eval is None else max_eval
        tolerances = {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": most,
            **tolerances,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    def _gradient(self) -> Tensor:
        return cat([(zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self._params])

    def _move(self, direction: Tensor, length: float) -> None:
        at = 0
        for p in self._params:
            p.add_(direction[at : at + p.numel()].reshape(p.shape), alpha=length)
            at += p.numel()

    def _direction(self, g: Tensor, state: dict[str, Any]) -> Tensor:
        """``-H g`` by the two loops over the remembered pairs of gradient change and step."""
        ys, ss, ro = state["old_dirs"], state["old_stps"], state["ro"]
        q, weights = -g, []
        for y, s, r in zip(reversed(ys), reversed(ss), reversed(ro), strict=True):
            weights.append(float(s.dot(q)) * r)
            q = q - y * weights[-1]
        d = q * state["H_diag"]
        for y, s, r, a in zip(ys, ss, ro, reversed(weights), strict=True):
            d = d + s * (a - float(y.dot(d)) * r)
        return d

    def _remember(self, g: Tensor, state: dict[str, Any], size: int) -> None:
        """Takes in the last step, and the change of gradient that it made."""
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = float(y.dot(s))
        if curvature > _CURVATURE:
            for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1 / curvature)):
                state[name] = [*state[name], value][-size:]
            state["H_diag"] = curvature / float(y.dot(y))

    def _search(self, evaluate: Callable[[], tuple[Any, float, Tensor]], state: dict[str, Any], start: Point) -> tuple[float, Tensor, int]:
        """Moves to the point that the line search finds; the loss and gradient there, and how many evaluations it took."""
        origin = [p.detach().clone() for p in self._params]

        def at(length: float) -> tuple[float, Tensor]:
            for p, x in zip(self._params, origin, strict=True):
                p.copy_(x)
            self._move(state["d"], length)
            _, loss, g = evaluate()
            return loss, g

        found, evaluations = strong_wolfe(at, state["t"], state["d"], start)
        for p, x in zip(self._params, origin, strict=True):
            p.copy_(x)
        state["t"] = found.t
        self._move(state["d"], found.t)
        return found.loss, found.gradient, evaluations

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimizes the loss that ``closure`` recomputes, with its gradients; the loss before the first iteration."""
        if closure is None:
            raise TypeError("LBFGS.step() needs a closure that recomputes the loss and its gradients")
        group, state = self.param_groups[0], self.state[self._params[0]]
        state.setdefault("n_iter", 0)

        def evaluate() -> tuple[Any, float, Tensor]:
            with enable_grad():
                result = closure()
            return result, float(result), self._gradient()

        first, loss, g = evaluate()
        evaluations = 1
        for iteration in range(1, group["max_iter"] + 1):
            if float(g.abs().max()) <= group["tolerance_grad"]:
                break
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
                state["d"], state["t"] = -g, min(1.0, 1.0 / float(g.abs().sum())) * group["lr"]
            else:
                self._remember(g, state, group["history_size"])
                state["d"], state["t"] = self._direction(g, state), group["lr"]
            state["prev_flat_grad"], before = g, loss
            slope = float(g.dot(state["d"]))
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:
                loss, g, tried = self._search(evaluate, state, Point(0.0, loss, g, slope))
                evaluations += tried
            else:
                self._move(state["d"], state["t"])
                if iteration == group["max_iter"]:
                    break
                _, loss, g = evaluate()
                evaluations += 1
            small = (
                float((state["d"] * state["t"]).abs().max()) <= group["tolerance_change"] or abs(loss - before) < group["tolerance_change"]
            )
            if evaluations >= group["max_eval"] or small:
                break
        return first
