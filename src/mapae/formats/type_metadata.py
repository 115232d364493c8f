"""Type Metadata of SD-JWT VC: what a type is called, how it is shown, which claims it must have and may hide.

Written for draft-13 section 6 to 9 and for the later drafts (read to -25), which say more precisely how documents are
combined and a credential is held against them; where they differ the later text is followed. Pure: documents come from
a look-up the caller gives.

Promises: a resolved `TypeMetadata` is the whole chain of `extends`, each document checked against the integrity its
reference states. Trusts: the look-up to give the document of the type it was asked for; its content is checked. Keeps:
nothing. Refuses: a document of another type or another digest, a loop or a long chain, a child that loosens what its
parent fixed (`sd`, `mandatory`), ids that no template could use, addresses that are neither https nor data.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats.hiding import digests
from mapae.formats.jose import decode_json
from mapae.formats.sd_jwt import SdJwt

MAX_DOCUMENT: Final = 262_144
MAX_CHAIN: Final = 8  # documents, the type itself counted
MAX_CLAIMS: Final = 512

Path = tuple[str | int | None, ...]
Sd = Literal["always", "allowed", "never"]

_LOCALE: Final = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")  # RFC 5646 2.1, loosely
_SVG_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HASH: Final = re.compile(r"(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+={0,2})(\?[!-~]*)?")  # W3C SRI 3.5


# --- what a document says ---------------------------------------------------------------------------------------------


class Logo(Struct, frozen=True):
    uri: str
    integrity: str | None = msgspec.field(name="uri#integrity", default=None)
    alt_text: str | None = None


class Background(Struct, frozen=True):
    uri: str
    integrity: str | None = msgspec.field(name="uri#integrity", default=None)


class Simple(Struct, frozen=True):
    """The rendering method of that name: for whoever shows no SVG."""

    logo: Logo | None = None
    background_image: Background | None = None
    background_color: str | None = None
    text_color: str | None = None


class SvgProperties(Struct, frozen=True):
    orientation: Literal["portrait", "landscape"] | None = None
    color_scheme: Literal["light", "dark"] | None = None
    contrast: Literal["normal", "high"] | None = None


class SvgTemplate(Struct, frozen=True):
    uri: str
    integrity: str | None = msgspec.field(name="uri#integrity", default=None)
    properties: SvgProperties | None = None


class Rendering(Struct, frozen=True):
    simple: Simple | None = None
    svg_templates: tuple[SvgTemplate, ...] = ()


class Display(Struct, frozen=True):
    """The type for the holder's eyes, in one language."""

    locale: str
    name: str
    description: str | None = None
    rendering: Rendering | None = None


class ClaimDisplay(Struct, frozen=True):
    locale: str
    label: str
    description: str | None = None


class Claim(Struct, frozen=True):
    """What is said of one claim, or of all a path leads to. None: this document does not say."""

    path: Path
    display: tuple[ClaimDisplay, ...] | None = None
    mandatory: bool | None = None
    sd: Sd | None = None
    svg_id: str | None = None


class TypeMetadata(Struct, frozen=True):
    """One document, or after `resolve` what all documents of the chain say together."""

    vct: str
    name: str | None = None
    description: str | None = None
    extends: str | None = None
    extends_integrity: str | None = msgspec.field(name="extends#integrity", default=None)
    display: tuple[Display, ...] | None = None
    claims: tuple[Claim, ...] = ()

    @classmethod
    def parse(cls, raw: bytes) -> TypeMetadata:
        """Members nobody defined are ignored, as the text wants."""
        try:
            found = msgspec.convert(decode_json(raw, limit=MAX_DOCUMENT), cls)
        except msgspec.ValidationError:
            raise Refused(Code.MALFORMED, "a member of the type's description is missing or wrong") from None
        for shown in found.display or ():
            _must_be_locale(shown.locale)
            _must_render(shown.rendering)
        _must_be_claims(found.claims)
        return found

    def in_language(self, *preferred: str) -> Display | None:
        """The display for the first of these languages that there is, or else the first of all."""
        for wanted in preferred:
            for shown in self.display or ():
                if shown.locale.lower().split("-")[0] == wanted.lower().split("-")[0]:
                    return shown
        return self.display[0] if self.display else None


