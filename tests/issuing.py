"""An issuer with everything around it, small enough to see through: a register of a few people, a wallet provider that
vouches for phones, and phones that speak OpenID4VCI over the real doors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from mapae.audit import first_broken_link
from mapae.catalog import Country, parse_country
from mapae.clock import Dice, MovableClock, SeededDice
from mapae.config import country_tree
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u, sign_jws, x5c_header
from mapae.formats.status import StatusToken
from mapae.formats.x509 import Profile, Subject, leaf, root
from mapae.issuer import authorize_web
from mapae.issuer.authorization import Attesters
from mapae.issuer.authorize import Authorize
from mapae.issuer.evidence import OfficerCompared, PhysicalCardSeen, SecondOfficer, Why
from mapae.issuer.identity import Identity
from mapae.issuer.issue import Issuer, Seal
from mapae.issuer.oid4vci import PRE_AUTHORIZED
from mapae.issuer.order import Offer, Order, Terms
from mapae.issuer.web import routes
from mapae.keys import Signer, Vault
from mapae.registers.values import ClaimSet, Hits, Person, PhysicalCard
from mapae.rules import Words
from mapae.trust.publish import WalletProvider
from mapae.ui.site import application

BASE = "http://mapae.test"
START = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)  # noon in Seoul
JPEG = b"\xff\xd8\xff\xe0" + bytes(200) + b"\xff\xd9"
REDIRECT = "https://wallet.test/cb?from=mapae"
SD_JWT, MDOC = "resident_card_sd_jwt", "resident_card_mdoc"


def korea() -> Country:
    return pack("kr")


def pack(name: str) -> Country:
    tree = country_tree(name)
    return parse_country({name: tree[name] for name in ("country", "credentials", "purposes")})


KeyOf = Callable[[str], ec.EllipticCurvePrivateKey]


def new_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def known_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The same key in every process."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1, ec.SECP256R1())


@dataclass
class Register:
    """The population register as the issuer sees it."""

    country: Country
    people: dict[str, ClaimSet] = field(default_factory=dict)
    gone: dict[str, date] = field(default_factory=dict)
    silent: bool = False

    def add(self, person: str, name: str, born: date) -> None:
        self.people[person] = ClaimSet(
            person=person, name=name, name_latin="HONG JISOO", birth_date=born, sex="female", nationality="KOR",
            citizen=True, deceased_on=None, resident_number=born.strftime("%y%m%d") + "-4234567",
            address="세종특별자치시 도움6로 11",
            municipality=next(iter(self.country.municipalities)), portrait=JPEG, photo_taken=date(2024, 5, 1),
        )  # fmt: skip

    async def search(self, *, name: str = "", birth_date: date | None = None, resident_number: str = "") -> Hits:
        return Hits(hits=(), more=False)

    async def get(self, person: str) -> Person:
        known = await self.claims(person)
        return Person(
            person=person, name=known.name, name_latin=known.name_latin, former_names=(), birth_date=known.birth_date,
            sex=known.sex, nationality="KOR", citizen=True, number_masked="******-*******",
            municipality=known.municipality, address=known.address, moved_in=None, deceased_on=self.gone.get(person),
            guardian=None, card=PhysicalCard(number="1", issued=date(2024, 5, 1), kind="plastic", state="valid"),
            photo_taken=known.photo_taken, photo=JPEG, records=known.records,
        )  # fmt: skip

    async def claims(self, person: str) -> ClaimSet:
        if self.silent:
            raise Refused(Code.UNAVAILABLE, "the register does not answer")
        if person not in self.people:
            raise Refused(Code.NOT_FOUND, "no such person")
        return msgspec.structs.replace(self.people[person], deceased_on=self.gone.get(person))


class Provider:
    """A wallet provider: attests keys, knows phones, can be asked by peers."""

    def __init__(self, clock: MovableClock, key: KeyOf = new_key, id: str = "wallet-provider") -> None:
        self.clock = clock
        self.ca = Signer(key("wallet ca"))
        self.signer = Signer(key("wallet provider"))
        begin, end = START - timedelta(days=30), START + timedelta(days=3650)
        self.anchor = root(Subject("Wallet CA"), self.ca, serial=1, not_before=begin, not_after=end)
        key = PublicKey.from_jwk(self.signer.jwk)
        self.leaf = leaf(
            Profile.WALLET_PROVIDER, Subject("Wallet"), key, ca=self.ca, ca_der=self.anchor, serial=2,
            not_before=begin, not_after=end,
        )  # fmt: skip
        self.entry = WalletProvider(id=id, name=Words(ko="지갑", en="Wallets"), ca=(self.anchor,))
        self.client_id = f"{BASE}/wallet/" if id == "wallet-provider" else f"https://{id}.test/wallet"
        self.phones: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.ended: list[dict[str, Any]] = []

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        assert role == "wallet_provider"
        self.asked.append((path, dict(message)))
        if path.endswith("/standing"):
            if message["jkt"] not in self.phones:
                raise Refused(Code.NOT_FOUND, "no such phone")
            return self.phones[message["jkt"]]
        if path.endswith("/ended"):
            numbered = [{**one, "number": number} for number, one in enumerate(self.ended, 1)]
            found = [one for one in numbered if one["number"] > message["after"]][: message["limit"]]
            return {"devices": found, "last": len(numbered)}
        return {"state": "done"}

    def attest(self, client: Signer, **changed: Any) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": f"{BASE}/wallet-provider", "sub": self.client_id, "cnf": {"jwk": client.jwk},
            "iat": now, "exp": now + 3600, **changed,
        }  # fmt: skip
        return self.sign("oauth-client-attestation+jwt", claims)

    def attest_keys(self, keys: list[Signer], nonce: str | None, **changed: Any) -> str:
        now = int(self.clock.now().timestamp())
        claims: dict[str, Any] = {
            "attested_keys": [key.jwk for key in keys], "key_storage": ["iso_18045_basic"],
            "user_authentication": ["iso_18045_basic"], "iat": now, "exp": now + 300, **changed,
        }  # fmt: skip
        if nonce is not None:
            claims["nonce"] = nonce
        return self.sign("key-attestation+jwt", claims)

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        return sign_jws(self.signer, {"typ": typ, "x5c": x5c_header([self.leaf])}, claims)


class Registers:
    """The identity check at its two doors: whoever types a known number gets the one code there is."""

    def __init__(self, clock: MovableClock) -> None:
        self.clock = clock
        self.key = Signer.ephemeral()
        self.numbers = {"010309-4123456": "jisoo", "900701-1234567": "minho"}
        self.checks: list[str] = []

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        assert (role, path) == ("registers", "/registers/checks")
        if message["resident_number"] not in self.numbers:
            raise Refused(Code.NO_SUCH_PERSON, "no such person")
        self.checks.append(self.numbers[message["resident_number"]])
        return {"check_id": str(len(self.checks)), "expires_in": 180, "tries": 5, "phone_hint": "010-****-0001"}

    def answer(self, request: httpx.Request) -> httpx.Response:
        if json.loads(request.content)["code"] != "123456":
            return httpx.Response(403, json={"error": "wrong_code", "detail": "tries left: 4"})
        check, now = request.url.path.split("/")[-2], int(self.clock.now().timestamp())
        claims = {"iss": "registers", "aud": "issuer", "sub": self.checks[int(check) - 1], "iat": now,
                  "exp": now + 300, "jti": f"check-{check}"}  # fmt: skip
        assertion = sign_jws(self.key, {"typ": "mapae-identity+jwt", "kid": self.key.kid}, claims)
        return httpx.Response(200, json={"assertion": assertion, "person_name": "홍지수"})


class Phone:
    """A wallet at the protocol's level: each step can be taken alone, changed or repeated."""

    def __init__(
        self, hall: Place, person: str, state: str = "active", device: str = "", provider: Provider | None = None
    ) -> None:
        self.hall = hall
        self.base = hall.base
        self.provider = provider or hall.provider
        self.client, self.dpop_key = Signer.ephemeral(), Signer.ephemeral()
        self.nonce = ""
        self.access = self.refresh = ""
        self.serial = 0
        self.standing = {"person": person, "device_id": device or f"device-{person}", "state": state}
        self.provider.phones[self.client.kid] = self.standing

    def _stamp(self) -> dict[str, Any]:
        self.serial += 1
        return {"iat": int(self.hall.clock.now().timestamp()), "jti": f"{self.client.kid}{self.serial}"}

    def attestation(self, **changed: Any) -> dict[str, str]:
        claims = {"iss": self.provider.client_id, "aud": f"{self.base}/issuer", **self._stamp(), **changed}
        return {
            "OAuth-Client-Attestation": self.provider.attest(self.client),
            "OAuth-Client-Attestation-PoP": sign_jws(
                self.client, {"typ": "oauth-client-attestation-pop+jwt"}, claims
            ),
        }  # fmt: skip

    def dpop(self, path: str, token: str | None = None, method: str = "POST", **changed: Any) -> dict[str, str]:
        claims = {"htm": method, "htu": self.base + path, "nonce": self.nonce, **self._stamp()}
        headers = {}
        if token is not None:
            claims["ath"] = b64u(hashlib.sha256(token.encode()).digest())
            headers["Authorization"] = f"DPoP {token}"
        header = {"typ": "dpop+jwt", "jwk": self.dpop_key.jwk}
        return {**headers, "DPoP": sign_jws(self.dpop_key, header, {**claims, **changed})}

    async def c_nonce(self) -> str:
        answer = await self.hall.http.post(self.base + "/issuer/nonce")
        self.nonce = answer.headers["dpop-nonce"]
        return str(answer.json()["c_nonce"])

    async def scan(self, offer: Offer) -> str:
        answer = await self.hall.http.get(f"{self.base}/issuer/offers/{offer.id}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["grants"][PRE_AUTHORIZED]["pre-authorized_code"])

    async def ask_token(self, form: Mapping[str, str], **headers: str) -> httpx.Response:
        if not self.nonce:
            await self.c_nonce()
        sent = {**self.attestation(), **self.dpop("/issuer/token"), **headers}
        answer = await self.hall.http.post(self.base + "/issuer/token", data=dict(form), headers=sent)
        if answer.status_code == 200:
            self.access, self.refresh = answer.json()["access_token"], answer.json()["refresh_token"]
        return answer

    async def redeem(self, code: str) -> httpx.Response:
        return await self.ask_token({"grant_type": PRE_AUTHORIZED, "pre-authorized_code": code})

    async def renew(self, token: str = "") -> httpx.Response:
        return await self.ask_token({"grant_type": "refresh_token", "refresh_token": token or self.refresh})

    async def proofs(self, keys: list[Signer], nonce: str | None = None) -> dict[str, list[str]]:
        nonce = nonce if nonce is not None else await self.c_nonce()
        attestation = self.provider.attest_keys(keys, nonce)
        header = {"typ": "openid4vci-proof+jwt", "jwk": keys[0].jwk, "key_attestation": attestation}
        claims = {
            "iss": self.provider.client_id,
            "aud": f"{self.base}/issuer",
            "nonce": nonce,
            "iat": self._stamp()["iat"],
        }
        return {"jwt": [sign_jws(keys[0], header, claims)]}

    async def push(self, form: Mapping[str, str], **headers: str) -> httpx.Response:
        """A pushed authorization request; `self.verifier` goes with the challenge it sends."""
        self.verifier = b64u(hashlib.sha256(f"verifier {self.client.kid}{self.serial}".encode()).digest())
        challenge = b64u(hashlib.sha256(self.verifier.encode()).digest())
        sent = {
            "response_type": "code", "client_id": self.provider.client_id, "redirect_uri": REDIRECT, "state": "s-1",
            "code_challenge": challenge, "code_challenge_method": "S256", "scope": f"{SD_JWT} {MDOC}", **form,
        }  # fmt: skip
        known = {name: value for name, value in sent.items() if value is not None}
        return await self.hall.http.post(
            self.base + "/issuer/par", data=known, headers={**self.attestation(), **headers}
        )

    async def exchange(self, code: str, **changed: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT,
                "code_verifier": self.verifier, **changed}  # fmt: skip
        return await self.ask_token(form)

    async def fetch(
        self, configuration: str = SD_JWT, keys: list[Signer] | int = 2, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        if isinstance(keys, int):
            keys = [Signer.ephemeral() for _ in range(keys)]
        if body is None:
            body = {"credential_configuration_id": configuration, "proofs": await self.proofs(keys)}
        headers = self.dpop("/issuer/credential", self.access)
        return await self.hall.http.post(self.base + "/issuer/credential", json=body, headers=headers)

    async def fetch_identified(self, identifier: str, copies: int = 2) -> httpx.Response:
        proofs = await self.proofs([Signer.ephemeral() for _ in range(copies)])
        return await self.fetch(body={"credential_identifier": identifier, "proofs": proofs})

    async def tell(self, notification_id: str, event: str = "credential_accepted") -> httpx.Response:
        headers = self.dpop("/issuer/notification", self.access)
        message = {"notification_id": notification_id, "event": event}
        return await self.hall.http.post(self.base + "/issuer/notification", json=message, headers=headers)


class Recorder(Signer):
    """A document signer that remembers what it signed: in the tests nothing else may know."""

    __slots__ = ("signed",)

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        super().__init__(key)
        self.signed: list[bytes] = []

    def sign(self, message: bytes) -> bytes:
        self.signed.append(hashlib.sha256(message).digest())
        return super().sign(message)


class Place(Protocol):
    """Where a phone is held out: an issuer's address and whoever vouches for the phone."""

    @property
    def base(self) -> str: ...
    @property
    def http(self) -> httpx.AsyncClient: ...
    @property
    def clock(self) -> MovableClock: ...
    @property
    def provider(self) -> Provider: ...


class Hall:
    """The counter hall: one issuer and whoever comes."""

    base = BASE

    def __init__(
        self, db: Db, clock: MovableClock | None = None, checkpoint: Callable[[str], None] = lambda name: None,
        list_size: int = 1024,
        key: KeyOf = new_key,
        seed: int = 7,
    ) -> None:  # fmt: skip
        self.db = db
        self.clock = clock or MovableClock(START)
        self.country = korea()
        self.provider = Provider(self.clock, key)
        self.registers = Registers(self.clock)
        self.register = Register(self.country)
        self.register.add("jisoo", "홍지수", date(2001, 3, 9))
        self.register.add("minho", "김민호", date(1990, 7, 1))
        ca = Signer(key("issuing ca"))
        begin, end = START - timedelta(days=30), START + timedelta(days=3650)
        self.anchor = root(Subject("Issuing CA"), ca, serial=1, not_before=begin, not_after=end)
        seals = []
        self.pen = Recorder(key("document signer"))
        for serial, profile, signer in (
            (2, Profile.DOCUMENT_SIGNER, self.pen),
            (3, Profile.STATUS_SIGNER, Signer(key("status signer"))),
        ):
            der = leaf(
                profile, Subject(profile.name), PublicKey.from_jwk(signer.jwk), ca=ca, ca_der=self.anchor,
                serial=serial, not_before=begin, not_after=end,
            )  # fmt: skip
            seals.append(Seal(signer, (der,)))
        self.seals = seals
        self.trusted = [self.provider.entry]

        async def attesters() -> Attesters:
            return Attesters(self.trusted, self.provider.entry.id)

        self.attesters = attesters
        self.dice: Dice = SeededDice(seed)
        self.list_size = list_size
        self.issuer = self.opened(db, checkpoint)

    def opened(self, db: Db, checkpoint: Callable[[str], None] = lambda name: None) -> Issuer:
        """An issuing process on this database; a second one is what comes after a power cut."""
        self.issuer = Issuer(
            db=db, clock=self.clock, dice=self.dice, vault=Vault(b"a secret of thirty-two bytes ok!"), base=BASE,
            country=self.country, documents=self.seals[0], statuses=self.seals[1], register=self.register,
            peers=self.provider, attesters=self.attesters, list_size=self.list_size, checkpoint=checkpoint,
        )  # fmt: skip

        identity = Identity(
            clock=self.clock, keys=lambda kid: self.registers.key.jwk, peers=self.registers,
            http=httpx.AsyncClient(transport=httpx.MockTransport(self.registers.answer)), url=f"{BASE}/identity",
        )  # fmt: skip
        self.authorize = Authorize(
            db=db, clock=self.clock, dice=self.dice, vault=Vault(b"another secret of 32 bytes, ok!!"),
            country=self.country, grants=self.issuer.grants, identity=identity,
        )  # fmt: skip
        everything = [*routes(self.issuer, self.authorize), *authorize_web.routes(self.authorize, self.dice)]
        app = application(everything, clock=self.clock)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)
        return self.issuer

    def evidence(self) -> tuple[PhysicalCardSeen, OfficerCompared, SecondOfficer]:
        now = self.clock.now()
        return (
            PhysicalCardSeen("officer-1", now, number_matches=True, photo_matches=True, undamaged=True),
            OfficerCompared("officer-1", "박주무관", now, same_person=True),
            SecondOfficer("officer-2", "이주무관", now, Why.EYES),
        )

    def order(self, person: str = "jisoo", case: str = "case-1") -> Order:
        return Order(case, person, "resident_card", "office-1", "officer-1", self.evidence())

    async def offer(self, person: str = "jisoo", case: str = "case-1", terms: Terms | None = None) -> Offer:
        return await self.issuer.open_offer(self.order(person, case), terms or Terms())

    async def told(self, case: str = "case-1") -> list[str]:
        return [event.what for event in await self.issuer.offer_events(case)]

    async def carded(self, person: str = "jisoo", case: str = "case-1", copies: int = 2) -> Phone:
        """A phone with an accepted batch of SD-JWT copies."""
        phone = Phone(self, person)
        assert (await phone.redeem(await phone.scan(await self.offer(person, case)))).status_code == 200
        answer = await phone.fetch(keys=copies)
        assert answer.status_code == 200, answer.text
        assert (await phone.tell(answer.json()["notification_id"])).status_code == 204
        return phone


async def must_be_whole(hall: Hall, db: Db) -> None:
    """Everything that must hold of the whole store, whatever happened."""
    tickets = await db.all("SELECT * FROM ticket")
    batches = {row["id"]: row for row in await db.all("SELECT * FROM batch")}
    lists = await db.all("SELECT * FROM status_list")
    assert len({(row["list_id"], row["idx"]) for row in tickets}) == len(tickets)
    meant = {bytes(row["draft_digest"]) for row in tickets}
    assert set(hall.pen.signed) <= meant, "a copy was signed without a ticket"
    assert len(set(hall.pen.signed)) == len(hall.pen.signed), "a ticket was signed for twice"
    on_the_way = [(row["order_id"], row["configuration"]) for row in batches.values() if row["state"] == "signed"]
    assert len(on_the_way) == len(set(on_the_way)), "two live unacknowledged batches"
    over = {row["id"] for row in await db.all("SELECT id FROM issue_order WHERE state = 'ended'")}
    for row in tickets:
        state = batches[row["batch_id"]]["state"]
        assert (row["state"] == "open") == (state == "intended")
        ended = row["order_id"] in over
        assert (row["status"] == 1) == (state == "void" or ended), (row["status"], state)
        if row["state"] == "signed":
            assert row["signed_digest"] is not None
    for row in lists:
        mine = [ticket for ticket in tickets if ticket["list_id"] == row["id"]]
        assert row["used"] == len(mine)
        published = StatusToken.parse((await hall.issuer.lists.token(row["id"])).token)
        published.check(
            PublicKey.from_jwk(hall.seals[1].signer.jwk), hall.issuer.lists.uri(row["id"]), hall.clock.now()
        )
        for ticket in mine:
            assert published.list.read(ticket["idx"]) == ticket["status"]
    assert await first_broken_link(db) is None


async def live_batches(db: Db) -> int:
    """Those a wallet may be using: the ones of before end by themselves."""
    rows = await db.all(
        "SELECT DISTINCT batch_id FROM ticket JOIN batch ON batch.id = batch_id"
        " WHERE ticket.state = 'signed' AND status = 0 AND batch.state <> 'retired'"
    )
    return len(rows)
