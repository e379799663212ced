"""What a JWK Set may hold.  Source: RFC 7517 §4 and §5; RFC 7518 §6; RFC 8725 §3.4."""

import pytest

from clients.jwks_rules import UnusableJwks, import_public_key, read_jwks, require_registrable, shown
from clients.key_pairs import KeyPair, load_private_key
from tests.factories import weak_rsa


def refused_rule(check, *args) -> str:
    with pytest.raises(UnusableJwks) as refused:
        check(*args)
    return refused.value.rule


def test_good_keys_are_read_and_registrable(rsa: KeyPair, ec: KeyPair):
    document = {"keys": [rsa.public_jwk, ec.public_jwk]}
    assert [entry["kid"] for entry in read_jwks(document)] == ["rsa-1", "ec-1"]
    require_registrable(document)


@pytest.mark.requirement("KEYS-06")
@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (None, "jwks.no_keys"),
        ([], "jwks.no_keys"),
        ({}, "jwks.no_keys"),
        ({"keys": None}, "jwks.no_keys"),
        ({"keys": {"a": 1}}, "jwks.no_keys"),
        ({"keys": ["key"]}, "jwks.key_malformed"),
        ({"keys": [{"kty": "OKP"}] * 101}, "jwks.too_many_keys"),
    ],
)
def test_a_document_that_is_no_key_set_is_refused_everywhere(document, rule):
    assert refused_rule(read_jwks, document) == rule
    assert refused_rule(require_registrable, document) == rule


@pytest.mark.parametrize("kty", [None, 1, [], ["EC"], {"EC": 1}])
def test_a_kty_that_is_no_text_is_skipped_like_an_unknown_one(kty, ec: KeyPair):
    assert [entry["kid"] for entry in read_jwks({"keys": [{**ec.public_jwk, "kty": kty}, ec.public_jwk]})] == ["ec-1"]


@pytest.mark.parametrize("value", ["\0", "sig\0", "\ud800", float("nan"), float("inf"), ["\0"], {"\0": 1}])
@pytest.mark.parametrize("member", ["use", "alg", "key_ops", "n"])
def test_what_the_database_would_not_keep_is_refused_as_malformed(member, value, ec: KeyPair):
    assert refused_rule(read_jwks, {"keys": [{**ec.public_jwk, member: value}]}) == "jwks.key_malformed"


@pytest.mark.requirement("KEYS-06")
def test_a_hundred_entries_are_read(ec: KeyPair):
    assert len(read_jwks({"keys": [ec.public_jwk] * 100})) == 100


@pytest.mark.requirement("REG-07")
@pytest.mark.requirement("KEYS-06")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_one_private_member_condemns_the_set(member, rsa: KeyPair, ec: KeyPair):
    document = {"keys": [rsa.public_jwk, {**ec.public_jwk, member: "AQAB"}]}
    assert refused_rule(read_jwks, document) == "jwks.private_key"
    assert refused_rule(require_registrable, document) == "jwks.private_key"


def test_a_private_key_of_an_unknown_kind_condemns_the_set_too(ec: KeyPair):
    document = {"keys": [ec.public_jwk, {"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA", "kid": "okp"}]}
    assert refused_rule(read_jwks, document) == "jwks.private_key"


def test_the_refusal_of_a_private_key_does_not_repeat_it(ec: KeyPair):
    private = load_private_key(ec.private_pem).as_dict(private=True)
    with pytest.raises(UnusableJwks) as refused:
        read_jwks({"keys": [private]})
    assert refused.value.rule == "jwks.private_key"
    assert str(private["d"]) not in f"{refused.value} {vars(refused.value)}"


@pytest.mark.requirement("KEYS-06")
def test_entries_of_unknown_kind_or_without_usable_kid_are_skipped(ec: KeyPair):
    strange = [{"kty": "OKP", "kid": "okp"}, {"kid": "nothing"}, {**ec.public_jwk, "kid": 7}, {"kty": "EC"}]
    strange += [{**ec.public_jwk, "kid": bad} for bad in ("", "a\x00b", "\ud800", "k" * 256)]
    assert [entry["kid"] for entry in read_jwks({"keys": [*strange, ec.public_jwk]})] == ["ec-1"]


def test_only_the_members_we_use_are_kept(ec: KeyPair):
    [entry] = read_jwks({"keys": [{**ec.public_jwk, "x5c": ["\x00"], "owner": "me"}]})
    assert entry == ec.public_jwk


BAD_KEYS = [
    # kind   change                                  rule
    ("rsa", {"n": ...}, "jwks.key_malformed"),
    ("rsa", {"e": ...}, "jwks.key_malformed"),
    ("rsa", {"n": 5}, "jwks.key_malformed"),
    ("rsa", {"n": "a=="}, "jwks.key_malformed"),
    ("rsa", {"n": "AQAB"}, "jwks.key_malformed"),
    ("rsa", {"e": "AA"}, "jwks.key_malformed"),
    ("ec", {"x": ...}, "jwks.key_malformed"),
    ("ec", {"crv": "secp256k1"}, "jwks.key_malformed"),
    ("ec", {"crv": "P-256"}, "jwks.key_malformed"),
    ("ec", {"x": "AQAB"}, "jwks.key_malformed"),  # not a point of the curve
]


@pytest.mark.requirement("REG-07")
@pytest.mark.requirement("JWT-10")
@pytest.mark.parametrize(("kind", "change", "rule"), BAD_KEYS)
def test_a_key_that_is_not_whole_is_refused(kind, change, rule, rsa: KeyPair, ec: KeyPair):
    good = {"rsa": rsa, "ec": ec}[kind].public_jwk
    import_public_key(good)
    bad = {name: value for name, value in (good | change).items() if value is not ...}
    assert refused_rule(import_public_key, bad) == rule
    assert refused_rule(require_registrable, {"keys": [bad]}) == rule
    read_jwks({"keys": [bad]})  # Published beside good keys it harms nobody until it is chosen.


@pytest.mark.requirement("ASYM-09", "SEC-14")
def test_a_short_rsa_key_is_weak():
    assert refused_rule(import_public_key, weak_rsa()) == "jwks.weak_key"


@pytest.mark.requirement("REG-07")
def test_keys_registered_by_value_have_kids_of_their_own_and_are_asymmetric(rsa: KeyPair, ec: KeyPair):
    without = {name: value for name, value in ec.public_jwk.items() if name != "kid"}
    assert refused_rule(require_registrable, {"keys": [without]}) == "jwks.kid_missing"
    same = [rsa.public_jwk, {**ec.public_jwk, "kid": "rsa-1"}]
    assert refused_rule(require_registrable, {"keys": same}) == "jwks.kid_ambiguous"
    assert refused_rule(require_registrable, {"keys": [{"kty": "oct", "kid": "a"}]}) == "jwks.private_key"
    assert refused_rule(require_registrable, {"keys": [{"kid": "a"}]}) == "jwks.key_malformed"
    assert refused_rule(require_registrable, {"keys": []}) == "jwks.no_usable_key"
    assert refused_rule(require_registrable, {"keys": [{"kty": "OKP", "kid": "a"}]}) == "jwks.no_usable_key"


def test_depth_that_one_step_takes_and_another_does_not_is_refused_and_not_shown(rsa: KeyPair):
    deep: object = "x"
    for _ in range(5_000):
        deep = [deep]
    key = rsa.public_jwk | {"key_ops": deep}
    assert refused_rule(read_jwks, {"keys": [key]}) == "jwks.key_malformed"
    assert shown(deep) == "a value that is nested too deeply"
