"""Recognising the private part of a key in any text or JSON, so that nothing of it is ever kept. Pure.

People paste it where a public key, a URL or a name is asked for: as PEM, as a JWK, or as the bare base64 of either.
Source: RFC 7468 §10, §11 and §13; RFC 7518 §6; RFC 5958 §2; RFC 8017 A.1.2; RFC 5915 §3.
"""

import base64
import re
from collections.abc import Mapping

from clients.jwks_rules import PRIVATE_MEMBERS

PEM = re.compile(r"-{2,}\s*BEGIN [A-Z0-9 ]*PRIVATE KEY", re.IGNORECASE)
# A private member with a number of 192 bits or more, however it is quoted: an object of JavaScript, JSON in JSON.
MEMBER = re.compile(r"""(?<![\w-])(?:d|p|q|dp|dq|qi|k)["'\\]*\s*:\s*["'\\]*[A-Za-z0-9_-]{32}""")
ESCAPED = re.compile(r"\\u00([0-7][0-9a-fA-F])")
# What may be DER in base64, with its line breaks: a SEQUENCE begins with M.
BASE64 = re.compile(r"(?<![A-Za-z0-9+/])M[A-Za-z0-9+/]{15}(?:[A-Za-z0-9+/]|\s){32}")
PEM_IN_BASE64 = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{24,}")
# A SEQUENCE of a version 0 or 1 and then an algorithm, a modulus or the number of an EC key. In a public key and in a
# certificate no such version comes first.
PRIVATE_DER = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01][\x30\x02\x04]", re.DOTALL)


def holds_private_key(value: object) -> bool:
    """Return True when the private part of a key, or a symmetric one, is anywhere in a text or in decoded JSON."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str) and _in_text(one):
            return True
        if isinstance(one, Mapping):
            if PRIVATE_MEMBERS & set(one):
                return True
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
    return False


def _in_text(text: str) -> bool:
    plain = ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    if PEM.search(plain) or MEMBER.search(plain):
        return True
    if any(PRIVATE_DER.match(base64.b64decode(found[0][:16])) for found in BASE64.finditer(text)):
        return True
    return any(PEM.search(_decoded(found[0])) for found in PEM_IN_BASE64.finditer(text))


def _decoded(text: str) -> str:
    return base64.b64decode(text[: len(text) // 4 * 4]).decode("latin-1")
