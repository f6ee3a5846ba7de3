"""The functions of ``engine.ops`` under the names they have at PyTorch's top level."""

from engine.ops.decompose import *
from engine.ops.einsum import *
from engine.ops.elementwise import *
from engine.ops.join import *
from engine.ops.linalg import *
from engine.ops.loss import *
from engine.ops.mathematics import *
from engine.ops.matrix import *
from engine.ops.order import *
from engine.ops.pad import *
from engine.ops.random import bernoulli, multinomial
from engine.ops.reduce import *
from engine.ops.reduce import any_ as any
from engine.ops.scan import *
from engine.ops.scatter import *
from engine.ops.select import *
from engine.ops.shape import *
from engine.ops.special import digamma, erf, erfc, erfinv, i0, lgamma, mvlgamma, polygamma
from engine.ops.statistics import *
from engine.ops.unary import *

absolute, negative, fix, clip = abs, neg, trunc, clamp
multiply, subtract, divide = mul, sub, div
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
arccos, arcsin, arctan, arctan2, arccosh, arcsinh, arctanh = acos, asin, atan, atan2, acosh, asinh, atanh
concat = concatenate = cat
row_stack = vstack
swapaxes = swapdims = transpose
moveaxis = movedim
ger = outer
chain_matmul = multi_dot
conj = conj_physical = resolve_conj = resolve_neg = real
inverse, pinverse, svd = inv, pinv, svd_
