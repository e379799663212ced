"""What a server that lies can send in place of an honest answer: other people's content, and bytes that mislead.

Each distortion takes a scene and returns what goes out. Nothing here makes up what a stored resource is about: a lie
that no reader could notice proves nothing about the reader.
"""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

from fhirproxy.r4server.encoding import decode, encode
from fhirproxy.r4server.errors import operation_outcome
from fhirproxy.r4server.faults import Sending
from fhirproxy.r4server.messages import Request, Response
from fhirproxy.r4server.store import Store, Version

BOMB = 64 * 1024 * 1024  # bytes when inflated; more than a reader should be ready to take
HUGE = 2 * 1024 * 1024
FOREIGN_ENTRIES = 6


@dataclass(frozen=True, slots=True)
class Scene:
    """An honest answer about to be distorted. `elsewhere`: a URL that nobody should ever be led to."""

    response: Response
    request: Request
    path: str  # behind the base, percent-encoded
    store: Store
    base_url: str
    elsewhere: str
    rng: Random

    def stranger(self) -> Version | None:
        """Return any resource of the store."""
        every = self.store.everything()
        return self.rng.choice(every) if every else None

    def document(self) -> dict[str, Any]:
        """Return the honest answer as a tree, or an empty one."""
        try:
            tree = decode(self.response.body)
        except ValueError:
            return {}
        return tree if isinstance(tree, dict) else {}

    def with_body(self, body: bytes, **changes: Any) -> Sending:
        """Return the honest answer with other bytes."""
        return Sending(replace(self.response, body=body, **changes))

    def with_document(self, tree: object) -> Sending:
        """Return the honest answer with another tree, as a success."""
        return self.with_body(encode(tree), status=200)


Distortion = Callable[[Scene], Sending]
WHO_IS_WHO = ("Patient", "Group", "RelatedPerson", "CareTeam")


def honest(scene: Scene) -> Sending:
    """Nothing is wrong."""
    return Sending(scene.response)


def foreign_entries(scene: Scene) -> Sending:
    """Put anybody's resources among the entries: as matches, includes, outcomes or nothing, under false URLs."""
    tree = scene.document()
    if tree.get("resourceType") != "Bundle":
        return Sending(scene.response)
    entries = list(tree.get("entry", []))
    for _ in range(FOREIGN_ENTRIES):
        version = scene.stranger()
        if version is None:
            break
        entry: dict[str, Any] = {"resource": version.resource}
        mode = scene.rng.choice(("match", "match", "include", "include", "outcome", "other", None))
        if mode is not None:
            entry["search"] = {"mode": mode}
        place = scene.rng.choice((version.key, version.key, "Patient/ana", "Basic/none", None))
        if place is not None:
            entry["fullUrl"] = f"{scene.base_url}/{place}"
        entries.insert(scene.rng.randint(0, len(entries)), entry)
    return scene.with_document({**tree, "entry": entries})


def lying_total(scene: Scene) -> Sending:
    """Name a total that has nothing to do with the entries."""
    total = scene.rng.choice((0, 1, 77_777, -1, "5", 1.5, None))
    return scene.with_document({**scene.document(), "total": total})


def lying_next(scene: Scene) -> Sending:
    """Lead the next page away: to another host, out of the base, around in circles, or into everything there is."""
    base = scene.base_url
    url = scene.rng.choice(
        (
            scene.elsewhere, f"{scene.elsewhere}/Patient", "file:///etc/passwd", f"{base}@127.0.0.1/Patient",
            f"{base}/../_received", f"{base}evil/Patient", f"{base}/Patient?_count=500", f"{base}/Patient/ben",
            f"{base}/Observation?_count=500", f"{base}/%2e%2e/x", f"{base}//Patient", "Patient", "",
            f"{base}/{scene.path}", None, 7,
        )
    )  # fmt: skip
    links = [{"relation": "next", "url": url}]
    if scene.rng.random() < 0.2:
        links.append({"relation": "next", "url": f"{base}/Patient"})
    return scene.with_document({**scene.document(), "link": links})


