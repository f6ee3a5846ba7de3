"""Schedules, hooks, samplers, clipping and other small parts beside PyTorch."""

from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
SCHEDULES = [
    "StepLR(o, 3)", "MultiStepLR(o, [2, 5], 0.3)", "ExponentialLR(o, 0.9)", "CosineAnnealingLR(o, 8, 0.01)", "LinearLR(o, 0.2, 0.9, 4)", "ConstantLR(o, 0.4, 4)",
    "PolynomialLR(o, 6, 2.0)", "LambdaLR(o, lambda e: 1 / (e + 1))", "MultiplicativeLR(o, lambda e: 0.95)", "CosineAnnealingWarmRestarts(o, 3, 2, 0.001)",
    "CyclicLR(o, 0.01, 0.3, 3, 4)", "CyclicLR(o, 0.01, 0.3, 3, mode='triangular2')", "CyclicLR(o, 0.01, 0.3, 3, mode='exp_range', gamma=0.9)",
    "OneCycleLR(o, 0.4, total_steps=20)", "OneCycleLR(o, 0.4, epochs=5, steps_per_epoch=5, anneal_strategy='linear', three_phase=True)",
    "SequentialLR(o, [ConstantLR(o, 0.1, 3), ExponentialLR(o, 0.8)], [4])", "SequentialLR(o, [LinearLR(o), StepLR(o, 2), CosineAnnealingLR(o, 5)], [3, 8])",
]  # fmt: skip


@pytest.mark.parametrize("text", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["SGD([w], lr=0.2, momentum=0.9)", "Adam([w], lr=0.2)"])
def test_schedule(text: str, optimizer: str) -> None:
    histories = []
    for lib in (engine, torch):
        w = lib.zeros(2, requires_grad=True)
        o = eval(f"lib.optim.{optimizer}", {"lib": lib, "w": w})
        scheduler = eval(text, {**vars(lib.optim.lr_scheduler), "o": o})
        history = []
        for _ in range(15):
            group = o.param_groups[0]
            history.append((group["lr"], group.get("momentum", 0), group.get("betas", (0, 0))[0]))
            o.step()
            scheduler.step()
        histories.append([*history, *[(r, 0, 0) for r in scheduler.get_last_lr()]])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"mode": "max"}, {"threshold_mode": "abs", "threshold": 0.1}, {"cooldown": 2, "patience": 1, "min_lr": 0.01}]
)
def test_reduce_on_plateau(options: dict[str, Any]) -> None:
    values = [1.0, 0.9, 0.95, 0.91, 0.9, 0.93, 0.92, 0.8, 0.85, 0.84, 0.83, 0.82, 0.9, 0.95, 0.99, 0.98]
    histories = []
    for lib in (engine, torch):
        o = lib.optim.SGD([lib.zeros(1, requires_grad=True)], lr=0.5)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(o, **{"patience": 2, "factor": 0.5, **options})
        history = []
        for v in values:
            scheduler.step(v)
            history.append(o.param_groups[0]["lr"])
        histories.append(history)
    assert histories[0] == histories[1]


def test_module_hooks() -> None:
    seen = []
    for lib in (engine, torch):
        calls: list[Any] = []
        net = lib.nn.Linear(2, 2).double()
        with lib.no_grad():
            net.weight.copy_(lib.tensor([[1.0, 2.0], [3.0, 4.0]]))
            net.bias.zero_()
        net.register_forward_pre_hook(lambda m, args, c=calls: c.append("pre") or (args[0] * 2,))
        net.register_forward_pre_hook(lambda m, args, c=calls: c.append("first"), prepend=True)
        net.register_forward_hook(lambda m, args, kwargs, y, c=calls: c.append(sorted(kwargs)), with_kwargs=True)
        net.register_forward_hook(lambda m, args, y: y + 1)
        net.register_full_backward_hook(lambda m, gi, go, c=calls: c.append([gi[0].tolist(), go[0].tolist()]) or (gi[0] * 10,))
        x = lib.tensor([[1.0, -1.0]], dtype=lib.float64, requires_grad=True)
        y = net(x)
        (y * lib.tensor([1.0, 2.0])).sum().backward()
        seen.append([calls, y.tolist(), x.grad.tolist(), net.weight.grad.tolist()])
    assert seen[0] == seen[1]


