"""Pictures that somebody uploads: what is one, how large, and that nothing else stays in it.

PNG (ISO/IEC 15948), JPEG (ITU-T T.81), WebP (RFC 9649).
"""

import zlib

import pytest

from clients.pictures import LARGEST, NoPicture, read_picture
from tests.clients.picture_files import JPEG, PNG, WEBP, chunk, png

SCRIPT = b"<script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
AROUND = {
    "PNG with a page after its end": png(after=SCRIPT),
    "PNG with a text in it": png(extra=chunk(b"tEXt", b"Comment\0" + SCRIPT)),
    "PNG with a packed text in it": png(extra=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(SCRIPT * 100_000))),
    "JPEG with a page after its end": JPEG + SCRIPT,
    "JPEG with a comment": JPEG[:2] + b"\xff\xfe\x00\x1b" + SCRIPT + JPEG[2:],
    "JPEG with a place in it": JPEG[:2] + b"\xff\xe1\x00\x1b" + SCRIPT + JPEG[2:],
    "WebP with a page after its end": WEBP + SCRIPT,
    "WebP with a part nobody knows": WEBP[:4]
    + (len(WEBP) - 8 + 34).to_bytes(4, "little")
    + WEBP[8:]
    + b"EXIF\x19\0\0\0"
    + SCRIPT
    + b"\0",
}


@pytest.mark.parametrize(("data", "media_type", "size"), [
    (png(), "image/png", (32, 16)),
    (png(kind=0), "image/png", (32, 16)),
    (png(kind=6), "image/png", (32, 16)),
    (JPEG, "image/jpeg", (16, 16)),
    (WEBP, "image/webp", (16, 16)),
])  # fmt: skip
def test_a_picture_is_kept_as_it_is(data: bytes, media_type: str, size: tuple[int, int]) -> None:
    found = read_picture(data)
    assert (found.media_type, (found.width, found.height)) == (media_type, size)
    assert found.content == data
    assert read_picture(found.content) == found


@pytest.mark.parametrize("data", AROUND.values(), ids=AROUND.keys())
def test_what_is_no_picture_stays_behind(data: bytes) -> None:
    found = read_picture(data)
    assert b"script" not in found.content
    assert found.content in (png(), JPEG, WEBP)


BOMB = b"\0" * 60_000_000
OTHER_SIZE = b"\xff\xc0\x00\x0b\x08\x10\x00\x10\x00\x01\x01\x11\x00"
REFUSED = {
    "a page": (SCRIPT, "not a PNG, JPEG or WebP"),
    "an SVG": (SVG, "not a PNG, JPEG or WebP"),
    "a GIF that is a script": (b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)", "not a PNG, JPEG or WebP"),
    "nothing": (b"", "not a PNG, JPEG or WebP"),
    "a page with the name of a PNG": (PNG + SCRIPT * 10, "damaged"),
    "a large file": (png() + b"\0" * LARGEST, "are the most: save it smaller"),
    "more unpacked than the size says": (png(pixels=BOMB), "more or less than its size says"),
    "less unpacked than the size says": (png(pixels=b"\0"), "more or less than its size says"),
    "something hidden behind the pixels": (
        png()[:33] + chunk(b"IDAT", zlib.compress((b"\0" + b"\x7a\x1f\x5c" * 32) * 16) + SCRIPT) + chunk(b"IEND", b""),
        "more or less than its size says",
    ),
    "pixels without end": (png(60_000, 60_000, pixels=b"\0"), "60,000 by 60,000 pixels"),
    "all together too many pixels": (png(2_000, 2_000, pixels=b"\0"), "2,000 by 2,000 pixels"),
    "a dot": (png(1, 1), "1 by 1 pixels"),
    "a broken check sum": (png()[:-20] + b"xxxx" + png()[-16:], "damaged"),
    "half a PNG": (png()[:60], "damaged"),
    "a moving PNG": (png(extra=chunk(b"acTL", b"\0" * 8)), "moves"),
    "half a JPEG": (JPEG[:200], "damaged"),
    "a JPEG with two sizes": (JPEG.replace(b"\xff\xc0", OTHER_SIZE + b"\xff\xc0", 1), "damaged"),
    "half a WebP": (WEBP[:40], "damaged"),
    "a moving WebP": (WEBP[:12] + b"ANIM\x06\0\0\0" + b"\0" * 6 + WEBP[12:], "moves"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "because"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_good_picture_is_refused_with_what_would_do(data: bytes, because: str) -> None:
    with pytest.raises(NoPicture, match=because):
        read_picture(data)


@pytest.mark.parametrize("data", [png(), JPEG, WEBP], ids=["PNG", "JPEG", "WebP"])
def test_no_byte_out_of_place_is_more_than_a_refusal(data: bytes) -> None:
    for at in range(len(data)):
        for odd in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            try:
                found = read_picture(odd)
            except NoPicture:
                continue
            assert max(found.width, found.height) <= 2_048
