"""Ready-made architectures: torchvision's keys, numbers and initialization."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import models
from engine.models.blocks import StochasticDepth
from tests.models.values import FILE, filled, images, size_of

PARAMETERS = {
    "convnext_tiny": 28_589_128, "efficientnet_b0": 5_288_548, "mobilenet_v2": 3_504_872, "mobilenet_v3_large": 5_483_032, "mobilenet_v3_small": 2_542_856,
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "vit_b_16": 86_567_656,
}  # fmt: skip
"""As torchvision publishes them, of 1000 classes."""
SMALL: dict[str, dict[str, Any]] = {
    "convnext_tiny": {"width": 8, "depths": (1, 1, 2, 1)}, "efficientnet_b0": {"width_mult": 0.25}, "mobilenet_v2": {"width_mult": 0.25},
    "mobilenet_v3_large": {"width_mult": 0.25}, "mobilenet_v3_small": {"width_mult": 0.25}, "resnet18": {"width": 8}, "resnet34": {"width": 8},
    "resnet50": {"width": 8}, "unet": {"width": 8, "depth": 2},
    "vit_b_16": {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32},
    "gpt": {"num_embeddings": 11, "context": 8, "hidden_dim": 16, "num_layers": 2, "num_heads": 2}, "textcnn": {"num_embeddings": 11, "hidden_dim": 8, "filters": 4},
    "lstm_classifier": {"num_embeddings": 11, "embedding_dim": 8, "hidden_dim": 6},
}  # fmt: skip
TEXT = ("gpt", "lstm_classifier", "textcnn")


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(FILE) as file:
        return dict(file)


def small(name: str, **options: Any) -> Any:
    return getattr(models, name)(**{**SMALL[name], **options})


def example(name: str, n: int = 2) -> Any:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 11, (n, 8)) if name in TEXT else rng.standard_normal((n, 3, 32, 32)).astype(np.float32)
    return torch.tensor(x)


def test_every_architecture_is_listed_and_small_here() -> None:
    listed = set(models.ARCHITECTURES)
    assert listed == set(SMALL) == {n for n in models.__all__ if inspect.isfunction(getattr(models, n))}
    assert PARAMETERS.keys() <= listed


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_a_state_of_torchvision_loads_and_gives_its_scores(name: str, golden: dict[str, Any]) -> None:
    """Names, order and shapes of all values, and what comes out of the whole network in evaluation."""
    with torch.device("meta"):
        model = getattr(models, name)(**({"image_size": size_of(name)} if name.startswith("vit") else {}))
    state = model.state_dict()
    assert [f"{k} {tuple(v.shape)}" for k, v in state.items()] == golden[f"{name}.keys"].tolist()
    model.load_state_dict({k: torch.tensor(filled(k, tuple(v.shape))) for k, v in state.items()}, strict=True, assign=True)
    with torch.no_grad():
        scores = model.eval()(torch.tensor(images(size_of(name))))[:, ::100].numpy()
    expected = golden[f"{name}.scores"]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=3e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        model = getattr(models, name)()
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


def test_other_networks_have_the_sizes_of_their_papers_programs() -> None:
    with torch.device("meta"):
        counts = {"gpt": models.gpt(50257), "unet": models.unet(), "bilinear": models.unet(1, bilinear=True)}
    assert {k: sum(p.numel() for p in m.parameters()) for k, m in counts.items()} == {
        "gpt": 124_439_808, "unet": 31_037_698, "bilinear": 17_262_977,
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(SMALL))
def test_shapes_of_scores(name: str) -> None:
    options = {} if name == "gpt" else {"num_classes": 7}
    scores = small(name, **options)(example(name))
    assert tuple(scores.shape) == {"gpt": (2, 8, 11), "unet": (2, 7, 32, 32)}.get(name, (2, 7))


def test_initialization_is_torchvisions() -> None:
    """Standard deviations of what is drawn, and what is not drawn."""
    torch.manual_seed(0)
    resnet, mobile, efficient = small("resnet18", width=32), models.mobilenet_v3_small(), small("efficientnet_b0")
    convnext, vit = small("convnext_tiny", width=48), small("vit_b_16", hidden_dim=96, mlp_dim=192)
    drawn = {
        resnet.layer4[1].conv2.weight: (2 / (256 * 9)) ** 0.5,
        mobile.classifier[0].weight: 0.01,
        mobile.features[12][0].weight: (2 / 576) ** 0.5,
        efficient.classifier[1].weight: 1 / (3 * 1000) ** 0.5,
        convnext.features[1][0].block[3].weight: 0.02,
        vit.encoder.pos_embedding: 0.02,
        vit.encoder.layers[0].mlp[0].weight: (2 / (96 + 192)) ** 0.5,
        vit.conv_proj.weight: (3 * 8 * 8) ** -0.5,
    }
    for p, std in drawn.items():
        assert abs(float(p.std()) / std - 1) < 0.05
    assert float(efficient.classifier[1].weight.abs().max()) <= 1000**-0.5
    assert float(convnext.features[1][0].layer_scale[0, 0, 0]) == pytest.approx(1e-6)
    zeros = [
        vit.heads.head.weight,
        vit.class_token,
        convnext.features[0][0].bias,
        mobile.features[1].block[1].fc1.bias,
        mobile.classifier[3].bias,
    ]
    assert not any(p.any() for p in zeros)
    assert float(vit.encoder.layers[0].mlp[0].bias.std()) == pytest.approx(1e-6, rel=0.2)
    gpt = small("gpt", hidden_dim=64)
    assert float(gpt.transformer.h[0].mlp.c_proj.weight.std()) == pytest.approx(0.02 / 2, rel=0.05)
    assert gpt.lm_head.weight is gpt.transformer.wte.weight


def test_published_states_of_earlier_versions_load() -> None:
    """Those of torchvision have no counts of batches, and ViT's name its linear layers otherwise."""
    resnet, vit = small("resnet18"), small("vit_b_16")
    old = {k: v for k, v in resnet.state_dict().items() if not k.endswith("num_batches_tracked")}
    resnet.load_state_dict({k: v + 1 for k, v in old.items()}, strict=True)
    assert len(old) == len(resnet.state_dict()) - 20
    names = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}
    renamed = {k: v * 2 for k, v in vit.state_dict().items()}
    expected = float(renamed["encoder.layers.encoder_layer_1.mlp.3.weight"].sum())
    for new, before in names.items():
        renamed = {k.replace(new, before): v for k, v in renamed.items()}
    vit.load_state_dict(renamed, strict=True)
    assert float(vit.encoder.layers[1].mlp[3].weight.sum()) == expected

    class Told(dict[str, Any]):
        _metadata = {"bn1": {"version": 2}}  # that of a norm which counts

    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "bn1.num_batches_tracked"'):
        resnet.load_state_dict(Told(old))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: models.vit_b_16(image_size=30), "image_size=30 and patch_size=16"),
        (lambda: small("vit_b_16")(torch.zeros(1, 3, 16, 16)), "expected images of 32x32 pixels"),
        (lambda: models.mobilenet_v2(width_mult=0), "width_mult must be above 0, got 0"),
        (lambda: models.efficientnet_b0(stochastic_depth_prob=2.0), "from 0 to 1, got"),
        (lambda: small("gpt", num_heads=3), "hidden_dim=16 and num_heads=3"),
        (lambda: small("gpt")(torch.zeros(1, 9, dtype=torch.int64)), "at most 8 tokens"),
        (lambda: small("unet", depth=0), "depth must be at least 1, got 0"),
        (lambda: small("unet")(torch.zeros(1, 3, 3, 9)), "at least 4 pixels a side"),
        (lambda: small("textcnn", kernel_sizes=()), "kernel_sizes must name one"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_padding_does_not_count() -> None:
    """Texts that are filled up give the scores of those that are not."""
    model = small("lstm_classifier", padding_idx=0, bidirectional=False).eval()
    text = torch.tensor([[3, 5, 7]])
    filled_up = torch.tensor([[3, 5, 7, 0, 0]])
    np.testing.assert_allclose(model(filled_up).detach().numpy(), model(text).detach().numpy(), rtol=1e-6)


def test_a_unet_takes_images_of_odd_sizes() -> None:
    for bilinear in (False, True):
        assert tuple(small("unet", bilinear=bilinear)(torch.zeros(1, 3, 13, 22)).shape) == (1, 2, 13, 22)


def test_stochastic_depth_leaves_out_whole_samples() -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    y = layer(torch.ones(4000, 2, 3))
    kept = y[:, 0, 0] > 0
    assert abs(float(kept.float().mean()) - 0.75) < 0.03
    np.testing.assert_allclose(y.unique().numpy(), [0, 4 / 3], rtol=1e-6)
    assert bool((y == y[:, :1, :1]).all())
    assert layer.eval()(torch.ones(2)).tolist() == [1, 1]
