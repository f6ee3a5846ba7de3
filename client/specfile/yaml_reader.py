"""YAML, with the place of each key and value. Plain words mean what YAML 1.2 says: ``1e-3`` is a number, ``no`` and ``on`` are text."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from client.specfile.places import Flaw, Parsed, Places, Span, Unreadable, finite
from engine.spec.problems import pointer

MAX_NODES = 200_000
"""An alias stands for all that its anchor has: a few lines could be more than memory holds."""
_TAG = "tag:yaml.org,2002:"


class _Core(yaml.SafeLoader):
    """The core schema of YAML 1.2.2, chapter 10.3; PyYAML's own is that of YAML 1.1."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+0123456789.")),
):
    _Core.add_implicit_resolver(_TAG + _tag, re.compile(rf"^(?:{_pattern})$"), _first)


class _Builder:
    """Makes the value of a tree of nodes."""

    def __init__(self) -> None:
        self.places, self.nodes = Places(), 0

    def value(self, node: Node, at: str, above: frozenset[int] = frozenset()) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Unreadable([Flaw(_span(node), f"the file stands for more than {MAX_NODES:,} values")])
        if id(node) in above:
            raise Unreadable([Flaw(_span(node), "an alias stands within what it is an alias of")])
        self.places.values[at] = _span(node)
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, at, above | {id(node)})
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(n, pointer(at, i), above | {id(node)}) for i, n in enumerate(node.value)]
        return self.scalar(node)

    def mapping(self, node: MappingNode, at: str, above: frozenset[int]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag != _TAG + "str":
                self.places.flaws.append(Flaw(_span(key), "expected a text as key"))
                continue
            here = pointer(at, key.value)
            self.places.key(here, _span(key), key.value, key.value in found)
            found[key.value] = self.value(value, here, above)
        return found

    def scalar(self, node: Node) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        try:
            if kind == "int":
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            if kind == "float":
                return finite(float(text.lower().replace(".inf", "inf").replace(".nan", "nan")))
        except ValueError:
            self.places.flaws.append(Flaw(_span(node), f"{text!r:.40} is not a number that a spec can have"))
            return None
        if kind in ("null", "bool", "str") and isinstance(node, ScalarNode):
            return {"null": None, "bool": text.lower() == "true", "str": text}[kind]
        self.places.flaws.append(Flaw(_span(node), f"a spec has no values with the tag {node.tag!r:.60}"))
        return None


def _span(node: Node) -> Span:
    start, end = node.start_mark, node.end_mark
    return start.index, max(end.index, start.index + 1)


def read_yaml(text: str) -> Parsed:
    """Raises Unreadable, with every flaw that reading on has found."""
    builder = _Builder()
    try:
        node = yaml.compose(text, _Core)
        value = None if node is None else builder.value(node, "")
    except yaml.MarkedYAMLError as error:
        raise Unreadable([_flaw(error)]) from None
    except yaml.reader.ReaderError as error:
        raise Unreadable([Flaw((error.position, error.position + 1), f"YAML has no character {chr(error.character)!a}")]) from None
    except RecursionError:
        raise Unreadable([Flaw((0, 1), "objects and lists are nested too deep")]) from None
    if builder.places.flaws:
        raise Unreadable(builder.places.flaws)
    return Parsed(value, builder.places)


def _flaw(error: yaml.MarkedYAMLError) -> Flaw:
    mark = error.problem_mark or error.context_mark
    at = mark.index if mark else 0
    detail = str(error.problem or error.context)
    if error.context and error.problem:
        detail = f"{detail} ({error.context})"
    if detail.startswith("found character '\\t'"):
        detail = "YAML is indented with spaces, not with tabs"
    return Flaw((at, at + 1), detail)
