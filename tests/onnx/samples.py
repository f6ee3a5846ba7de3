"""Layers to be exported: the text of each, and the shape of a sample; at least one for every layer of a spec."""

from __future__ import annotations

from engine.spec import registry

MAP, LINE, ROW, VOLUME = (4, 6, 6), (4, 8), (8,), (4, 4, 5, 6)

LAYERS: dict[str, tuple[int, ...]] = {
    "Identity()": ROW, "Linear(8, 5)": ROW, "Linear(8, 5, bias=False)": LINE, "Flatten()": MAP, "Flatten(2)": MAP, "Unflatten(1, (2, 2))": LINE,
    # convolutions
    "Conv1d(4, 6, 3, 2, 1)": LINE, "Conv2d(4, 6, (3, 2), (2, 1), (1, 0), groups=2)": MAP, "Conv2d(4, 6, 4, padding='same')": MAP,
    "Conv2d(4, 6, 3, padding=1, padding_mode='circular')": MAP, "Conv2d(4, 6, 3, dilation=2, bias=False)": MAP, "Conv3d(4, 2, 3, padding=1)": VOLUME,
    "ConvTranspose1d(4, 6, 3, 2, 1, 1)": LINE, "ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)": MAP, "ConvTranspose3d(4, 2, 2, 2)": VOLUME,
    # windows
    "MaxPool1d(3)": LINE, "MaxPool2d(3, 2, 1, ceil_mode=True)": MAP, "MaxPool2d(2, dilation=2)": MAP, "MaxPool3d(2)": VOLUME, "AvgPool1d(3, 2, 1)": LINE,
    "AvgPool2d(3, 2, 1, ceil_mode=True)": MAP, "AvgPool2d(3, 2, 1, count_include_pad=False)": MAP, "AvgPool2d(2, divisor_override=3)": MAP, "AvgPool3d(2)": VOLUME,
    "LPPool1d(2.0, 2)": LINE, "LPPool2d(2.0, 2)": MAP, "LPPool3d(2.0, 2)": VOLUME, "AdaptiveAvgPool1d(3)": LINE, "AdaptiveAvgPool2d(3)": MAP,
    "AdaptiveAvgPool2d((4, 5))": MAP, "AdaptiveAvgPool3d(2)": VOLUME, "AdaptiveMaxPool1d(3)": LINE, "AdaptiveMaxPool2d((4, 2))": MAP,
    "AdaptiveMaxPool3d(2)": VOLUME, "Unfold(2, padding=1)": MAP, "Fold((5, 5), 2)": (8, 16),
    # borders
    "ZeroPad1d(2)": LINE, "ZeroPad2d((1, 2, 0, 1))": MAP, "ZeroPad3d(1)": VOLUME, "ConstantPad1d(2, 1.5)": LINE, "ConstantPad2d((-1, 2, 0, 1), 0.5)": MAP,
    "ConstantPad3d(1, 2.0)": VOLUME, "ReflectionPad1d(2)": LINE, "ReflectionPad2d(2)": MAP, "ReflectionPad3d(1)": VOLUME, "ReplicationPad1d(2)": LINE,
    "ReplicationPad2d(2)": MAP, "ReplicationPad3d(1)": VOLUME, "CircularPad1d(2)": LINE, "CircularPad2d(2)": MAP, "CircularPad3d(1)": VOLUME,
    # statistics
    "BatchNorm1d(8)": ROW, "BatchNorm1d(4, affine=False)": LINE, "BatchNorm2d(4)": MAP, "BatchNorm3d(4)": VOLUME, "InstanceNorm1d(4)": LINE,
    "InstanceNorm2d(4, affine=True)": MAP, "InstanceNorm2d(4, track_running_stats=True)": MAP, "InstanceNorm3d(4)": VOLUME, "LayerNorm(8)": LINE,
    "LayerNorm([6, 6])": MAP, "RMSNorm(8)": LINE, "GroupNorm(2, 4)": MAP, "LocalResponseNorm(3)": MAP,
    # activations
    "ReLU()": MAP, "ReLU(inplace=True)": MAP, "ReLU6()": MAP, "SiLU()": MAP, "Mish()": MAP, "SELU()": MAP, "Hardswish()": MAP, "Hardsigmoid()": MAP,
    "LeakyReLU(0.2)": MAP, "PReLU()": MAP, "PReLU(4)": MAP, "RReLU()": MAP, "ELU(0.5)": MAP, "CELU(0.5)": MAP, "GELU()": MAP, "GELU('tanh')": MAP,
    "Hardtanh(-0.5, 0.25)": MAP, "Hardshrink()": MAP, "Softshrink(0.3)": MAP, "Tanhshrink()": MAP, "Softplus(2.0, 1.0)": MAP, "Softsign()": MAP,
    "Threshold(0.1, 2.0)": MAP, "Sigmoid()": MAP, "LogSigmoid()": MAP, "Tanh()": MAP, "GLU(1)": MAP, "Softmax(1)": MAP, "Softmin(1)": MAP, "LogSoftmax(1)": ROW,
    "Softmax2d()": MAP,
    # dropout
    "Dropout()": MAP, "Dropout1d()": LINE, "Dropout2d()": MAP, "Dropout3d()": VOLUME, "AlphaDropout()": MAP, "FeatureAlphaDropout()": MAP,
    # images
    "PixelShuffle(2)": MAP, "PixelUnshuffle(2)": MAP, "ChannelShuffle(2)": MAP, "Upsample(scale_factor=2.0)": MAP,
    "Upsample(scale_factor=1.7, mode='bilinear')": MAP, "Upsample((5, 9), mode='bicubic', align_corners=True)": MAP, "Upsample(3, mode='area')": MAP,
    "Upsample(size=13, mode='linear')": LINE, "Upsample(scale_factor=2.0, mode='trilinear')": VOLUME, "Upsample(5, mode='nearest-exact')": MAP,
    "UpsamplingNearest2d(scale_factor=2.0)": MAP, "UpsamplingBilinear2d(scale_factor=2.0)": MAP,
    # tables and latent variables
    "Columns([0, 2])": ROW, "Reparametrize()": MAP,
    # sequences
    "TransformerEncoderLayer(8, 2, 16, batch_first=True)": LINE, "TransformerEncoderLayer(8, 4, 16, activation='gelu', batch_first=True, norm_first=True)": LINE,
}  # fmt: skip

