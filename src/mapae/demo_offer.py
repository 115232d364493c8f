"""`mapae demo offer` and `mapae demo wallet-provider`: for people who bring a wallet of their own to the demo country.

Promises: an offer is opened on what an officer would have filed, by a software officer whom the audit names; a wallet
provider of one name is the same one every time. Trusts: whoever reaches the demo country: its people are made up.
Keeps: certificates of the providers; their keys are derived, so that the command can print them again. Refuses: to be
there unless the settings say `demo = true`; a person whom the pack's rules refuse the document.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request
from starlette.responses import Response

from .demo_knock import HEADERS, answering, heard
from .entitlements import marks
from .errors import Code, Refused
from .formats.jose import b64u
from .formats.x509 import Profile, Subject
from .founding import governors
from .house import House
from .issuer.eligibility import Facts, eligibility, must_be_eligible
from .issuer.evidence import OfficerCompared, PhysicalCardSeen, SecondOfficer, Why
from .issuer.metadata import configuration_ids
from .issuer.order import Order, Terms, Wallets, Way
from .keys import Signer
from .registers.people import Named
from .registers.population import PopulationClient
from .rules import Words
from .trust.publish import WalletProvider
from .ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body

OFFERS: Final = "/demo/offers"
PROVIDERS: Final = "/demo/wallet-providers"
OFFICER: Final = "software-officer"
MOST_PROVIDERS: Final = 50
GRANTS: Final = {"pre-authorized": Way.PRE_AUTHORIZED, "authorization-code": Way.AUTHORIZATION_CODE}
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `mapae demo offer` sends. `person` is a key of /demo.json, `document` a document of the pack."""

    person: str = ""
    grant: str = "pre-authorized"
    document: str = ""
    tx_code: bool = False
    deferred: int = 0
    wallets: Wallets = Wallets.ATTESTED


