# Made from client/aio/models.py by scripts/build_sync.py: change that, and run it.
"""``client.models``: models with names, versions and aliases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from client.sync.finished import Answers, ModelFormat, download, predict
from client.sync.paging import pages
from client.sync.runtime import Stream
from client.sync.transport import Transport
from client.call import Call, Progress
from client.samples import Samples
from server.models import ModelInfo, Page


def _path(*parts: str) -> str:
    return "/".join(["/v1/models", *(quote(p, safe="") for p in parts)])


class Models:
    """The named models of a server. ``NAME`` is the newest version, ``NAME@ALIAS`` and ``NAME@NUMBER`` are others."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, job: str, step: int | str = "best", aliases: Sequence[str] = ()) -> ModelInfo:
        """Makes a job's model the next version of ``name``, a copy that outlives the job.

        Args:
            name: Letters, digits, ``_``, ``.`` and ``-``, beginning with a letter.
            job: The id of the job.
            step: A checkpoint's number, ``latest`` or ``best``.
            aliases: Name this version from now on.

        Raises ApiError 404 if there is no such model. If the answer is lost it is not sent again, which raises Unreachable.
        """
        body = {"name": name, "job": job, "step": str(step), "aliases": [*aliases]}
        return self._transport.call(ModelInfo, Call("POST", _path(), json=body, repeatable=False))

    def get(self, name: str) -> ModelInfo:
        """The versions of a model, oldest first, and its aliases. Raises ApiError 404 if there is none."""
        return self._transport.call(ModelInfo, Call("GET", _path(name)))

    def list(self, limit: int | None = None) -> Stream[ModelInfo]:
        """Named models, newest first, at most ``limit``, read page by page while you iterate."""
        return pages(self._transport, Page[ModelInfo], _path(), {}, limit)

    def point(self, name: str, alias: str, version: int) -> ModelInfo:
        """Has an alias name a version; what it named before is kept, for :meth:`roll_back`. Raises ApiError 404 if there is no such version."""
        return self._transport.call(ModelInfo, Call("PUT", _path(name, "aliases", alias), json={"version": version}))

    def roll_back(self, name: str, alias: str) -> ModelInfo:
        """Has an alias name what it named before. Raises ApiError 404 where it named nothing; it is not sent again if its answer is lost."""
        return self._transport.call(ModelInfo, Call("POST", _path(name, "aliases", alias, "rollback"), repeatable=False))

    def delete_alias(self, name: str, alias: str) -> ModelInfo:
        """Takes an alias away; the versions stay. Raises ApiError 404 if there is none."""
        self._transport.send(Call("DELETE", _path(name, "aliases", alias)))
        return self.get(name)

    def delete(self, name: str) -> None:
        """Deletes a model with all its versions; the jobs whose models they were stay. Raises ApiError 404 if there is none."""
        self._transport.send(Call("DELETE", _path(name)))

    def predict(self, name: str, samples: Samples, explain: bool = False) -> Answers:
        """What ``NAME``, ``NAME@ALIAS`` or ``NAME@NUMBER`` says of samples. Arguments and errors as of :meth:`Job.predict`."""
        return (predict(self._transport, name, samples, "best", explain)).data

    def download(
        self, name: str, path: str | Path | None = None, format: ModelFormat = "safetensors", progress: Progress | None = None
    ) -> Path:
        """Saves ``NAME``, ``NAME@ALIAS`` or ``NAME@NUMBER``. Arguments and errors as of :meth:`Job.download`."""
        return download(self._transport, name, "best", path, format, progress)


__all__ = ["Models"]
