"""Ready-made architectures by name (``torchvision.models``, and some for maps and for texts), without weights: a state dict of torchvision's loads."""

from engine.models.architecture import ARCHITECTURES
from engine.models.convnext import ConvNeXt, convnext_tiny
from engine.models.efficientnet import EfficientNet, efficientnet_b0
from engine.models.gpt import GPT, gpt
from engine.models.lstm import LSTMClassifier, lstm_classifier
from engine.models.mobilenet import MobileNetV2, mobilenet_v2
from engine.models.mobilenetv3 import MobileNetV3, mobilenet_v3_large, mobilenet_v3_small
from engine.models.resnet import ResNet, resnet18, resnet34, resnet50
from engine.models.textcnn import TextCNN, textcnn
from engine.models.unet import UNet, unet
from engine.models.vit import VisionTransformer, vit_b_16

__all__ = [
    "ARCHITECTURES", "ConvNeXt", "EfficientNet", "GPT", "LSTMClassifier", "MobileNetV2", "MobileNetV3", "ResNet", "TextCNN", "UNet", "VisionTransformer",
    "convnext_tiny", "efficientnet_b0", "gpt", "lstm_classifier", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "resnet18", "resnet34",
    "resnet50", "textcnn", "unet", "vit_b_16",
]  # fmt: skip