SEQUENCE = (6, 8)
_SEQUENCES = [
    "SequencePool('last', True)", "SequencePool('mean', True)", "SequencePool('max')", "Permute([0, 2, 1])", "PositionalEncoding(8, 10)", "PositionalEmbedding(8, 10)",
    "TransformerEncoder(8, 2, 2, 16)", "TransformerEncoder(8, 2, 1, 16, causal=True, final_norm=True)",
    *(f"{kind}(8, 5, pool='{pool}'{options})" for kind in ("RNN", "LSTM", "GRU") for pool in ("last", "mean", "max", "none") for options in ("", ", bidirectional=True", ", zero_padded=True")),
]  # fmt: skip
_SEVERAL = {
    "Bilinear(8, 4, 3)": (ROW, (4,)), "CosineSimilarity()": (ROW, ROW), "PairwiseDistance()": (ROW, ROW), "MultiheadAttention(8, 2)": (SEQUENCE,) * 3,
    "TransformerDecoderLayer(8, 2, 16)": (SEQUENCE, (5, 8)), "TransformerDecoder(8, 2, 2, 16)": (SEQUENCE, (5, 8)), "SequencePool('last')": (SEQUENCE,),
}  # fmt: skip
_TOKENS = [
    "Embedding(10, 4)", "Embedding(10, 4, padding_idx=0)", "EmbeddingBag(10, 4)", "EmbeddingBag(10, 4, mode='sum', padding_idx=2)", "SequenceLengths()", "gpt(10, 8, 16, 2, 2)",
    "textcnn(10, 3, 8, 6)", "lstm_classifier(10, 3, 8, 6)",
]  # fmt: skip
ALIKE = ("resnet34", "resnet50", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny")
"""Large networks of blocks and layers that the others have too."""
_IMAGES = [
    "resnet18(4)", "mobilenet_v3_small(4)",
    "unet(3, width=4, depth=2)", "vit_b_16(4, image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32)",
]  # fmt: skip


def _in_specs(text: str) -> bool:
    return text.split("(")[0] in registry.layers()


INPUTS: dict[str, tuple[tuple[int, ...], ...]] = {
    **{text: (shape,) for text, shape in LAYERS.items()}, **{text: (SEQUENCE,) for text in _SEQUENCES if _in_specs(text)},
    **{text: shapes for text, shapes in _SEVERAL.items() if _in_specs(text)}, **{text: ((3, 32, 32),) for text in _IMAGES if _in_specs(text)},
}  # fmt: skip
"""The shapes of what a layer takes, of those that specs have."""
TOKENS = [text for text in _TOKENS if _in_specs(text)]
"""Layers of whole numbers below 10, six for a sample."""

RECURRENT = [
    f"{kind}(8, 5, {options}batch_first=True)"
    for kind in ("RNN", "LSTM", "GRU")
    for options in ("", "2, bidirectional=True, ", "bias=False, ")
] + ["RNN(8, 5, nonlinearity='relu', batch_first=True)", "LSTM(8, 5, proj_size=3, batch_first=True)"]
"""Layers whose first result counts."""
