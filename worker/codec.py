"""Records as they stand in Redis, read and written in this one place.

A record is a hash. Text and numbers are stored as they are, times in milliseconds, everything else as JSON; what is None is left out.
``schema_version`` says which version of :mod:`worker.records` wrote a record; :func:`parse` brings older ones up to date.
"""

from __future__ import annotations

import functools
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from pydantic import TypeAdapter

from worker.records import SCHEMA_VERSION, Record, Spec

R = TypeVar("R", bound=Record)


@functools.cache
def _plain_fields(kind: type[Record]) -> Mapping[str, str]:
    """The stored names of the fields that are stored as text, by field name."""
    return {n: f.alias or n for n, f in kind.model_fields.items() if _is_plain(f.annotation)}


@functools.cache
def _text_fields(kind: type[Record]) -> frozenset[str]:
    """The stored names of the fields that are a text and never None: an empty one is what it says."""
    return frozenset(f.alias or n for n, f in kind.model_fields.items() if f.annotation is str)


def _is_plain(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return all(_is_plain(a) for a in typing.get_args(annotation))
    if typing.get_origin(annotation) is Literal:
        return True
    return annotation is type(None) or (isinstance(annotation, type) and issubclass(annotation, str | int | float))


def dump(record: Record) -> dict[str, str | int | float]:
    """A record as the fields of its hash."""
    return dump_fields(type(record), {n: v for n, v in record if v is not None})


def dump_fields(kind: type[Record], values: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Some fields of a record, by their names in ``kind``, as stored. None becomes an empty text, which :func:`parse` leaves out
    where the field may be None."""
    found: dict[str, str | int | float] = {}
    plain = _plain_fields(kind)
    for name, value in values.items():
        field = kind.model_fields[name]
        if value is None:
            found[field.alias or name] = ""
        elif name in plain:
            found[plain[name]] = value
        else:
            found[field.alias or name] = _adapter(kind, name).dump_json(value, exclude_none=True).decode()
    return found


@functools.cache
def _adapter(kind: type[Record], name: str) -> TypeAdapter[Any]:
    return TypeAdapter(typing.cast(Any, kind.model_fields[name].annotation))


def parse(kind: type[R], raw: Mapping[bytes, bytes]) -> R:
    """A record from its hash, brought up to date. Raises pydantic's ValidationError for one that is damaged."""
    texts = _text_fields(kind)
    stored = {n: v.decode() for k, v in raw.items() if (n := k.decode()) in texts or v}
    plain = {n for names in _plain_fields(kind).items() for n in names}
    values = {k: v if k in plain else json.loads(v) for k, v in stored.items()}
    return kind.model_validate(_MIGRATIONS[int(values.get("schema_version", 1))](kind, values))


def _from_1(kind: type[Record], values: Spec) -> Spec:
    """Version 0.1.0: everything that came later has a default."""
    return {**values, "schema_version": SCHEMA_VERSION}


_MIGRATIONS: dict[int, typing.Callable[[type[Record], Spec], Spec]] = {1: _from_1, SCHEMA_VERSION: lambda kind, values: values}
