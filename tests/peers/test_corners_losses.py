"""Losses where inputs saturate, classes are ignored or out of range, and shapes and dtypes differ, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check, filled

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

EXTREME = "torch.tensor([[0., 1.], [0.5, 0.2]], requires_grad=True)", "torch.tensor([[50., -50.], [1e4, -1e4]], requires_grad=True)"
INFINITE = "torch.tensor([[inf, -inf], [1., 0.]], requires_grad=True)"
TARGETS = "torch.tensor([[1., 0.], [0., 1.]])", "torch.tensor([[0., 1.], [0.5, 0.5]])"
LOSSES = [
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "poisson_nll_loss",
    "multilabel_soft_margin_loss",
    "hinge_embedding_loss",
]
CLASSES = """
torch.tensor([0, 2])
torch.tensor([-100, 1])
torch.tensor([-100, -100])
torch.tensor([0, 3])
torch.tensor([0, -1])
torch.tensor([0.2, 0.3])
torch.tensor([[.2, .3, .5], [1., 0., 0.]])
torch.tensor([0])
""".strip().splitlines()
LOGITS = (
    "torch.tensor([[1., 2., 3.], [0., 0., 0.]], requires_grad=True)",
    "torch.tensor([[1e30, -1e30, 3.], [-inf, 0., 0.]], requires_grad=True)",
)
SETTINGS = [
    "",
    ", reduction='sum'",
    ", reduction='none'",
    ", label_smoothing=0.1",
    ", weight=torch.tensor([0., 1., 2.])",
    ", ignore_index=2",
]
SATURATED = (
    "torch.tensor([200., -200., 17., -17., 90.], requires_grad=True)",
    "torch.tensor([0., 1e-8, 40., -40., -110.], requires_grad=True)",
)
WEIGHED = ["", ", weight=torch.tensor([0., 1., 2., 3., 4.])", ", reduction='none'", ", reduction='sum'"]
ENDS = "torch.tensor([0., 1., 0., 1., 1.])", "torch.tensor([1., 0., 1., 0., 0.5])"
OTHERS = """
F.mse_loss(x, y[0])
F.l1_loss(x, y[:1])
F.mse_loss(i, i)
F.mse_loss(x, i)
F.mse_loss(x, x, reduction='bad')
F.mse_loss(x.double(), x)
F.binary_cross_entropy(x, x)
F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([2.]))
F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([[0.5]]))
F.binary_cross_entropy(torch.tensor([1.5]), torch.tensor([1.]))
F.binary_cross_entropy(torch.tensor([nan]), torch.tensor([1.]))
F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1]))
F.binary_cross_entropy_with_logits(torch.tensor([0.5]), torch.tensor([1]))
F.binary_cross_entropy_with_logits(torch.tensor([0.5]), torch.tensor([[1.]]))
F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([True]))
F.kl_div(x, x.softmax(1), reduction='batchmean')
F.kl_div(x, x, log_target=True)
F.kl_div(x, torch.zeros(3, 4))
F.cross_entropy(x, torch.tensor([0, 1]))
F.cross_entropy(x[0], torch.tensor(2))
F.cross_entropy(g, torch.tensor([[0, 1, 2, 0], [1, 1, 1, 1]]))
F.cross_entropy(x, torch.tensor([[0], [1], [2]]))
F.cross_entropy(x, x)
F.cross_entropy(x, torch.tensor([0, 1, 2]), weight=torch.ones(3))
F.cross_entropy(x, torch.tensor([0, 1, 2]), label_smoothing=1.5)
F.cross_entropy(x.half(), torch.tensor([0, 1, 2]))
F.gaussian_nll_loss(x, x, torch.zeros(3, 4))
F.gaussian_nll_loss(x, x + 1, torch.ones(3, 4))
F.gaussian_nll_loss(x, x, -torch.ones(3, 4))
F.triplet_margin_loss(x, x, x)
F.triplet_margin_loss(x, x + 1, x - 1, p=1)
F.triplet_margin_loss(x, x + 1, x - 1, swap=True)
F.margin_ranking_loss(x[0], x[1], torch.ones(4))
F.margin_ranking_loss(x[0], x[1], -torch.ones(4), margin=1.)
F.cosine_embedding_loss(x, x, torch.tensor([1, -1, 1]))
F.cosine_embedding_loss(torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([1, -1]))
F.multi_margin_loss(x, torch.tensor([0, 1, 2]))
F.multi_margin_loss(x, torch.tensor([0, 1, 5]))
F.multilabel_margin_loss(x, torch.tensor([[0, -1, 1, 1], [1, 2, -1, 0], [3, -1, 0, 0]]))
F.soft_margin_loss(x * 1e3, torch.ones(3, 4))
F.poisson_nll_loss(x, x, full=True)
F.poisson_nll_loss(x, x.abs(), log_input=False)
F.smooth_l1_loss(x, x + 1, beta=0)
F.smooth_l1_loss(x, x + 1, beta=-1)
F.huber_loss(x, x + 2, delta=0.5)
F.huber_loss(x, x + 2, delta=0)
F.ctc_loss(g.log_softmax(2), torch.tensor([[1, 2], [2, 2], [3, 1]]), torch.tensor([2, 2, 2]), torch.tensor([1, 1, 1]))
F.ctc_loss(g.log_softmax(2), torch.tensor([[1, 1], [2, 2], [3, 3]]), torch.tensor([2, 2, 2]), torch.tensor([2, 2, 2]))
F.ctc_loss(g.log_softmax(2), torch.tensor([[1, 1], [2, 2], [3, 3]]), torch.tensor([2, 2, 2]), torch.tensor([2, 2, 2]), zero_infinity=True)
F.ctc_loss(g.log_softmax(2), torch.tensor([[1], [2], [3]]), torch.tensor([2, 2, 2]), torch.tensor([0, 1, 1]))
F.nll_loss(x, torch.tensor([0, 1, 4]))
F.hinge_embedding_loss(x, torch.where(m, 1., -1.))
nn.CrossEntropyLoss(weight=torch.zeros(4))(x, torch.tensor([0, 1, 2]))
nn.BCELoss()(torch.tensor([0.5]), torch.tensor([1.]))
nn.BCEWithLogitsLoss(pos_weight=torch.zeros(1))(torch.tensor([[0.5]]), torch.tensor([[1.]]))
nn.MSELoss(reduction='none')(x, x + 1)
nn.NLLLoss(ignore_index=1)(x, torch.tensor([1, 1, 1]))
nn.KLDivLoss(reduction='batchmean')(x, x.softmax(1))
nn.SmoothL1Loss(beta=0.5)(x, y)
nn.L1Loss(size_average=False)(x, x + 1)
""".strip().splitlines()
PROGRAMS = [
    *filled(
        ["v = {x}; w = F.{f}(v, {t}, reduction='{r}'); w.sum().backward(); [w, v.grad]"],
        x=EXTREME,
        t=TARGETS,
        f=LOSSES,
        r=["mean", "sum", "none"],
    ),
    *filled(
        ["v = {x}; w = F.{f}(v, {t}); w.backward(); [w, v.grad]"],
        x=[INFINITE],
        t=TARGETS,
        f=["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"],
    ),
    *filled(["v = {x}; w = F.binary_cross_entropy(v.sigmoid(), {t}{o}); w.sum().backward(); [w, v.grad]"], x=SATURATED, t=ENDS, o=WEIGHED),
    *filled(
        ["v = {x}; w = F.binary_cross_entropy_with_logits(v, {t}{o}); w.sum().backward(); [w, v.grad]"],
        x=SATURATED,
        t=ENDS,
        o=[*WEIGHED, ", pos_weight=torch.tensor(3.)"],
    ),
    *filled(
        [
            "v = torch.tensor([0., 1., 0.5, 1e-30, 1 - 1e-7], requires_grad=True); w = F.binary_cross_entropy(v, {t}{o}); w.sum().backward(); [w, v.grad]"
        ],
        t=ENDS,
        o=WEIGHED,
    ),
    *filled(["v = {x}; w = F.cross_entropy(v, {t}{o}); w.sum().backward(); [w, v.grad]"], x=LOGITS, t=CLASSES, o=SETTINGS),
    *filled(
        [
            "v = torch.tensor([[-1., -2., -3.], [0., -inf, 0.]], requires_grad=True); w = F.nll_loss(v, {t}{o}); w.sum().backward(); [w, v.grad]"
        ],
        t=CLASSES[:5],
        o=SETTINGS[:3],
    ),
    *OTHERS,
]
DELIBERATE = {
    "F.mse_loss(x, y[0])": "shapes that differ are refused",
    "F.l1_loss(x, y[:1])": "shapes that differ are refused",
    "F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1]))": "targets of integers and bools are taken",
    "F.binary_cross_entropy_with_logits(torch.tensor([0.5]), torch.tensor([1]))": "targets of integers and bools are taken",
    "F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([True]))": "targets of integers and bools are taken",
    "F.soft_margin_loss(x * 1e3, torch.ones(3, 4))": "it does not overflow",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_losses(program: str) -> None:
    check(program, torch, DELIBERATE)
