"""Server-sent events, taken apart (WHATWG HTML, 9.2)."""

from __future__ import annotations


class Decoder:
    """The data of each message in a stream of bytes. Names and ids are left to the data, which has them."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the messages that end in this piece."""
        *messages, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        return [data for message in messages if (data := _data(message))]


def _data(message: bytes) -> bytes:
    lines = (line.removeprefix(b"data:") for line in message.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line.removeprefix(b" ") for line in lines)


__all__ = ["Decoder"]
