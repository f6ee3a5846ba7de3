"""What the golden file holds: the same small programs on the engine and on PyTorch, inputs drawn by NumPy from a seed."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "pytorch.npz"
"""Results of PyTorch 2.13, made by ``python -m tests.golden.make``."""

EXPRESSIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "x + y * 2 - x / y": ((3, 4), (4,)),
    "x ** 2 + (x * x + 1) ** y": ((3, 4), (3, 1)),
    "torch.exp(x) * torch.sin(y) + torch.log(x * x + 1)": ((5,), (5,)),
    "torch.sqrt(x.abs()) + torch.tanh(x) * torch.sigmoid(x)": ((6,),),
    "torch.erf(x) + torch.atan(x) + torch.expm1(x) + torch.log1p(x.abs())": ((6,),),
    "torch.maximum(x, y) + torch.minimum(x, y) * 2": ((4, 3), (3,)),
    "torch.where(x > 0, x, y)": ((4, 3), (4, 3)),
    "x.clamp(-0.5, 0.5) + x.clamp(min=y)": ((4, 3), (3,)),
    "x @ y": ((2, 3, 4), (4, 5)),
    "torch.einsum('bij,bjk->bik', x, y)": ((2, 3, 4), (2, 4, 5)),
    "torch.addmm(z, x, y, beta=0.5, alpha=2)": ((3, 4), (4, 5), (5,)),
    "x.sum(1) + x.mean(1) * 3": ((4, 5),),
    "x.prod(0) + x.amax(0) + x.var(0) + x.std(0)": ((4, 5),),
    "x.cumsum(1) + x.cumprod(0)": ((4, 5),),
    "x.logsumexp(1) + x.norm(dim=1) + x.norm(1, 1)": ((4, 5),),
    "x.median(1).values + x.sort(1).values[:, 0] + x.topk(2, 1).values.sum(1)": ((4, 5),),
    "x.transpose(0, 1).reshape(3, 8)[:, ::2]": ((6, 4),),
    "torch.cat([x, y], 1)[:, [0, 2, 5]] + x.roll(1, 0)": ((3, 3), (3, 3)),
    "x[torch.tensor([0, 2, 0])] * torch.stack([y, y, y])": ((3, 4), (4,)),
    "torch.gather(x, 1, torch.tensor([[0, 1], [2, 0], [1, 1]]))": ((3, 4),),
    "x.scatter_add(0, torch.tensor([[0, 1, 0], [2, 2, 1]]), y)": ((3, 3), (2, 3)),
    "torch.tril(x) + torch.triu(x, 1) * 2 + torch.diag(y)": ((4, 4), (4,)),
    "F.pad(x, (1, 2, 1, 0)) + F.pad(x, (1, 2, 1, 0), mode='reflect')": ((1, 2, 4, 5),),
    "torch.linalg.solve(x @ x.mT + 3 * torch.eye(3, dtype=x.dtype), y)": ((3, 3), (3, 2)),
    "torch.linalg.det(x) + torch.linalg.cholesky(x @ x.mT + torch.eye(3, dtype=x.dtype)).sum()": ((3, 3),),
    "F.relu(x) + F.leaky_relu(x, 0.2) + F.elu(x) + F.selu(x)": ((4, 5),),
    "F.gelu(x) + F.gelu(x, approximate='tanh') + F.silu(x) + F.mish(x)": ((4, 5),),
    "F.softplus(x) + F.hardswish(x) + F.hardtanh(x) + F.logsigmoid(x)": ((4, 5),),
    "F.softmax(x, 1) + F.log_softmax(x, 0)": ((4, 5),),
    "F.layer_norm(x, (5,), y, z)": ((4, 5), (5,), (5,)),
    "F.group_norm(x, 2, y, z)": ((3, 4, 5), (4,), (4,)),
    "F.conv2d(x, y, z, stride=2, padding=1, dilation=2, groups=2)": ((2, 4, 9, 8), (6, 2, 3, 2), (6,)),
    "F.conv1d(x, y, padding='same')": ((2, 3, 9), (4, 3, 3)),
    "F.conv_transpose2d(x, y, z, stride=2, padding=1, output_padding=1)": ((2, 4, 5, 4), (4, 3, 3, 3), (3,)),
    "F.max_pool2d(x, 3, (3, 2), 1) + F.avg_pool2d(x, 3, (3, 2), 1)": ((2, 3, 9, 8),),
    "F.adaptive_avg_pool2d(x, (3, 2)) + F.adaptive_max_pool2d(x, (3, 2))": ((2, 3, 7, 8),),
    "F.interpolate(x, scale_factor=2, mode='bilinear') + F.interpolate(x, size=(8, 10))": ((1, 2, 4, 5),),
    "F.unfold(x, 2, padding=1)": ((1, 2, 4, 5),),
    "F.grid_sample(x, torch.tanh(y), align_corners=False)": ((1, 2, 4, 5), (1, 3, 3, 2)),
    "F.mse_loss(x, y) + F.l1_loss(x, y) + F.smooth_l1_loss(x, y) + F.huber_loss(x, y)": ((4, 5), (4, 5)),
    "F.cross_entropy(x, torch.tensor([1, 0, 4, 2]), weight=y.detach().abs(), label_smoothing=0.1)": ((4, 5), (5,)),
    "F.nll_loss(F.log_softmax(x, 1), torch.tensor([1, -100, 4, 2]))": ((4, 5),),
    "F.binary_cross_entropy_with_logits(x, torch.sigmoid(y)) + F.kl_div(F.log_softmax(x, 1), F.softmax(y, 1), reduction='batchmean')": ((4, 5), (4, 5)),
    "F.cosine_similarity(x, y) + F.pairwise_distance(x, y) + F.triplet_margin_loss(x, y, z)": ((4, 5), (4, 5), (4, 5)),
    "F.scaled_dot_product_attention(x, y, z, is_causal=True)": ((2, 4, 3), (2, 4, 3), (2, 4, 5)),
    "F.embedding(torch.tensor([[1, 0], [3, 1]]), x, padding_idx=1)": ((4, 3),),
}  # fmt: skip
MODULES: dict[str, tuple[int, ...]] = {
    "Linear(4, 3)": (5, 4), "Bilinear(3, 3, 2)": (5, 3), "Conv2d(3, 4, 3, padding=1, padding_mode='circular')": (2, 3, 5, 6), "BatchNorm2d(3)": (4, 3, 3, 2),
    "InstanceNorm2d(3, affine=True)": (4, 3, 3, 2), "GroupNorm(2, 4)": (3, 4, 5), "LayerNorm([4, 5])": (3, 4, 5), "RMSNorm(5)": (3, 5), "PReLU(4)": (3, 4, 5),
    "RNN(3, 4, 2, bidirectional=True)": (5, 2, 3), "LSTM(3, 4, 2)": (5, 2, 3), "LSTM(3, 4, proj_size=2)": (5, 2, 3), "GRU(3, 4, batch_first=True)": (2, 5, 3),
    "TransformerEncoderLayer(8, 2, 16, 0.0, 'gelu')": (5, 2, 8), "TransformerEncoderLayer(8, 4, 16, 0.0, norm_first=True, batch_first=True)": (2, 5, 8),
}  # fmt: skip
OPTIMIZERS = (
    "SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)", "SGD(p, lr=0.05, momentum=0.9, dampening=0.3, maximize=True)", "Adam(p, lr=0.02, amsgrad=True)",
    "AdamW(p, lr=0.02, weight_decay=0.1)", "RMSprop(p, lr=0.01, centered=True, momentum=0.5)", "Adagrad(p, lr=0.1, lr_decay=0.01)", "Adadelta(p, lr=1.0)", "Adamax(p, lr=0.02)",
    "NAdam(p, lr=0.02)", "RAdam(p, lr=0.02)", "Rprop(p, lr=0.02)", "ASGD(p, lr=0.02)", "LBFGS(p, lr=0.5, max_iter=4)", "LBFGS(p, max_iter=4, line_search_fn='strong_wolfe')",
)  # fmt: skip


def numbers(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def key(name: str, i: int) -> str:
    """What the file calls the result ``i`` of a case."""
    return f"{zlib.crc32(name.encode()):08x}.{i}"


def _weighted(lib: Any, outputs: Any, rng: np.random.Generator) -> Any:
    """A scalar of all results, by random weights."""
    flat = [outputs] if hasattr(outputs, "dtype") else [y for y in outputs if hasattr(y, "dtype")]
    return sum((y * lib.tensor(rng.normal(size=tuple(y.shape)))).sum() for y in flat)


def expression(lib: Any, text: str) -> list[Any]:
    """The value of an expression, and its gradients."""
    rng = numbers(text)
    leaves = [lib.tensor(rng.normal(size=size), requires_grad=True) for size in EXPRESSIONS[text]]
    y = eval(text, {"torch": lib, "F": lib.nn.functional, **dict(zip("xyz", leaves, strict=False))})
    _weighted(lib, y, rng).backward()
    return [y, *(x.grad for x in leaves if x.grad is not None)]


def module(lib: Any, text: str) -> list[Any]:
    """Outputs of a module with drawn parameters, gradients of input and parameters, state afterwards."""
    rng = numbers(text)
    net = eval(f"nn.{text}", {"nn": lib.nn}).double()
    net.load_state_dict(
        {k: lib.tensor(rng.normal(size=tuple(v.shape)) * 0.5 + 0.5) if v.is_floating_point() else v for k, v in net.state_dict().items()}
    )
    x = lib.tensor(rng.normal(size=MODULES[text]), requires_grad=True)
    y = net(x, x * 2) if text.startswith("Bilinear") else net(x)
    y = y[0] if isinstance(y, tuple) else y
    _weighted(lib, y, rng).backward()
    return [y, x.grad, *(p.grad for p in net.parameters()), *net.state_dict().values()]


def trajectory(lib: Any, text: str) -> list[Any]:
    """Parameters after ten steps."""
    rng = numbers("the same start for all")
    p = [lib.tensor(rng.normal(size=size), requires_grad=True) for size in ((3, 4), (4,))]
    data = lib.tensor(rng.normal(size=(6, 3)))
    optimizer = eval(f"optim.{text}", {"optim": lib.optim, "p": p})

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((lib.tanh(data @ p[0]) * p[1] - 0.5) ** 2).sum() + 0.1 * (p[0] ** 2).sum()
        loss.backward()
        return loss

    for _ in range(10):
        optimizer.step(closure)
    return p


def results(lib: Any) -> dict[str, list[np.ndarray[Any, Any]]]:
    """All cases by name, as arrays."""
    found = {text: expression(lib, text) for text in EXPRESSIONS}
    found |= {text: module(lib, text) for text in MODULES}
    found |= {text: trajectory(lib, text) for text in OPTIMIZERS}
    return {name: [np.array(t.detach().numpy()) for t in tensors] for name, tensors in found.items()}