def _must_be_claims(claims: tuple[Claim, ...]) -> None:
    if len(claims) > MAX_CLAIMS:
        raise Refused(Code.TOO_LARGE, "the type describes too many claims")
    for claim in claims:
        if not claim.path or any(isinstance(step, int) and step < 0 for step in claim.path):
            raise Refused(Code.MALFORMED, "a claim's path leads nowhere")
        if claim.svg_id is not None and not _SVG_ID.fullmatch(claim.svg_id):
            raise Refused(Code.MALFORMED, "a template's id is not letters, digits and underscores")
        for shown in claim.display or ():
            _must_be_locale(shown.locale)
    if len({claim.path for claim in claims}) != len(claims):  # nothing says which of two would count
        raise Refused(Code.MALFORMED, "a claim is described twice")
    ids = [claim.svg_id for claim in claims if claim.svg_id is not None]
    if len(set(ids)) != len(ids):
        raise Refused(Code.MALFORMED, "two claims have the same id for templates")


def _must_be_locale(locale: str) -> None:
    if not _LOCALE.fullmatch(locale):
        raise Refused(Code.MALFORMED, "a locale is not a language tag")


def _must_render(rendering: Rendering | None) -> None:
    if rendering is None:
        return
    simple, templates = rendering.simple, rendering.svg_templates
    pictures = [simple.logo, simple.background_image] if simple is not None else []
    for picture in (*pictures, *templates):
        if picture is not None and not picture.uri.startswith(("https://", "data:")):  # draft-25 6.4.1
            raise Refused(Code.MALFORMED, "a picture's address is neither https nor data")
    for template in templates:
        if template.properties is None and len(templates) > 1:
            raise Refused(Code.MALFORMED, "one of several templates has no properties")
        if template.properties is not None and template.properties == SvgProperties():
            raise Refused(Code.MALFORMED, "a template's properties are empty")


# --- integrity: W3C SRI for the syntax, draft-25 7 for the check ----------------------------------------------------


def must_match(document: bytes, integrity: Any) -> None:
    """Of several hashes those of the strongest algorithm count, and one of them must fit."""
    if not isinstance(integrity, str):
        raise Refused(Code.MALFORMED, "integrity is not a text")
    found = [match.groups()[:2] for match in map(_HASH.fullmatch, integrity.split()) if match]
    if not found:
        raise Refused(Code.UNSUPPORTED, "integrity names no hash we know")
    strongest = max(name for name, _ in found)  # their names sort by strength
    digest = hashlib.new(strongest, document).digest()
    if not any(name == strongest and _decoded(text) == digest for name, text in found):
        raise Refused(Code.BAD_DIGEST, "the document is not the one that was meant")


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text.rstrip("=").translate(_STANDARD) + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except ValueError:
        return b""


_STANDARD: Final = str.maketrans("-_", "+/")  # SRI takes either alphabet


# --- a chain of documents ---------------------------------------------------------------------------------------------


def resolve(vct: str, look_up: Callable[[str], bytes], *, integrity: Any = None) -> TypeMetadata:
    """The type and all it extends, as one. `integrity` is the credential's `vct#integrity`, if it has one."""
    chain: list[TypeMetadata] = []
    wanted: str | None = vct
    while wanted is not None:
        if any(known.vct == wanted for known in chain):
            raise Refused(Code.MALFORMED, "a type extends itself")
        if len(chain) == MAX_CHAIN:
            raise Refused(Code.TOO_LARGE, "the type extends too many others")
        raw = look_up(wanted)
        if integrity is not None:
            must_match(raw, integrity)
        document = TypeMetadata.parse(raw)
        if document.vct != wanted:
            raise Refused(Code.MALFORMED, "the description is of another type")
        chain.append(document)
        wanted, integrity = document.extends, document.extends_integrity
    whole = chain.pop()
    while chain:
        whole = _extended(whole, chain.pop())
    return whole


def _extended(base: TypeMetadata, child: TypeMetadata) -> TypeMetadata:
    claims = {claim.path: claim for claim in base.claims}
    for claim in child.claims:
        claims[claim.path] = _combined(claims[claim.path], claim) if claim.path in claims else claim
    _must_be_claims(tuple(claims.values()))
    # The parent's display stays valid unless the child has its own.
    display = base.display if child.display is None else child.display
    return msgspec.structs.replace(child, display=display, claims=tuple(claims.values()))


