"""Pictures that others may see: a PNG, JPEG or WebP of a size we can vouch for, and nothing besides the picture. Pure.

The format is read out of the bytes, never out of a name or a Content-Type. What is kept is put together anew from the
parts that make up the picture: text, places and thumbnails stay behind, and so does whatever else a file can hold
that is a picture to one program and a page or an archive to another.
Source: PNG (ISO/IEC 15948); JPEG (ITU-T T.81 annex B); WebP (RFC 9649).
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

LARGEST = 256 * 1024  # bytes
SIDES = (16, 2_048)  # pixels
MOST_PIXELS = 2_000_000  # what a browser has to make room for, whatever the file's size

PNG, RIFF = b"\x89PNG\r\n\x1a\n", b"RIFF"
PNG_PARTS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"IDAT", b"IEND"})
# colour type: (samples per pixel, depths)
PNG_KINDS = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)), 6: (4, (8, 16))}
JPEG_SIZES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: what browsers show
# Tables, frames and scans.
JPEG_PARTS = frozenset({0xC4, 0xDB, 0xDD, 0xDA}) | JPEG_SIZES
JFIF, ADOBE = b"JFIF\0", b"Adobe"
WEBP_PARTS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH"})


class NoPicture(ValueError):
    """The bytes are no picture that can be shown. The text says why and what would do, in one sentence."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and nothing else. `width` and `height` are pixels."""

    media_type: str  # image/png, image/jpeg or image/webp
    width: int
    height: int
    content: bytes


def read_picture(data: bytes) -> Picture:
    """Return what is a picture in `data`. Raises NoPicture."""
    require_small(len(data))
    try:
        if data.startswith(PNG):
            return _png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(RIFF) and data[8:12] == b"WEBP":
            return _webp(data)
    except (IndexError, zlib.error):
        raise NoPicture("the picture is damaged, or breaks off: save it again") from None
    raise NoPicture("the file is not a PNG, JPEG or WebP picture: save it as one of these")


def require_small(size: int) -> None:
    """Raise NoPicture for a file of more bytes than are kept."""
    if size > LARGEST:
        raise NoPicture(f"the file has {size:,} bytes, and {LARGEST:,} are the most: save it smaller")


def _sized(media_type: str, width: int, height: int, content: bytes) -> Picture:
    _require_size(width, height)
    return Picture(media_type, width, height, content)


def _require_size(width: int, height: int) -> None:
    if not all(SIDES[0] <= side <= SIDES[1] for side in (width, height)) or width * height > MOST_PIXELS:
        raise NoPicture(
            f"the picture has {width:,} by {height:,} pixels: each side may have {SIDES[0]} to {SIDES[1]:,}, and all "
            f"together {MOST_PIXELS:,}"
        )


