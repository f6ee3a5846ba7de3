"""The workloads in JAX: the whole step under one ``jit``, buffers donated, as a user of JAX would write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workloads import Layer, Workload


def _batch_norm(p: dict[str, Any], at: str, x: Any) -> Any:
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
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


def _pair(n: Any) -> tuple[int, int]:
    return n if isinstance(n, tuple) else (n, n)


def apply(p: dict[str, Any], layers: Sequence[Layer], x: Any, prefix: str = "") -> Any:
    """The network on images with channels last, or on rows."""
    for i, (name, *n) in enumerate(layers):
        at = f"{prefix}{i}"
        if name == "linear":
            x = x @ p[f"{at}.weight"].T + p[f"{at}.bias"]
        elif name == "relu":
            x = jax.nn.relu(x)
        elif name == "conv":
            kernel = p[f"{at}.weight"].transpose(2, 3, 1, 0)
            x = jax.lax.conv_general_dilated(x, kernel, _pair(n[3]), [(n[4], n[4])] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = x + p[f"{at}.bias"] if n[5] else x
        elif name == "bn":
            x = _batch_norm(p, at, x)
        elif name == "maxpool":
            (a, b), pad = _pair(n[1]), (n[2], n[2])
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, n[0], n[0], 1), (1, a, b, 1), ((0, 0), pad, pad, (0, 0)))
        elif name == "gap":
            x = x.mean((1, 2), keepdims=True)
        elif name == "flatten":
            x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
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
    batch = jnp.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)
    target = jnp.asarray(y)
    params = {k: jnp.asarray(v) for k, v in start.items() if not k.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    update = _update(name, w.optimizers[name])

    def loss(p: dict[str, Any]) -> Any:
        out = apply(p, w.layers, batch)
        if w.regression:
            return jnp.mean((out - target) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), target[:, None], 1))

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
