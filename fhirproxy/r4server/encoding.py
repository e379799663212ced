"""JSON with exact decimals: `1.50` stays `1.50`, as FHIR R4 json.html asks of the decimal type."""

from decimal import Decimal
from typing import Any

import msgspec

JsonObject = dict[str, Any]

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(body: bytes) -> Any:
    """Return the JSON value in `body`, non-integers as Decimal. Raises ValueError when it is not JSON."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def encode(value: Any) -> bytes:
    """Return compact UTF-8 JSON; members keep their order, decimals their digits."""
    return _encoder.encode(value)
