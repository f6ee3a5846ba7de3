"""Layers, containers and losses (``torch.nn``)."""

from engine.nn import functional, init, utils
from engine.nn.activation import ELU, Dropout, Dropout2d, LeakyReLU, LogSoftmax, PixelShuffle, ReLU, Sigmoid, SiLU, Softmax, Tanh
from engine.nn.attention import MultiheadAttention, TransformerEncoder, TransformerEncoderLayer
from engine.nn.branches import Graph, Parallel, Residual
from engine.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from engine.nn.conv import Conv1d, Conv2d, ConvTranspose2d
from engine.nn.linear import Flatten, Identity, Linear
from engine.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from engine.nn.module import Module, Parameter
from engine.nn.norm import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm
from engine.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from engine.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from engine.nn.sparse import Embedding

__all__ = [
    "AdaptiveAvgPool2d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "BatchNorm2d", "Conv1d", "Conv2d",
    "ConvTranspose2d", "CrossEntropyLoss", "Dropout", "Dropout2d", "ELU", "Embedding", "Flatten", "GRU", "GRUCell", "Graph", "GroupNorm",
    "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LSTM", "LSTMCell", "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "MSELoss",
    "MaxPool2d", "Module", "ModuleDict", "ModuleList", "MultiheadAttention", "NLLLoss", "Parallel", "Parameter", "ParameterList",
    "PixelShuffle", "RNN", "RNNCell", "ReLU", "Residual", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Tanh",
    "TransformerEncoder", "TransformerEncoderLayer", "functional", "init", "utils",
]  # fmt: skip