def _png(data: bytes) -> Picture:
    kept, packed, header = bytearray(PNG), bytearray(), b""
    for name, body in _png_chunks(data):
        if name == b"acTL":
            raise NoPicture("the picture moves: save one that stands still")
        if name not in PNG_PARTS:
            if name[0] & 0x20 == 0:
                raise IndexError(name)  # A critical part we do not know: it cannot be shown without.
            continue
        header = header or body
        packed += body if name == b"IDAT" else b""
        kept += len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    _require_size(width, height)
    _require_pixels(header, width, height, bytes(packed))
    return Picture("image/png", width, height, bytes(kept))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk the chunks up to the last; what follows that is no part of the picture."""
    at = len(PNG)
    while True:
        size, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        body, check = data[at + 8 : at + 8 + size], data[at + 8 + size : at + 12 + size]
        if len(check) != 4 or int.from_bytes(check) != zlib.crc32(name + body):
            raise IndexError(at)
        if (at == len(PNG)) != (name == b"IHDR") or (name == b"IHDR" and size != 13):
            raise IndexError(at)
        yield name, body
        if name == b"IEND":
            return
        at += 12 + size


def _require_pixels(header: bytes, width: int, height: int, packed: bytes) -> None:
    """Raise unless the data unpack to exactly as much as the size says; never unpack more than that."""
    depth, kind, interlaced = header[8], header[9], header[12]
    samples, depths = PNG_KINDS.get(kind, (0, ()))
    if depth not in depths or interlaced not in (0, 1):
        raise IndexError(kind)
    passes = [(width, height)] if not interlaced else _adam7(width, height)
    # Each line has one byte that says how it was filtered.
    expected = sum(high * (1 + (wide * samples * depth + 7) // 8) for wide, high in passes if wide)
    unpacker = zlib.decompressobj()
    found = unpacker.decompress(packed, expected + 1)
    if len(found) != expected or not unpacker.eof or unpacker.unused_data:
        raise NoPicture("the picture holds more or less than its size says: save it again")


def _adam7(width: int, height: int) -> list[tuple[int, int]]:
    """Return the sizes of the seven passes of an interlaced picture."""
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    return [((width - x + across - 1) // across, (height - y + down - 1) // down) for x, y, across, down in steps]


def _jpeg(data: bytes) -> Picture:
    kept, at, size = bytearray(b"\xff\xd8"), 2, (0, 0)
    has_scan = False
    while True:
        while data[at + 1] == 0xFF:
            at += 1  # Fill bytes may come before any marker.
        if data[at] != 0xFF:
            raise IndexError(at)
        marker = data[at + 1]
        if marker == 0xD9:
            break
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if 0xD0 <= marker <= 0xD8 or end < at + 4 or end > len(data):
            raise IndexError(at)
        if marker in JPEG_SIZES:
            if size != (0, 0):
                raise IndexError(at)  # Two sizes: which one counts is up to whoever reads it.
            size = (int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7]))
        elif 0xC0 <= marker <= 0xCF and marker not in JPEG_PARTS:
            raise NoPicture("this kind of JPEG is not shown by browsers: save it as a usual one, or as a PNG")
        if marker == 0xDA:
            has_scan = True
            end = _end_of_scan(data, end)
        kept += data[at:end] if marker in JPEG_PARTS else _colour_hint(marker, data[at + 4 : end])
        at = end
    if not has_scan:
        raise IndexError(at)
    return _sized("image/jpeg", *size, bytes(kept + b"\xff\xd9"))


def _colour_hint(marker: int, body: bytes) -> bytes:
    """Return of what applications add the two headers that say how colours are meant, without a thumbnail."""
    if marker == 0xE0 and body.startswith(JFIF):
        return b"\xff\xe0\x00\x10" + JFIF + body[5:12].ljust(7, b"\0") + b"\0\0"
    if marker == 0xEE and body.startswith(ADOBE) and len(body) >= 12:
        return b"\xff\xee\x00\x0e" + body[:12]
    return b""


def _end_of_scan(data: bytes, at: int) -> int:
    """Return where the next marker is that ends the compressed data: neither a stuffed byte nor a restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            raise IndexError(at)
        following = data[at + 1]
        if following not in (0x00, 0xFF) and not 0xD0 <= following <= 0xD7:
            return at
        at += 1 if following == 0xFF else 2


def _webp(data: bytes) -> Picture:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise IndexError(end)
    parts = dict[bytes, bytes]()
    at = 12
    while at < end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if at + 8 + size > end or len(body) != size:
            raise IndexError(at)
        if name in (b"ANIM", b"ANMF"):
            raise NoPicture("the picture moves: save one that stands still")
        if name in WEBP_PARTS:
            parts.setdefault(name, body)
        at += 8 + size + size % 2
    width, height = _webp_size(parts)
    if b"VP8X" in parts:
        # Its first byte announces what was left behind; of that only transparency stays.
        parts[b"VP8X"] = bytes([parts[b"VP8X"][0] & 0x10]) + parts[b"VP8X"][1:10]
    inner = b"WEBP" + b"".join(
        name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2) for name, body in parts.items()
    )
    return _sized("image/webp", width, height, RIFF + len(inner).to_bytes(4, "little") + inner)


def _webp_size(parts: dict[bytes, bytes]) -> tuple[int, int]:
    """Return the size of the picture itself; a canvas around it must be just as large."""
    if (b"VP8 " in parts) == (b"VP8L" in parts):
        raise IndexError
    if b"VP8L" in parts:
        body = parts[b"VP8L"]
        bits = int.from_bytes(body[1:5], "little")
        found = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        is_sound = body[0] == 0x2F and len(body) > 5
    else:
        body = parts[b"VP8 "]
        found = (int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF)
        is_sound = body[3:6] == b"\x9d\x01\x2a" and body[0] & 1 == 0 and len(body) > 10
    if b"VP8X" in parts:
        canvas = parts[b"VP8X"]
        is_sound = is_sound and len(canvas) == 10
        sides = (int.from_bytes(canvas[at : at + 3], "little") + 1 for at in (4, 7))
        is_sound = is_sound and tuple(sides) == found
    if not is_sound:
        raise IndexError
    return found
