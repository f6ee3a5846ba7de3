"""The workloads in JAX: the whole step under one ``jit``, buffers donated, as a user of JAX would write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workloads import Layer, Workload


def _batch_norm(p: dict[str, Any], at: str, x: Any) -> Any:
    dims = tuple(range(x.ndim - 1))
    mean, var = x.mean(dims), x.var(dims)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p[f"{at}.weight"] + p[f"{at}.bias"]


def _layer_norm(p: dict[str, Any], at: str, x: Any) -> Any:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p[f"{at}.weight"] + p[f"{at}.bias"]


def _encoder(p: dict[str, Any], at: str, x: Any, heads: int) -> Any:
    n, length, width = x.shape
    q, k, v = jnp.split(x @ p[f"{at}.self_attn.in_proj_weight"].T + p[f"{at}.self_attn.in_proj_bias"], 3, -1)
    q, k, v = (t.reshape(n, length, heads, width // heads).transpose(0, 2, 1, 3) for t in (q, k, v))
    weights = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) * (width // heads) ** -0.5, -1)
    y = (weights @ v).transpose(0, 2, 1, 3).reshape(n, length, width)
    x = _layer_norm(p, f"{at}.norm1", x + y @ p[f"{at}.self_attn.out_proj.weight"].T + p[f"{at}.self_attn.out_proj.bias"])
    y = jax.nn.relu(x @ p[f"{at}.linear1.weight"].T + p[f"{at}.linear1.bias"]) @ p[f"{at}.linear2.weight"].T + p[f"{at}.linear2.bias"]
    return _layer_norm(p, f"{at}.norm2", x + y)


def _each(n: Any, rank: int) -> tuple[int, ...]:
    return n if isinstance(n, tuple) else (n,) * rank


def _conv(p: dict[str, Any], at: str, x: Any, stride: Any, padding: int, bias: bool, groups: int = 1) -> Any:
    rank = x.ndim - 2
    kernel, letters = jnp.moveaxis(p[f"{at}.weight"], (0, 1), (-1, -2)), "DHW"[3 - rank :]
    x = jax.lax.conv_general_dilated(
        x, kernel, _each(stride, rank), [(padding, padding)] * rank, feature_group_count=groups,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
    )  # fmt: skip
    return x + p[f"{at}.bias"] if bias else x


def _max_pool(x: Any, kernel: int, stride: Any, padding: int) -> Any:
    rank = x.ndim - 2
    borders = ((0, 0), *[(padding, padding)] * rank, (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, *[kernel] * rank, 1), (1, *_each(stride, rank), 1), borders)


def apply(p: dict[str, Any], layers: Sequence[Layer], x: Any, prefix: str = "") -> Any:
    """The network on images with channels last, or on rows."""
    for i, (name, *n) in enumerate(layers):
        at = f"{prefix}{i}"
        if name == "linear":
            x = x @ p[f"{at}.weight"].T + p[f"{at}.bias"]
        elif name == "relu":
            x = jax.nn.relu(x)
        elif name == "relu6":
            x = jax.nn.relu6(x)
        elif name in ("conv", "conv3d"):
            x = _conv(p, at, x, *n[3:])
        elif name in ("bn", "bn3d"):
            x = _batch_norm(p, at, x)
        elif name in ("maxpool", "maxpool3d"):
            x = _max_pool(x, *n)
        elif name in ("gap", "gap3d"):
            x = x.mean(tuple(range(1, x.ndim - 1)), keepdims=True)
        elif name == "upsample":
            x = jax.image.resize(x, (x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]), "bilinear")
        elif name == "flatten":
            x = jnp.moveaxis(x, -1, 1).reshape(x.shape[0], -1)
        elif name == "skip":
            x = jnp.concatenate([x, apply(p, n[0], x, f"{at}.inner.")], -1)
        elif name == "bag":
            x = p[f"{at}.weight"][x].mean(1)
        elif name == "residual":
            main, shortcut, last = n
            y = (apply(p, shortcut, x, f"{at}.shortcut.") if shortcut else x) + apply(p, main, x, f"{at}.main.")
            x = jax.nn.relu(y) if last else y
        elif name == "encoder":
            x = _encoder(p, at, x, n[1])
        elif name == "mean":
            x = x.mean(n[0])
    return x


def _update(name: str, o: dict[str, Any]) -> Callable[..., Any]:
    """One parameter's new value and slots."""
    lr = o.get("lr", 1e-3)
    if name in ("Adam", "AdamW"):
        b1, b2 = o.get("betas", (0.9, 0.999))
        decay = 1 - lr * 1e-2 if name == "AdamW" else 1.0

        def adam(p: Any, g: Any, s: Any, t: Any) -> Any:
            m, v = b1 * s[0] + (1 - b1) * g, b2 * s[1] + (1 - b2) * g * g
            return p * decay - lr / (1 - b1**t) * m / (jnp.sqrt(v) / jnp.sqrt(1 - b2**t) + 1e-8), (m, v)

        return adam
    if name == "RMSprop":
        alpha = o["alpha"]

        def rmsprop(p: Any, g: Any, s: Any, t: Any) -> Any:
            v = alpha * s[0] + (1 - alpha) * g * g
            return p - lr * g / (jnp.sqrt(v) + 1e-8), (v, s[1])

        return rmsprop
    momentum = o.get("momentum", 0.0)

    def sgd(p: Any, g: Any, s: Any, t: Any) -> Any:
        v = momentum * s[0] + g
        return p - lr * v, (v, s[1])

    return sgd


def step(w: Workload, name: str, start: dict[str, np.ndarray[Any, Any]]) -> Callable[[], Any]:
    """The step; state lives in its closure. (Running statistics of batch normalization are not kept: less work than the others do.)"""
    x, y = w.data()
    batch = jnp.asarray(np.moveaxis(x, 1, -1) if x.ndim > 3 else x)
    target = jnp.asarray(y)
    params = {k: jnp.asarray(v) for k, v in start.items() if not k.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    update = _update(name, w.optimizers[name])

    def loss(p: dict[str, Any]) -> Any:
        out = apply(p, w.layers, batch)
        if w.regression:
            return jnp.mean((out - target) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), target[..., None], -1))

    def whole(p: dict[str, Any], slots: dict[str, Any], t: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(p)
        made = {k: update(p[k], grads[k], slots[k], t) for k in p}
        return value, {k: a for k, (a, _) in made.items()}, {k: b for k, (_, b) in made.items()}, t + 1

    compiled = jax.jit(whole, donate_argnums=(0, 1))
    state: list[Any] = [params, {k: (jnp.zeros_like(v), jnp.zeros_like(v)) for k, v in params.items()}, jnp.float32(1)]

    def run() -> Any:
        value, *state[:] = compiled(*state)
        return float(value)

    return run
