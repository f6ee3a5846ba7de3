"""Parts of tensors: joined or padded by writing each into its place, and gradients of slices, which are zeros but for a part, by adding to what is there."""

from __future__ import annotations

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.formula import Symbol, step
from engine.capture.layout import Storage, channels_last, viewed
from engine.capture.record import Call, Value
from engine.dispatch import OPS
from engine.ops.dims import along
from engine.ops.index import is_basic


def _part(s: Storage, index: object) -> Storage:
    found = viewed(OPS["slice"], {"index": index}, s)
    assert found is not None
    return found


@rule("cat")
def cat(b: Builder, call: Call) -> bool:
    if any(v.dtype != FLOAT for v in (*call.ins, *call.outs)):
        return False
    b.storage.setdefault(call.outs[0], _joined(b, call)[0])
    for x, part in zip(call.ins, _joined(b, call)[1], strict=True):
        if b.storage.get(x) is not part:
            b.compute([], stores=[(b.symbol(x), part)])
    return True


def _joined(b: Builder, call: Call) -> tuple[Storage, list[Storage]]:
    """Where the result of a ``cat`` lies, and each of its parts: images whose channels are joined have them last."""
    if ("joined", call.outs[0]) not in b.done:
        out, dim, start = call.outs[0], call.attrs["dim"], 0
        lasts = [x for x in call.ins if x in b.storage and not b.storage[x].is_dense()]
        images = len(out.shape) > 2 and (_is_image(b, call) or any(b.storage[x].steps[1] == 1 for x in lasts))
        to, parts = b.temporary(out.shape, order=channels_last(len(out.shape)) if images else None), []
        for size in call.attrs["sections"]:
            parts.append(_part(to, along(dim, slice(start, start + size))))
            start += size
        b.done["joined", out] = to, parts
    found: tuple[Storage, list[Storage]] = b.done["joined", call.outs[0]]
    return found


def _is_image(b: Builder, call: Call) -> bool:
    """Whether somebody takes it for images, or what is joined comes from there."""
    makers = [x.maker.op.name for x in call.ins if x.maker is not None]
    return any(name in _IMAGES for name in (*(use.op.name for use in call.outs[0].uses), *makers))


_IMAGES = ("conv", "resize", "max_pool", "avg_pool")


def place_of(b: Builder, v: Value) -> Storage | None:
    """A part of what ``v`` is joined into, where that is its only use: it can be computed there."""
    if not b.only_use(v) or v.uses[0].op.name != "cat" or any(x.dtype != FLOAT for x in v.uses[0].ins):
        return None
    call = v.uses[0]
    part = next(p for x, p in zip(call.ins, _joined(b, call)[1], strict=True) if x is v)
    if len(v.shape) < 3 or part.steps[1] != 1:
        return None
    b.storage[v] = part
    return part


@rule("pad")
def pad(b: Builder, call: Call) -> bool:
    x, out, widths = call.ins[0], call.outs[0], call.attrs["widths"]
    if out.dtype != FLOAT or any(n < 0 for pair in widths for n in pair):
        return False
    to = b.new(out)
    if out.size > x.size:
        b.emit("fill", [to, to.size, float(call.attrs["value"])], [], [to])
    b.compute([], stores=[(b.symbol(x), _part(to, tuple(slice(left, left + n) for (left, _), n in zip(widths, x.shape, strict=True))))])
    return True


@rule("index_put")
def index_put(b: Builder, call: Call) -> bool:
    """Where the only use is an addition to what nobody needs without it, the part is added there and then."""
    g, out, index = call.ins[0], call.outs[0], call.attrs["index"]
    if g.dtype != FLOAT or not is_basic(index):
        return False
    other = _added_to(b, out)
    if other is None:
        to = b.new(out)
        part = _part(to, index)
        if part.size < to.size:
            b.emit("fill", [to, to.size, 0.0], [], [to])
        b.compute([], stores=[(b.symbol(g), part)])
        return True
    to = b.storage[other]
    part = _part(to, index)
    former = Value(part.shape, FLOAT)
    b.storage[former] = part
    b.compute([], stores=[(step("add", Symbol("operand", leaf=former), b.symbol(g)), part)])
    b.storage[out.uses[0].outs[0]] = to
    return True


def _added_to(b: Builder, out: Value) -> Value | None:
    """The other operand of the addition that is the only use of ``out``, if its memory can take the sum."""
    if not b.only_use(out) or out.uses[0].op.name != "add":
        return None
    other = next((x for x in out.uses[0].ins if x is not out), None)
    if not isinstance(other, Value) or other.shape != out.shape or not b.only_use(other) or not (other in b.storage or other in b.lazy):
        return None
    b.of(other)
    held, b.left[other] = b.left.get(other, 0), 0
    free = b.free_to_overwrite(other)
    b.left[other] = held
    return other if free else None