class Provided(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


# --- in the running country -------------------------------------------------------------------------------------------


class DemoOffer:
    """The doors the commands knock at; each is where the role is that it needs."""

    def __init__(self, house: House, people: Sequence[Named]) -> None:
        self._house, self._people = house, people
        self._base = house.settings.base_url

    def routes(self) -> list[Door]:
        anyone: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.JSON, "rate": Rate(120, 60)}
        there = []
        if "issuer" in self._house.roles:
            there.append(door("POST", OFFERS, self._offer, **anyone))
        if "trust" in self._house.roles:
            there.append(door("POST", PROVIDERS, self._provider, **anyone))
        return there

    async def _offer(self, request: Request) -> Response:
        wanted = await json_body(request, Wanted)
        named = self._named(wanted.person)
        order = await self._order(named, wanted.document)
        if wanted.grant not in GRANTS:
            raise Refused(Code.MALFORMED, f"grant is one of {', '.join(GRANTS)}")
        if not 0 <= wanted.deferred <= 86400:
            raise Refused(Code.MALFORMED, "deferred is between 0 and 86400 seconds")
        way = GRANTS[wanted.grant]
        if wanted.tx_code and way is not Way.PRE_AUTHORIZED:
            raise Refused(Code.MALFORMED, "only a pre-authorized offer has a transaction code")
        offer = await self._house.issuer.open_offer(
            order, Terms(way, wanted.wallets, tx_code=wanted.tx_code, second_look=wanted.deferred)
        )
        who = named.resident
        answer = {
            "offer": offer.uri,
            "grant": wanted.grant,
            "person": named.key,
            "credential_issuer": f"{self._base}/issuer",
            "credential_configuration_ids": configuration_ids(self._house.country, order.kind),
            "expires": int(offer.expires.timestamp()),
            # What the person types on the sign-in page; the code arrives in the inbox.
            "sign_in": {
                "name": who.name, "number": who.number.written, "phone": who.phones[0],
                "inbox": f"{self._base}/carrier/inbox.json?phone={quote(who.phones[0])}",
            },
        }  # fmt: skip
        return json_answer(answer | ({"tx_code": offer.tx_code} if offer.tx_code else {}), 201)

    def _named(self, key: str) -> Named:
        for named in self._people:
            if key in ("", named.key):
                return named
        raise Refused(Code.NOT_FOUND, "nobody of that name lives here; /demo.json lists the people")

    async def _order(self, named: Named, kind: str) -> Order:
        """What a desk would have filed: a case of the person's own office, card and face seen just now."""
        house, country = self._house, self._house.country
        kind = kind or next(id for id, document in country.documents.items() if document.issued_here)
        register = PopulationClient(house.foundation.peers("issuer"))
        hits = await register.search(resident_number=named.resident.number.written)
        if not hits.hits:
            raise Refused(Code.NOT_FOUND, "the register does not know this person")
        person = await register.get(hits.hits[0].person)
        offices = list(country.offices.values())
        office = next((one for one in offices if one.municipality == person.municipality), offices[0])
        now = house.clock.now()
        must_be_eligible(eligibility(kind, Facts(person, office), country.today(now), country))
        evidence = (
            PhysicalCardSeen(OFFICER, now, number_matches=True, photo_matches=True, undamaged=True),
            OfficerCompared(OFFICER, "demo", now, same_person=True),
            SecondOfficer(f"{OFFICER}-2", "demo", now, Why.OTHER),
        )
        case = f"demo-{house.foundation.dice.token(12)}"
        # Of several wards the eldest: an officer would ask.
        about = next(iter(marks(country.documents[kind].record, person.records)), "")
        return Order(case, person.person, kind, office.id, OFFICER, evidence, about)

    async def _provider(self, request: Request) -> Response:
        name = (await json_body(request, Provided)).name
        if not _NAME.fullmatch(name):
            raise Refused(Code.MALFORMED, "a name is small letters, digits and hyphens")
        f, country = self._house.foundation, self._house.country
        made = {one.id for one in await self._house.registry.entries() if one.id.startswith("demo:")}
        if f"demo:{name}" not in made and len(made) >= MOST_PROVIDERS:  # each makes everybody's trust list longer
            raise Refused(Code.TOO_OFTEN, f"this demo has {MOST_PROVIDERS} wallet providers already: take one of them")
        secret = self._private_key(name)
        key, ca = Signer(secret), f.signer("demo", f"wallet-ca-{name}")
        anchor = f.certificates.anchor(f"demo-wallet-ca-{name}", Subject(f"{name} CA", country=country.code), ca)
        x5c = f.certificates.leaf(
            f"demo-wallet-{name}", Profile.WALLET_PROVIDER, Subject(f"{name} wallet provider", country=country.code),
            key, ca=ca, ca_der=anchor,
        )  # fmt: skip
        entry = WalletProvider(id=f"demo:{name}", name=Words(ko=name, en=name), ca=(anchor,))
        await self._house.registry.ensure([entry], *governors(f))
        if f.trust is not None:  # roles in other processes look at their list again within seconds
            f.trust.look_again()
        number = secret.private_numbers().private_value
        return json_answer({
            "id": entry.id,
            "private_jwk": {**key.jwk, "d": b64u(number.to_bytes(32, "big")), "alg": "ES256"},
            "x5c": [base64.b64encode(der).decode() for der in x5c],
            "ca": base64.b64encode(anchor).decode(),
            "client_id": "the `sub` of your client attestation: any string, the same for all instances of your wallet",
            "typ": {
                "client_attestation": "oauth-client-attestation+jwt",
                "client_attestation_pop": "oauth-client-attestation-pop+jwt",
                "key_attestation": "key-attestation+jwt",
            },
            "credential_issuer": f"{self._base}/issuer",
            "authorization_server": f"{self._base}/issuer",
            "trust_list": f"{self._base}/trust/list",
        })  # fmt: skip

    def _private_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Of a name and the country's own secret. 64 bytes for a number of 32: surplus bits make the remainder even
        (FIPS 186-5 A.2.1)."""
        vault = self._house.foundation.keys("demo").vault("file:wallet-providers")
        seed = vault.index(name, b"wallet provider 1") + vault.index(name, b"wallet provider 2")
        return ec.derive_private_key(int.from_bytes(seed, "big") % (_ORDER - 1) + 1, ec.SECP256R1())


# --- the commands -----------------------------------------------------------------------------------------------------


def knock(url: str, path: str, message: msgspec.Struct, ca: Path | None = None) -> dict[str, Any]:
    """POST to the running demo country; its refusals arrive as ours."""
    verify = str(ca) if ca is not None else True
    with answering(url), httpx.Client(timeout=20, trust_env=False, verify=verify) as http:
        return heard(http.post(url.rstrip("/") + path, content=msgspec.json.encode(message), headers=HEADERS))