def wrong_bundle(scene: Scene) -> Sending:
    """Answer with a Bundle of a type, or entries of a shape, that was not asked for."""
    version = scene.stranger()
    resource = version.resource if version else {}
    entry = [{"resource": resource, "search": {"mode": "match"}}]
    kind = scene.rng.choice(("collection", "batch-response", "history", "document", "", None, ["searchset"]))
    nested = {"resourceType": "Bundle", "id": "nested", "type": "searchset", "entry": entry}
    return scene.with_document(
        scene.rng.choice(
            (
                {"resourceType": "Bundle", "type": kind, "entry": entry},
                {"resourceType": "Bundle", "type": "searchset", "entry": {"resource": resource}},
                {"resourceType": "Bundle", "type": "searchset", "entry": [resource]},
                {"resourceType": "Bundle", "type": "searchset", "entry": [[*entry]]},
                {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": nested}]},
                {"resourceType": "bundle", "type": "searchset", "entry": entry},
                [resource],
            )
        )
    )


def another_resource(scene: Scene) -> Sending:
    """Answer with a whole resource nobody asked for: of another id or another type."""
    version = scene.stranger()
    return Sending(replace(scene.response, status=200, body=version.raw)) if version else Sending(scene.response)


def invented(scene: Scene) -> Sending:
    """Answer a read of what does not exist with somebody's resource under the id that was asked for.

    Not for who is who, nor for what a Provenance hangs on: whoever reads that can only believe what it says.
    """
    kind, _, resource_id = scene.path.strip("/").partition("/")
    others = [version for version in scene.store.all_of(kind) if kind not in WHO_IS_WHO]
    if scene.store.find(kind, resource_id) is not None or not others or not resource_id:
        return another_resource(scene)
    name = f'"{kind}/{resource_id}"'.encode()
    if any(name in version.raw for version in scene.store.all_of("Provenance")):
        return another_resource(scene)
    return scene.with_document({**(scene.rng.choice(others).resource or {}), "id": resource_id})


def mixed_up(scene: Scene) -> Sending:
    """Answer with entries whose ids were mixed up: what an entry is called and what is in it are not the same."""
    tree = scene.document()
    entries = [one for one in tree.get("entry", []) if isinstance(one, dict) and isinstance(one.get("resource"), dict)]
    for entry in entries:
        other = scene.rng.choice(entries)["resource"]
        if entry["resource"].get("resourceType") == other.get("resourceType") and scene.rng.random() < 0.8:
            entry["resource"] = {**entry["resource"], "id": other.get("id")}
    return scene.with_document(tree) if entries else Sending(scene.response)


def duplicate_names(scene: Scene) -> Sending:
    """Say a thing twice: a reader keeping the first and one keeping the last see different patients."""
    kind, _, resource_id = scene.path.strip("/").partition("/")
    others = scene.store.all_of(kind)
    is_read = scene.response.status == 200 and scene.document().get("resourceType") == kind
    if not is_read and not others:
        return Sending(scene.response)
    body = scene.response.body if is_read else scene.rng.choice(others).raw
    # Twice by itself, for where nothing was said before there would be nothing to contradict.
    subject = b'"subject":{"reference":"Patient/nobody"},' + b"".join(
        b'"%b":{"reference":"Patient/ana"},' % name for name in (b"subject", b"patient")
    )
    twin = scene.rng.choice(
        (
            subject,
            subject,
            subject,
            b'"resourceType":"%b",' % kind.encode(),
            b'"id":"%b",' % resource_id.encode(),
            b'"\\u0069d":"%b",' % resource_id.encode(),
            b'"ID":"ana",',
        )
    )
    spoilt = body[:1] + twin + body[1:] if scene.rng.random() < 0.5 else body[:-1] + b"," + twin[:-1] + b"}"
    if not is_read:
        spoilt = b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":' + spoilt + b"}]}"
    return scene.with_body(spoilt, status=200)


def elsewhere(scene: Scene) -> Sending:
    """Redirect: to another host, or to somebody's resource here."""
    version = scene.stranger()
    place = f"{scene.base_url}/{version.key}" if version and scene.rng.random() < 0.5 else scene.elsewhere
    status = scene.rng.choice((301, 302, 303, 307, 308))
    return Sending(replace(scene.response, status=status, headers=[("Location", place)]))