def test_parameters_as_a_vector_and_total_norm() -> None:
    results = []
    for lib in (engine, torch):
        net = lib.nn.Linear(2, 3)
        lib.nn.utils.vector_to_parameters(lib.arange(9.0), net.parameters())
        vector = lib.nn.utils.parameters_to_vector(net.parameters())
        norm = lib.nn.utils.get_total_norm(list(net.parameters()))
        results.append([net.weight.tolist(), net.bias.tolist(), vector.tolist(), round(norm.item(), 5)])
    assert results[0] == results[1]


def test_padding_sequences() -> None:
    results = []
    for lib in (engine, torch):
        sequences = [lib.arange(float(n * 2)).reshape(n, 2) for n in (3, 1, 2)]
        rnn = lib.nn.utils.rnn
        padded = rnn.pad_sequence(sequences, batch_first=True, padding_value=-1)
        left = rnn.pad_sequence(sequences, padding_side="left")
        back = rnn.unpad_sequence(padded, lib.tensor([3, 1, 2]), batch_first=True)
        results.append([padded.tolist(), left.tolist(), [b.tolist() for b in back]])
    assert results[0] == results[1]


def test_sparse_matrices() -> None:
    places, values = np.array([[0, 1, 1, 2, 1], [2, 0, 0, 1, 0]]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    dense = np.random.default_rng(0).normal(size=(3, 4))
    results = []
    for lib in (engine, torch):
        v, b = lib.tensor(values, requires_grad=True), lib.tensor(dense, requires_grad=True)
        a = lib.sparse_coo_tensor(lib.tensor(places), v, (3, 3))
        y = lib.spmm(a, b)
        y.square().sum().backward()
        c = a.coalesce()
        results.append(
            [
                y.tolist(),
                v.grad.tolist(),
                b.grad.tolist(),
                c.indices().tolist(),
                c.values().tolist(),
                a.to_dense().tolist(),
                lib.eye(2).to_sparse().indices().tolist(),
            ]
        )
    for x, z in zip(*results, strict=True):
        np.testing.assert_allclose(x, z, rtol=1e-12)


def test_limits_of_dtypes() -> None:
    for name in ("float16", "bfloat16", "float32", "float64"):
        a, b = engine.finfo(getattr(engine, name)), torch.finfo(getattr(torch, name))
        assert [getattr(a, n) for n in ("eps", "tiny", "max", "min", "bits", "dtype")] == [
            getattr(b, n) for n in ("eps", "tiny", "max", "min", "bits", "dtype")
        ]
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        a, b = engine.iinfo(getattr(engine, name)), torch.iinfo(getattr(torch, name))
        assert (a.max, a.min, a.bits, a.dtype) == (b.max, b.min, b.bits, b.dtype)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"sci_mode": False},
        {"sci_mode": True, "precision": 3},
        {"threshold": 5, "edgeitems": 1},
        {"linewidth": 40},
        {"profile": "short"},
    ],
)
def test_print_options(options: dict[str, Any]) -> None:
    numbers = [np.linspace(-3, 3, 12).reshape(3, 4), np.array([1e-6, 2.5, 1e5]), np.arange(20.0), np.arange(24).reshape(2, 3, 4)]
    texts = []
    for lib in (engine, torch):
        lib.set_printoptions(**options)
        texts.append([repr(lib.tensor(n)) for n in numbers])
        lib.set_printoptions(profile="default")
    assert texts[0] == texts[1]


def test_shapes_changed_in_place() -> None:
    results = []
    for lib in (engine, torch):
        w = lib.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
        x = w * 2
        x.squeeze_(0).unsqueeze_(1).t_()
        (x * lib.tensor([[1.0, 10.0, 100.0]])).sum().backward()
        results.append([list(x.shape), w.grad.tolist(), x.new(2).shape[0], x.new([1, 2]).tolist(), x.ndimension(), x.get_device()])
    assert results[0] == results[1]
