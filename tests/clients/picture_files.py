"""Pictures for tests, put together by hand so that each byte can be wrong."""

import base64
import zlib

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)


def png(
    width: int = 32,
    height: int = 16,
    *,
    pixels: bytes | None = None,
    extra: bytes = b"",
    kind: int = 2,
    after: bytes = b"",
) -> bytes:
    """Return a PNG of one colour.    extra: chunks after the header; pixels: what is packed, unfiltered lines."""
    samples = {0: 1, 2: 3, 6: 4}[kind]
    lines = (b"\0" + b"\x7a\x1f\x5c\xff"[:samples] * width) * height if pixels is None else pixels
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, kind, 0, 0, 0])
    packed = chunk(b"IDAT", zlib.compress(lines, 9))
    return PNG + chunk(b"IHDR", header) + extra + packed + chunk(b"IEND", b"") + after


JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeX"
    "BkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARCAAQ"
    "ABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAb/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAAAwX/xA"
    "AUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCfAOpv/9k="
)
WEBP = base64.b64decode("UklGRjQAAABXRUJQVlA4ICgAAACQAQCdASoQABAAAgA0JaACdLoAA5gA/vNplrQtCBz/4hzt38CtYgAA")
