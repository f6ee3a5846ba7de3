"""``torch.nn.functional``: layers as functions."""

from engine.nn.functional.activation import *
from engine.nn.functional.attention import *
from engine.nn.functional.convolution import *
from engine.nn.functional.ctc import *
from engine.nn.functional.distance import *
from engine.nn.functional.dropout import *
from engine.nn.functional.loss import *
from engine.nn.functional.margin import *
from engine.nn.functional.normalization import *
from engine.nn.functional.pooling import *
from engine.nn.functional.resize import *
from engine.nn.functional.sizes import tuple_of as tuple_of
from engine.nn.functional.sparse import *
from engine.nn.functional.vision import *
from engine.ops.linalg import bilinear as bilinear
from engine.ops.linalg import linear as linear
from engine.ops.pad import pad as pad
from engine.ops.unary import sigmoid as sigmoid
from engine.ops.unary import tanh as tanh
