"""What we sealed opens for one purpose and in one spelling."""

import pytest

from smartauth.sealing import Unsealable, decrypt, encrypt


def test_what_was_sealed_opens_for_its_purpose_only() -> None:
    sealed = encrypt(b"secret", purpose="one")
    assert decrypt(sealed, purpose="one") == b"secret"
    with pytest.raises(Unsealable):
        decrypt(sealed, purpose="other")


@pytest.mark.parametrize(
    "spoil", [lambda text: text + text, lambda text: text + "A", lambda text: text + "====", str.upper]
)
def test_another_spelling_does_not_open(spoil: object) -> None:
    sealed = encrypt(b"123456", purpose="one")
    assert sealed.endswith("=")
    with pytest.raises(Unsealable):
        decrypt(spoil(sealed), purpose="one")  # type: ignore[operator]


def test_the_last_unused_bits_count() -> None:
    sealed = encrypt(b"twenty bytes of text", purpose="one")
    assert sealed[-1] == "="
    assert sealed[-2] != "="  # One padding character: two bits are unused.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    with pytest.raises(Unsealable):
        decrypt(f"{sealed[:-2]}{alphabet[alphabet.index(sealed[-2]) + 1]}=", purpose="one")


@pytest.mark.parametrize("text", ["", "AAAA", "ä", "=", "not sealed"])
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(Unsealable):
        decrypt(text, purpose="one")
