"""Interpolation of all modes, ratios and dtypes, and sampling at points, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check, filled

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

IMAGE, SMALL, LINE, VOLUME = (
    "torch.arange(16.).reshape(1, 1, 4, 4)",
    "torch.arange(12.).reshape(2, 1, 2, 3)",
    "torch.arange(6.).reshape(1, 2, 3)",
    "torch.arange(24.).reshape(1, 1, 2, 3, 4)",
)
MODES = ["nearest", "nearest-exact", "bilinear", "bicubic", "area"]
SIZES = ["size=(2, 2)", "size=(5, 3)", "size=(1, 1)", "size=(8, 8)", "size=3", "size=(4, 4)", "size=(2,)"]
FACTORS = ["2", "0.5", "1.3", "0.7", "(0.5, 2)", "(1.5, 0.6)", "(2,)"]
BYTES = "(torch.arange(16) * {k}).reshape(1, 1, 4, 4).to(torch.{d})"
OTHERS = """
F.interpolate(x)
F.interpolate(x, size=2)
F.interpolate(x[None, None])
F.interpolate(x[None, None], size=2, scale_factor=2)
F.interpolate(x[None, None], size=(2, 2), mode='what')
F.interpolate(Z(0, 1, 2, 2), size=3)
F.interpolate(Z(1, 0, 2, 2), size=3)
F.interpolate(Z(1, 1, 0, 2), size=3)
F.interpolate(x[None, None] * nan, size=2)
F.interpolate(torch.tensor([[[[1., nan, inf]]]]), size=(1, 6), mode='bilinear')
F.upsample(x[None, None], size=2)
nn.Upsample(scale_factor=2)(x[None, None])
nn.Upsample(size=(2, 2), mode='bilinear', align_corners=True)(x[None, None])
nn.UpsamplingBilinear2d(scale_factor=2)(x[None, None])
nn.UpsamplingNearest2d(size=2)(x[None, None])
F.grid_sample(g[None], torch.zeros(1, 2, 2, 2), align_corners=False)
F.grid_sample(g[None], torch.full((1, 1, 1, 2), nan), align_corners=False)
F.grid_sample(g[None], torch.full((1, 1, 1, 2), 2.), align_corners=False)
F.grid_sample(g[None], torch.full((1, 1, 1, 2), 2.), padding_mode='border', align_corners=True)
F.grid_sample(g[None], torch.full((1, 1, 1, 2), 1.7), padding_mode='reflection', align_corners=False)
F.grid_sample(g[None], torch.full((1, 1, 1, 2), .3), mode='nearest', align_corners=False)
F.affine_grid(torch.tensor([[[1., 0., 0.], [0., 1., 0.]]]), (1, 1, 2, 3), align_corners=False)
F.affine_grid(torch.tensor([[[1., 0., 0.], [0., 1., 0.]]]), (1, 1, 1, 1), align_corners=True)
F.pixel_shuffle(g[None, :, :, :].reshape(1, 4, 2, 3), 2)
F.pixel_shuffle(g, 2)
F.fold(F.unfold(g[None], 2), (3, 4), 2)
""".strip().splitlines()
PROGRAMS = [
    *filled(["F.interpolate({t}, {s}, mode='{m}')"], t=[IMAGE, SMALL], s=SIZES, m=MODES),
    *filled(
        ["F.interpolate({t}, scale_factor={s}, mode='{m}'{r})"], t=[IMAGE], s=FACTORS, m=MODES, r=["", ", recompute_scale_factor=True"]
    ),
    *filled(
        ["F.interpolate({t}, {a}, mode='{m}', align_corners={c})"],
        t=[IMAGE],
        a=["size=(3, 5)", "size=1", "scale_factor=1.6"],
        m=MODES[:4],
        c=["True", "False"],
    ),
    *filled(
        ["F.interpolate(" + BYTES + ", {a}, mode='{m}')"],
        k=[1, 17],
        d=["uint8", "float16", "float64"],
        a=["size=(6, 6)", "size=(3, 3)", "scale_factor=2"],
        m=MODES,
    ),
    *filled(["F.interpolate(" + BYTES + ", {a}, mode='{m}')"], k=[1], d=["int64", "bool"], a=["size=(6, 6)"], m=MODES[2:]),
    *filled(
        ["F.interpolate({t}, {a}, mode='{m}')"],
        t=[LINE],
        a=["size=5", "size=2", "scale_factor=1.7"],
        m=["nearest", "linear", "area", "bilinear"],
    ),
    *filled(
        ["F.interpolate({t}, {a}, mode='{m}')"],
        t=[VOLUME],
        a=["size=(3, 2, 5)", "scale_factor=2", "scale_factor=(1, 2, 0.5)"],
        m=["nearest", "trilinear", "area"],
    ),
    *filled(
        ["v = {t}.requires_grad_(); (F.interpolate(v, {a}, mode='{m}') ** 2).sum().backward(); v.grad"],
        t=[IMAGE],
        a=["size=(5, 6)", "scale_factor=1.5"],
        m=MODES,
    ),
    *OTHERS,
]
DELIBERATE = {
    "F.interpolate(x)": "the number of dimensions is looked at first",
    "F.interpolate(Z(1, 0, 2, 2), size=3)": "images may have no channels",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_resizing(program: str) -> None:
    check(program, torch, DELIBERATE)
