"""Layers, containers and losses (``torch.nn``)."""

from engine.nn import functional, init
from engine.nn.activation import ELU, Dropout, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from engine.nn.branches import Graph, Parallel, Residual
from engine.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from engine.nn.conv import Conv1d, Conv2d
from engine.nn.linear import Flatten, Identity, Linear
from engine.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from engine.nn.module import Module, Parameter
from engine.nn.norm import BatchNorm1d, BatchNorm2d, LayerNorm
from engine.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d

__all__ = [
    "ELU", "AdaptiveAvgPool2d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss", "HuberLoss", "KLDivLoss", "BatchNorm1d", "BatchNorm2d", "Conv1d", "Conv2d", "CrossEntropyLoss", "Dropout",
    "Flatten", "Graph", "Identity", "L1Loss", "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "MaxPool2d", "Module", "ModuleDict", "ModuleList",
    "NLLLoss", "Parallel", "Parameter", "ParameterList", "ReLU", "Residual", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Tanh",
    "functional", "init",
]  # fmt: skip
