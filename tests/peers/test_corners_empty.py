"""Tensors without elements, and sizes, strides and counts of 0, through functions and layers, beside PyTorch."""

from __future__ import annotations

import pytest

from tests.peers.corners import check

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer

PROGRAMS = """
F.conv_transpose2d(Z(1,2,2,2),Z(2,2,1,1),padding=3)
F.conv_transpose2d(Z(1,2,2,2),Z(2,2,1,1),padding=1)
F.conv_transpose2d(Z(1,2,2,2),Z(2,2,1,1),padding=1,output_padding=0,stride=1)
F.conv_transpose2d(Z(1,2,2,2),Z(2,2,2,2),stride=0)
F.conv_transpose2d(Z(1,2,2,2),Z(2,2,2,2),dilation=0)
F.conv_transpose2d(Z(1,2,2,2),Z(2,2,2,2),padding=-1)
F.conv2d(Z(1,2,2,2),Z(2,2,1,1),stride=0)
F.unfold(Z(1,2,2,2),2,stride=0)
F.unfold(Z(1,2,2,2),2,dilation=0)
F.conv2d(Z(1,2,2,2),Z(2,2,1,1),groups=0)
F.avg_pool2d(Z(1,2,2,2),0)
F.max_pool2d(Z(1,2,2,2),1,stride=0)
F.lp_pool2d(Z(1,2,2,2),2,0)
F.pixel_shuffle(Z(1,4,2,2),0)
F.pixel_unshuffle(Z(1,4,2,2),0)
F.group_norm(Z(1,4,2),0)
F.local_response_norm(Z(1,4,2),0)
Z(4).unfold(0,2,0)
F.interpolate(Z(1,1,2,2),size=0)
F.interpolate(Z(1,1,2,2),scale_factor=0)
F.channel_shuffle(Z(1,4,2,2),0)
Z(4).chunk(0)
Z(4).split(0)
Z(0).split(0)
Z(4).tensor_split(0)
torch.linspace(0,1,0)
F.fold(Z(1,4,4),(3,3),2,stride=0)
F.cosine_similarity(Z(0,3),Z(0,3))
F.softmax(Z(0),0)
torch.arange(0,4,0)
F.one_hot(Z(0).long(),0)
Z(4).bincount(minlength=-1)
torch.histc(Z(3),0)
torch.nn.Unflatten(0,(0,2))(Z(0,1))
torch.nn.Unflatten(0,(-1,0))(Z(0,1))
Z(0,2).view(-1,0)
Z(0,2).view(0,-1)
Z(0,2).view(2,-1)
Z(0,2).reshape(-1,2)
Z(3,0).repeat(2,0)
Z(3,0).flatten()
torch.cat([Z(0),Z(2,3)])
torch.cat([Z(0),Z(0)])
torch.stack([Z(0),Z(0)])
torch.cat([])
torch.block_diag()
torch.combinations(Z(0))
torch.cartesian_prod(Z(0),Z(2))
Z(0).diff()
Z(0).cumprod(0)
Z(2,0).cummax(1)
torch.trapz(Z(0))
Z(0).prod()
Z(0).all()
Z(0).any()
Z(0,0).det()
Z(0,0).inverse()
torch.linalg.svdvals(Z(0,3))
torch.linalg.qr(Z(3,0))[0]
Z(0).outer(Z(3))
Z(0).dot(Z(0))
Z(2,0)@Z(0,3)
torch.baddbmm(Z(2,3,3),Z(2,3,0),Z(2,0,3))
torch.addmm(torch.ones(2,2),Z(2,0),Z(0,2))
Z(0,3).max(1)[0]
Z(0,3).argmin(1)
Z(3,0).argmin(1)
Z(0).amax()
Z(0,2).amax(1)
Z(0).median()
Z(0).mode()
Z(0).nanmean()
Z(0,3).std(0)
Z(0).var()
Z(0).norm(float('inf'))
Z(0).roll(1)
Z(0,2).rot90()
Z(0).flip(0)
Z(0).masked_fill(Z(0).bool(),1)
Z(0).masked_select(Z(0).bool())
Z(3)[Z(0).long()]
Z(3)[Z(3).bool()]
Z(0,3)[:,1]
Z(0,3)[0:]
Z(0)[[]]
Z(3).index_select(0,Z(0).long())
Z(3).gather(0,Z(0).long())
Z(3).scatter(0,Z(0).long(),Z(0))
Z(3).index_add(0,Z(0).long(),Z(0))
Z(3).take(Z(0).long())
Z(0).take(Z(0).long())
torch.searchsorted(Z(0),Z(3))
torch.bucketize(Z(0),Z(3))
torch.isin(Z(0),Z(2))
torch.randperm(0)
torch.randint(3,(0,))
Z(0).bernoulli()
F.dropout2d(Z(2,3,0,2))
F.alpha_dropout(Z(0),training=True)
F.normalize(Z(0,3))
F.pairwise_distance(Z(0,3),Z(0,3))
F.pdist(Z(0,3))
F.pdist(Z(3,0))
F.triplet_margin_loss(Z(0,3),Z(0,3),Z(0,3))
F.gaussian_nll_loss(Z(0),Z(0),Z(0))
F.poisson_nll_loss(Z(0),Z(0))
F.huber_loss(Z(0),Z(0))
F.l1_loss(Z(0),Z(0))
F.smooth_l1_loss(Z(0),Z(0),reduction='sum')
F.soft_margin_loss(Z(0),Z(0))
F.cosine_embedding_loss(Z(0,3),Z(0,3),Z(0))
F.margin_ranking_loss(Z(0),Z(0),Z(0))
F.binary_cross_entropy_with_logits(Z(0),Z(0))
F.prelu(Z(0,3),torch.ones(3))
F.glu(Z(0,4))
F.glu(Z(2,0))
F.layer_norm(Z(0,3),(3,))
F.instance_norm(Z(2,3,1))
F.batch_norm(Z(1,3),None,None,training=True)
F.rms_norm(Z(0,3),(3,))
F.affine_grid(Z(0,2,3),(0,1,2,2))
F.pad(Z(2,0),(1,1),mode='constant')
F.pad(Z(0,2,3),(1,1),mode='reflect')
F.pad(Z(1,2,0),(1,1),mode='replicate')
F.max_pool1d(Z(0,2,4),2)
F.max_pool3d(Z(0,2,4,4,4),2)
F.avg_pool2d(Z(0,2,4,4),2)
F.avg_pool2d(Z(2,0,4,4),2)
F.adaptive_avg_pool2d(Z(1,2,4,4),0)
F.conv1d(Z(0,2,4),Z(3,2,2))
F.conv3d(Z(0,2,4,4,4),Z(3,2,2,2,2))
F.conv2d(Z(1,0,4,4),Z(3,0,2,2))
F.conv2d(Z(1,0,4,4),Z(3,0,2,2),torch.ones(3))
F.conv2d(Z(2,3,4,4),Z(0,3,2,2))
F.conv2d(Z(2,3,4,0),Z(2,3,2,2))
F.conv2d(Z(2,3,4,0),Z(2,3,2,2),padding=1)
F.conv_transpose2d(Z(0,3,4,4),Z(3,2,2,2))
F.conv_transpose2d(Z(2,0,4,4),Z(0,2,2,2))
F.conv_transpose2d(Z(2,3,4,0),Z(3,2,2,2))
F.conv_transpose2d(Z(2,3,4,4),Z(3,0,2,2))
nn.RNN(3,4)(Z(0,2,3))
nn.RNN(3,4)(Z(2,0,3))
nn.LSTM(3,4)(Z(0,3))
nn.GRU(3,4)(Z(2,0,3))[0]
nn.RNN(3,0)
nn.RNN(0,3)(Z(2,2,0))
nn.RNNCell(3,4)(Z(0,3))
nn.LSTMCell(3,4)(Z(0,3))
F.cross_entropy(Z(0,3),Z(0).long())
F.cross_entropy(Z(0,3),Z(0).long(),reduction='sum')
F.cross_entropy(Z(0,3),Z(0).long(),reduction='none')
F.cross_entropy(Z(2,0),Z(2).long())
F.mse_loss(Z(0),Z(0))
F.nll_loss(Z(0,3),Z(0).long())
nn.BatchNorm1d(3)(Z(0,3))
nn.BatchNorm2d(3)(Z(0,3,2,2))
nn.BatchNorm2d(3)(Z(2,3,0,2))
nn.LayerNorm(0)(Z(2,0))
nn.GroupNorm(1,2)(Z(0,2,3))
nn.InstanceNorm1d(3)(Z(0,3,4))
F.max_pool2d(Z(0,2,4,4),2)
F.max_pool2d(Z(2,0,4,4),2)
F.adaptive_max_pool2d(Z(0,2,4,4),2)
F.adaptive_avg_pool2d(Z(0,2,4,4),2)
F.interpolate(Z(0,2,4,4),scale_factor=2)
F.interpolate(Z(2,0,4,4),scale_factor=2)
nn.Embedding(0,3)(Z(0).long())
nn.Embedding(3,0)(torch.tensor([0,1]))
nn.Embedding(0,0)(Z(2,0).long())
nn.Embedding(0,3)(torch.tensor([0]))
nn.EmbeddingBag(3,2)(Z(0,2).long())
nn.EmbeddingBag(3,2)(Z(0).long(),Z(0).long())
nn.EmbeddingBag(3,2)(Z(0).long(),torch.tensor([0,0]))
nn.EmbeddingBag(3,0)(torch.tensor([[0,1]]))
nn.EmbeddingBag(3,2,mode='max')(Z(2,0).long())
F.one_hot(Z(0).long())
F.one_hot(Z(0).long(),3)
torch.softmax(Z(0,3),1)
torch.softmax(Z(3,0),1)
F.scaled_dot_product_attention(Z(0,2,3),Z(0,2,3),Z(0,2,3))
F.scaled_dot_product_attention(Z(2,0,3),Z(2,4,3),Z(2,4,3))
F.scaled_dot_product_attention(Z(2,4,3),Z(2,0,3),Z(2,0,3))
nn.MultiheadAttention(4,2)(Z(3,0,4),Z(3,0,4),Z(3,0,4))
nn.Linear(0,3)(Z(2,0))
nn.Linear(3,0)(Z(2,3))
F.unfold(Z(0,2,4,4),2)
F.pixel_shuffle(Z(0,4,2,2),2)
F.ctc_loss(Z(0,2,3),torch.tensor([[1],[1]]),torch.tensor([0,0]),torch.tensor([1,1]))
F.pad(Z(0,2),(1,1))
F.dropout(Z(0))
F.grid_sample(Z(0,2,4,4),Z(0,3,3,2),align_corners=False)
F.hinge_embedding_loss(Z(0),Z(0))
F.kl_div(Z(0,2),Z(0,2),reduction='batchmean')
F.bilinear(Z(0,2),Z(0,3),Z(4,2,3))
torch.std(Z(0))
torch.var(Z(0,3),0)
torch.max(Z(0,3),1)
torch.max(Z(0,3),0)
torch.median(Z(0))
torch.cumsum(Z(0),0)
torch.topk(Z(0),0)
torch.sort(Z(0))
torch.norm(Z(0))
torch.logsumexp(Z(0,3),0)
Z(0).mean()
torch.argmax(Z(0,2),1)
torch.unique(Z(0))
torch.histc(Z(0))
torch.bincount(Z(0).long())
torch.nonzero(Z(0,2))
torch.einsum('ij,jk->ik',Z(2,0),Z(0,3))
torch.cdist(Z(0,3),Z(2,3))
torch.cdist(Z(2,0),Z(2,0))
torch.quantile(Z(0),0.5)
torch.kthvalue(Z(2,0),1)
x.requires_grad_(); x.gather(0, Z(0, 4).long()).sum().backward(); x.grad
Z(3).scatter(0, Z(0).long(), Z(0).requires_grad_()).requires_grad
v = Z(0).requires_grad_(); Z(3).index_add(0, Z(0).long(), v).sum().backward(); v.grad
v = Z(0).requires_grad_(); Z(3).index_copy(0, Z(0).long(), v).sum().backward(); v.grad
v = Z(3).requires_grad_(); v[Z(0).long()].sum().backward(); v.grad
v = Z(3).requires_grad_(); v[[]].sum().backward(); v.grad
v = Z(0).requires_grad_(); w = Z(3); w[Z(0).long()] = v; w.sum().backward(); v.grad
v = Z(3).requires_grad_(); v.masked_select(Z(3).bool()).sum().backward(); v.grad
v = Z(0).requires_grad_(); v.prod().backward(); v.grad
v = Z(0, 3).requires_grad_(); v.cumprod(1).sum().backward(); v.grad
v = Z(3).requires_grad_(); v.take(Z(0).long()).sum().backward(); v.grad
v = Z(3).requires_grad_(); v.index_select(0, Z(0).long()).sum().backward(); v.grad
v = Z(3).requires_grad_(); v.repeat(0).sum().backward(); v.grad
v = Z(3).requires_grad_(); v.expand(0, 3).sum().backward(); v.grad
v = Z(3).requires_grad_(); v.sort()[0][:0].sum().backward(); v.grad
v = Z(3, 0).requires_grad_(); v.sum(1).sum().backward(); v.grad
v = Z(3, 0).requires_grad_(); v.mean(1).sum().backward(); v.grad
v = Z(3, 0).requires_grad_(); v.var(1).sum().backward(); v.grad
v = Z(0, 3).requires_grad_(); F.cross_entropy(v, Z(0).long()).backward(); v.grad
v = Z(0, 3).requires_grad_(); F.mse_loss(v, Z(0, 3)).backward(); v.grad
v = Z(0, 3).requires_grad_(); nn.Linear(3, 2)(v).sum().backward(); v.grad
e = nn.Embedding(3, 2, padding_idx=0); e(Z(0).long()).sum().backward(); e.weight.grad
e = nn.Embedding(0, 2); e(Z(0).long()).sum().backward(); e.weight.grad
e = nn.Embedding(3, 0); e(torch.tensor([1])).sum().backward(); e.weight.grad
e = nn.EmbeddingBag(3, 2); e(Z(0, 2).long()).sum().backward(); e.weight.grad
b = nn.BatchNorm1d(3); b(Z(0, 3))
b = nn.BatchNorm2d(3).eval(); b(Z(0, 3, 2, 2)).shape
c = nn.Conv2d(2, 3, 2); c(Z(0, 2, 4, 4)).sum().backward(); [c.weight.grad, c.bias.grad]
c = nn.Conv1d(2, 3, 2); c(Z(0, 2, 4)).sum().backward(); [c.weight.grad, c.bias.grad]
c = nn.Conv3d(2, 3, 2); c(Z(0, 2, 4, 4, 4)).sum().backward(); [c.weight.grad, c.bias.grad]
c = nn.Conv2d(4, 4, 2, groups=4); c(Z(0, 4, 4, 4)).sum().backward(); [c.weight.grad, c.bias.grad]
c = nn.ConvTranspose2d(2, 3, 2); c(Z(0, 2, 4, 4)).sum().backward(); [c.weight.grad, c.bias.grad]
v = Z(0, 2, 4, 4).requires_grad_(); F.max_pool2d(v, 2).sum().backward(); v.grad
v = Z(0, 2, 4, 4).requires_grad_(); F.avg_pool2d(v, 2).sum().backward(); v.grad
v = Z(0, 2, 4, 4).requires_grad_(); F.adaptive_max_pool2d(v, 2).sum().backward(); v.grad
v = Z(0, 2, 4, 4).requires_grad_(); F.interpolate(v, scale_factor=2).sum().backward(); v.grad
v = Z(0, 2, 4, 4).requires_grad_(); F.interpolate(v, scale_factor=2, mode='bilinear').sum().backward(); v.grad
l = nn.LSTM(2, 3); l(Z(3, 0, 2))[0].sum().backward(); [p.grad.abs().sum() for p in l.parameters()]
l = nn.LayerNorm(3); l(Z(0, 3)).sum().backward(); [l.weight.grad, l.bias.grad]
l = nn.GroupNorm(1, 3); l(Z(0, 3, 2)).sum().backward(); [l.weight.grad, l.bias.grad]
l = nn.MultiheadAttention(4, 2); q = Z(2, 0, 4); l(q, q, q)[0].shape
l = nn.TransformerEncoderLayer(4, 2, 8); l(Z(2, 0, 4)).shape
p = nn.Parameter(Z(0, 3)); o = torch.optim.SGD([p], lr=1., momentum=0.9); p.sum().backward(); o.step(); p
p = nn.Parameter(Z(0, 3)); o = torch.optim.Adam([p, nn.Parameter(torch.ones(1))], lr=1.); p.sum().backward(); o.step(); p
p = nn.Parameter(Z(0, 3)); p.sum().backward(); nn.utils.clip_grad_norm_([p], 1.)
nn.utils.clip_grad_norm_(iter([]), 1.)
""".strip().splitlines()
WITHOUT_CHANNELS = "an image without channels has the shape that its weight says, filled with the bias"
DELIBERATE = {
    "F.group_norm(Z(1,4,2),0)": "RuntimeError, where PyTorch divides by zero",
    "torch.block_diag()": "refused",
    "F.affine_grid(Z(0,2,3),(0,1,2,2))": "a batch without images has no grids, and is no error",
    "F.conv2d(Z(1,0,4,4),Z(3,0,2,2))": WITHOUT_CHANNELS,
    "F.conv2d(Z(1,0,4,4),Z(3,0,2,2),torch.ones(3))": WITHOUT_CHANNELS,
    "F.conv_transpose2d(Z(2,0,4,4),Z(0,2,2,2))": WITHOUT_CHANNELS,
    "F.conv_transpose2d(Z(2,3,4,4),Z(3,0,2,2))": WITHOUT_CHANNELS,
    "F.conv2d(Z(2,3,4,0),Z(2,3,2,2),padding=1)": "a border is all that is looked at",
    "F.conv_transpose2d(Z(2,3,4,0),Z(3,2,2,2))": "zeros, to which nothing is added",
    "F.interpolate(Z(2,0,4,4),scale_factor=2)": "images may have no channels",
    "nn.Embedding(0,3)(torch.tensor([0]))": "IndexError, as for any row that is not there",
    "nn.EmbeddingBag(3,2,mode='max')(Z(2,0).long())": "empty bags give zeros in all modes",
}


@pytest.mark.parametrize("program", list(dict.fromkeys(PROGRAMS)))
def test_empty(program: str) -> None:
    check(program, torch, DELIBERATE)