def _combined(base: Claim, child: Claim) -> Claim:
    """draft-25 6.5.6: the child's properties before the parent's, but what the parent fixed stays."""
    if base.sd in ("always", "never") and child.sd not in (None, base.sd):
        raise Refused(Code.MALFORMED, "a type changes what the type it extends says about disclosure")
    if base.mandatory and child.mandatory is False:
        raise Refused(Code.MALFORMED, "a type makes optional what the type it extends wants")
    return Claim(
        base.path,
        base.display if child.display is None else child.display,
        base.mandatory if child.mandatory is None else child.mandatory,
        base.sd if child.sd is None else child.sd,
        base.svg_id if child.svg_id is None else child.svg_id,
    )


# --- a credential against its type ------------------------------------------------------------------------------------


class _Place(Struct, frozen=True):
    """A value of the credential as it was issued; `hidden` when it is a disclosure itself. `known`: we can see it."""

    value: Any
    hidden: bool
    known: bool = True


def must_fit(card: SdJwt, metadata: TypeMetadata, *, complete: bool) -> None:
    """draft-25 6.5: the claims are there and hidden as the type says. `complete`: this is the holder, who has every
    disclosure; to a verifier a missing claim says nothing unless it could not have been hidden."""
    if card.peek().get("vct") != metadata.vct:
        raise Refused(Code.MALFORMED, "the description is of another type")
    root = _issued(card)
    for claim in metadata.claims:
        places = list(_reached([root], claim.path))
        open_at_top = claim.sd == "never" and len(claim.path) == 1
        if claim.mandatory and not places and (complete or open_at_top):
            raise Refused(Code.MALFORMED, "the credential lacks a claim that its type wants")
        if claim.sd == "always" and not all(place.hidden for place in places):
            raise Refused(Code.MALFORMED, "a claim stands in the open that its type wants hidden")
        if claim.sd == "never" and any(place.hidden for place in places):
            raise Refused(Code.MALFORMED, "a claim is hidden that its type wants in the open")


def _issued(card: SdJwt) -> _Place:
    texts = [text.encode() for text in card.disclosures]
    ours = dict(zip(digests(texts), card.items, strict=True))

    def place(value: Any, *, hidden: bool) -> _Place:
        if isinstance(value, dict):
            members = {name: place(inner, hidden=False) for name, inner in value.items() if name != "_sd"}
            for digest in value.get("_sd", ()):
                if digest in ours:
                    members[ours[digest][1]] = place(ours[digest][2], hidden=True)
            return _Place(members, hidden)
        return _Place([element(inner) for inner in value], hidden) if isinstance(value, list) else _Place(value, hidden)

    def element(value: Any) -> _Place:
        if not isinstance(value, dict) or "..." not in value:
            return place(value, hidden=False)
        item = ours.get(value["..."])
        return _Place(None, hidden=True, known=False) if item is None else place(item[1], hidden=True)

    return place(card.jws.claims(), hidden=False)  # `peek` has bounded the nesting and refused what is malformed


def _reached(places: list[_Place], path: Path) -> Iterator[_Place]:
    """draft-25 6.5.1.2, over the arrays as they were issued. Beneath an element nobody showed there is nothing."""
    for step in path:
        onward: list[_Place] = []
        for here in places:
            if not here.known:
                continue
            if isinstance(step, str):
                if not isinstance(here.value, dict):
                    raise Refused(Code.MALFORMED, "the credential has another shape than its type says")
                onward += [here.value[step]] if step in here.value else []
            elif not isinstance(here.value, list):
                raise Refused(Code.MALFORMED, "the credential has another shape than its type says")
            else:
                onward += here.value if step is None else here.value[step : step + 1]
        places = onward
    yield from places


def svg_values(claims: Mapping[str, Any], metadata: TypeMetadata) -> dict[str, str]:
    """What stands for each `{{svg_id}}` of a template: escaped, and empty where the holder has no such claim."""
    values: dict[str, str] = {}
    for claim in metadata.claims:
        if claim.svg_id is not None:
            found = [place.value for place in _reached([_plain(claims)], claim.path)]
            texts = [value if isinstance(value, str) else msgspec.json.encode(_bare(value)).decode() for value in found]
            values[claim.svg_id] = escape(", ".join(texts), quote=True).replace("&#x27;", "&apos;")
    return values


def _plain(value: Any) -> _Place:
    if isinstance(value, Mapping):
        return _Place({name: _plain(inner) for name, inner in value.items()}, hidden=False)
    return _Place([_plain(inner) for inner in value] if isinstance(value, list) else value, hidden=False)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(place.value) for name, place in value.items()}
    return [_bare(place.value) for place in value] if isinstance(value, list) else value