def cut_off(scene: Scene) -> Sending:
    """End in the middle, or before the beginning."""
    return Sending(scene.response, cut_at=scene.rng.choice((-1, 0, 1, len(scene.response.body) // 2)))


def compressed(scene: Scene) -> Sending:
    """Compress: well, badly, twice, or into a bomb."""
    body = scene.response.body
    packed, encoding = scene.rng.choice(
        (
            (gzip.compress(body, mtime=0), "gzip"),
            (zlib.compress(body), "deflate"),
            (gzip.compress(body, mtime=0)[:-9], "gzip"),
            (b"\x1f\x8b" + body, "gzip"),
            (gzip.compress(gzip.compress(body, mtime=0), mtime=0), "gzip, gzip"),
            (body, "br"),
            (_bomb(), "gzip"),
        )
    )
    return scene.with_body(packed, headers=[*scene.response.headers, ("Content-Encoding", encoding)])


def huge(scene: Scene) -> Sending:
    """Go on for longer than anybody wants to read, with the length told or not."""
    body = scene.response.body[:-1] + b" " * HUGE + scene.response.body[-1:]
    return Sending(replace(scene.response, body=body), declare_length=scene.rng.random() < 0.5)


def wrong_content_type(scene: Scene) -> Sending:
    """Call JSON something else, or something else JSON."""
    content_type, body = scene.rng.choice(
        (
            ("text/html", scene.response.body),
            ("application/fhir+xml", scene.response.body),
            ("application/fhir+json; charset=utf-16", scene.response.body),
            ("application/fhir+json", scene.response.body.decode().encode("utf-16")),
            ("application/fhir+json", b'<Patient xmlns="http://hl7.org/fhir"><id value="ana"/></Patient>'),
            ("application/fhir+json", b""),
        )
    )
    return scene.with_body(body, content_type=content_type)


def odd_json(scene: Scene) -> Sending:
    """Send what parsers read differently: marks, comments, infinities, surrogates, depth, numbers, trailing data."""
    body = scene.response.body
    version = scene.stranger()
    return scene.with_body(
        scene.rng.choice(
            (
                b"\xef\xbb\xbf" + body,
                body + (version.raw if version else b"{}"),
                body[:-1] + b',"x":NaN}',
                body[:-1] + b',"x":-Infinity}',
                body[:-1] + b',"x":"\\ud800"}',
                body[:-1] + b',"x":"\\u0000"}',
                body[:-1] + b',"x":"\xff\xfe"}',
                body[:-1] + b',"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
                body[:-1] + b',"x":' + b"9" * 10_000 + b"}",
                body[:-1] + b',"x":1e999999999}',
                b"/* */" + body,
                b"null",
                b"[]",
                b'"text"',
            )
        )
    )


def talkative_error(scene: Scene) -> Sending:
    """Fail, or claim something unexpected, and tell other people's data on the way: in the body and in headers."""
    version = scene.stranger()
    told = version.raw.decode() if version else ""
    status = scene.rng.choice(
        (200, 201, 203, 204, 206, 304, 400, 401, 403, 404, 409, 410, 412, 418, 422, 429, 500, 503)
    )
    body = scene.rng.choice((encode(operation_outcome("exception", f"{scene.base_url}: {told}")), told.encode()))
    return Sending(replace(scene.response, status=status, body=b"" if status in (204, 304) else body))


def talkative_headers(scene: Scene) -> Sending:
    """Say other people's data in every header that could be passed on."""
    version = scene.stranger()
    tags = (version.resource or {}).get("meta", {}).get("tag", []) if version else []
    told = "".join(str(tag.get("code", "")) for tag in tags if isinstance(tag, dict))
    names = ("ETag", "Location", "Content-Location", "Set-Cookie", "Warning", "X-Request-ID", "Link", "Server")
    return Sending(replace(scene.response, headers=[(name, told) for name in names]))


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    part = b" " * (1024 * 1024)
    parts = [packer.compress(part) for _ in range(BOMB // len(part))]
    return b"".join([*parts, packer.flush()])


DISTORTIONS: dict[str, Distortion] = {
    one.__name__.replace("_", "-"): one
    for one in (
        honest, foreign_entries, lying_total, lying_next, wrong_bundle, another_resource, invented, mixed_up,
        duplicate_names, elsewhere, cut_off, compressed, huge, wrong_content_type, odd_json, talkative_error,
        talkative_headers,
    )
}  # fmt: skip
