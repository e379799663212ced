"""Unpacking gzip piece by piece, within a ratio: a few bytes must not unfold into a full disk or a full memory."""

import zlib
from collections.abc import Iterator

LARGEST_RATIO = 200  # text of NDJSON packs into a tenth to a fiftieth
FREE = 16 * 1024 * 1024  # bytes out that are allowed whatever came in
PIECE = 256 * 1024  # bytes out at a time
GZIP = 16 + zlib.MAX_WBITS


class MalformedStream(ValueError):
    """The bytes are not gzip, end too early, or unfold beyond the ratio. The text says which."""


class Inflater:
    """Turns gzip bytes into what they hold. Several members in a row are one stream (RFC 1952 §2.2)."""

    def __init__(self) -> None:
        self._packed = 0
        self._unpacked = 0
        self._member = zlib.decompressobj(GZIP)
        self._is_inside = False  # a member has begun and not ended

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unfolds into, in small pieces. Raises MalformedStream."""
        self._packed += len(data)
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP)
            self._is_inside = True
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error:
                raise MalformedStream("a file is not the gzip it says it is") from None
            self._unpacked += len(piece)
            if self._unpacked > FREE + LARGEST_RATIO * self._packed:
                raise MalformedStream("a file unfolds beyond the ratio that is allowed")
            if piece:
                yield piece
            if self._member.eof:
                self._is_inside = False
                data = self._member.unused_data
            else:
                data = self._member.unconsumed_tail

    def finish(self) -> None:
        """Raise MalformedStream when the stream ended inside a member."""
        if self._is_inside:
            raise MalformedStream("a file is cut off inside its gzip stream")
