"""`mapae check ...`: a till without a server. Asks, reads what a phone shows, says green or red.

Codes come from pictures (files), from a scanner that types, line by line (standard input), or from a camera. Exit code
0 is green, 1 is red (the answer is no, or the card is refused), 2: no code was read, or something is not set up.

Promises: the verdict is on stdout, alone; talk, progress and the shop's own code are on stderr. Trusts: the pack in its
folder, and the person at the terminal for the purpose. Keeps: in the pack's folder, or where `--memory` says, what
`verifier/till/notebook_store.py` keeps; a receipt where one is asked for. Refuses: pictures too large to be looked at.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .clock import Clock, SystemClock
from .config import Settings, country_tree, load_settings
from .errors import Code, Refused

if TYPE_CHECKING:
    import httpx

    from .catalog import Country, Document
    from .formats import qr
    from .trust.log.policy import Policy
    from .verifier.checking import kit
    from .verifier.checking.receipt import Proven
    from .verifier.till.notebook_store import Notebook

GREEN, RED, UNREAD = 0, 1, 2
MOST_PIXELS: Final = 50_000_000
MOST_LINES: Final = 10_000
MOST_OF_LOG: Final = 4 * 1024 * 1024  # bytes of one of its files
LINE: Final = 8192  # characters of one line that are looked at

check_app = typer.Typer(no_args_is_help=True, help="A till without a server: ask, read a phone's code, green or red.")
receipt_app = typer.Typer(no_args_is_help=True, help="Receipts: that a check was made, by which rule.")
check_app.add_typer(receipt_app, name="receipt")

PurposeId = Annotated[str, typer.Option("--purpose", help="What is asked: `mapae check purposes` lists them")]
PackFolder = Annotated[Path, typer.Option("--pack", help="The folder `mapae pack fetch` keeps, or a pack")]
CountryPack = Annotated[str, typer.Option("--country", help="Country pack: kr, demo, or a folder")]
Pictures = Annotated[list[str] | None, typer.Argument(help="Pictures of codes; none: a scanner on standard input")]
Camera = Annotated[
    str | None, typer.Option("--camera", help="Read from a camera: its number, or a video file (needs mapae\\[camera])")
]
Seconds = Annotated[int, typer.Option("--seconds", min=1, max=3600, help="How long to look through the camera")]
Language = Annotated[str, typer.Option("--language", help="ko or en")]
Json = Annotated[bool, typer.Option("--json", help="The verdict as JSON")]
Memory = Annotated[
    Path | None, typer.Option("--memory", help="File of codes accepted before, shared by tills; default: in the folder")
]
ReceiptFile = Annotated[Path | None, typer.Option("--receipt", help="Write a receipt to this file")]
Minute = Annotated[bool, typer.Option("--minute", help="Date the receipt to the minute, not to the day")]


@check_app.command("code")
def check_code(
    purpose: PurposeId, pictures: Pictures = None, camera: Camera = None, seconds: Seconds = 60,
    pack: PackFolder = Path("pack"), country: CountryPack = "kr", memory: Memory = None,
    receipt: ReceiptFile = None, minute: Minute = False, language: Language = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """Read a code that the holder shows unasked."""
    with _till(pack, country, memory, language) as till:
        wanted = till.wanted(purpose)
        show = till.read(pictures, camera, seconds)
        till.finish(show, wanted, receipt=receipt, minute=minute, as_json=as_json)


@check_app.command("ask")
def check_ask(
    purpose: PurposeId, pictures: Pictures = None, camera: Camera = None, seconds: Seconds = 60,
    name: Annotated[str, typer.Option("--name", help="What to call oneself, where nobody is registered")] = "",
    shop: Annotated[str, typer.Option("--shop", help="Ask as this relying party of the settings")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="Settings file (TOML), for --shop")] = None,
    registration: Annotated[
        Path | None, typer.Option("--registration", help="The shop's registration certificate, for its own purposes")
    ] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Also write the question's code to this file")] = None,
    pack: PackFolder = Path("pack"), country: CountryPack = "kr", memory: Memory = None,
    receipt: ReceiptFile = None, minute: Minute = False, language: Language = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """Ask by a code on this screen, and read the phone's answer."""
    from .verifier.checking import kit

    with _till(pack, country, memory, language) as till:
        access = access_of(load_settings(config), shop, SystemClock()) if shop else {}
        wanted = till.wanted(purpose) if registration is None else till.registered(purpose, registration, access)
        question = kit.ask_code(wanted, name=name, **access, now=till.now())
        _draw(question.text, png)
        till.say("ask.show")
        if not shop:
            till.say("ask.anyone")
        show = till.read(pictures, camera, seconds)
        signed = access or None
        till.finish(show, question, receipt=receipt, minute=minute, as_json=as_json, shop=shop, access=signed)


@check_app.command("purposes")
def check_purposes(country: CountryPack = "kr", language: Language = "en") -> None:
    """What may be asked, and how: `anyone` needs no registration, `by holder` may be shown unasked."""
    found = _country(country)
    for one in found.purposes.values():
        marks = [mark for mark, on in (("anyone", one.anyone), ("by holder", one.by_holder)) if on]
        typer.echo(f"{one.id}  {one.name.pick(language)}  [{', '.join(one.items)}]  {one.risk}  {', '.join(marks)}")


@check_app.command("counter")
def check_counter(pack: PackFolder = Path("pack"), memory: Memory = None, as_json: Json = False) -> None:
    """How often which question ended how, day by day. Nothing else is kept."""
    import msgspec

    book = _notebook(pack, memory)
    counts = book.counts()
    book.close()
    if as_json:
        typer.echo(msgspec.json.encode(counts).decode())
        return
    for one in counts:
        typer.echo(f"{one.day}  {one.purpose}  {one.outcome}  {one.count}")


@receipt_app.command("verify")
def receipt_verify(
    file: Annotated[Path, typer.Argument(help="A receipt")],
    pack: PackFolder = Path("pack"),
    url: Annotated[str, typer.Option("--url", help="The registry, for what the pack no longer has")] = "",
) -> None:
    """Hold a receipt to the log: by the pack, and with --url by the log's public files. Exit code 1 when it fails."""
    from .formats.x509 import x509_hash
    from .verifier.checking import kit
    from .verifier.checking import receipt as receipts

    with _set_up():
        raw, opened = _bytes(file, receipts.LIMIT), kit.open_pack(pack).opened
    try:
        proven = receipts.verify(raw, opened)
        if url:
            _online(lambda http: prove_later(http, url, proven, opened.policy))
    except Refused as refused:
        typer.echo(f"{refused.step}: FAILED: {refused.code.value}: {refused.detail}")
        raise typer.Exit(RED) from None
    said = proven.receipt
    typer.echo(f"{said.at}: {said.asked_by} asked for {', '.join(said.items)} ({said.purpose}): {said.outcome}")
    typer.echo(f"registry: entry {said.registry.size} of {said.registry.origin}, as the log has it")
    for one in said.status:
        word = "proven" if url or one not in proven.later else "NOT PROVEN by this pack alone: give --url"
        typer.echo(f"status of {one.publisher}: epoch {one.seq}, {word}")
    if proven.signed_by is None:
        typer.echo("not signed")
    else:
        typer.echo(f"signed with the country's access certificate x509_hash:{x509_hash(proven.signed_by)}")
    if proven.later and not url:
        raise typer.Exit(UNREAD)


# --- the till ---------------------------------------------------------------------------------------------------------


class Till:
    """What the commands share. `memory` is its notebook."""

    def __init__(self, pack: kit.Pack, country: Country, memory: Notebook, language: str) -> None:
        self.pack, self.country, self.memory, self.language = pack, country, memory, language
        self.document: Document | None = None  # what is asked about
        self._clock = SystemClock()

    def now(self) -> datetime:
        return self.pack.now(self._clock.now())

    def wanted(self, purpose: str) -> kit.Wanted:
        from .verifier.checking.kit import Wanted

        found = Wanted.of(self.country, purpose)
        self.document = self.country.documents[self.country.purposes[purpose].document]
        return found

    def registered(self, purpose: str, file: Path, access: dict[str, Any]) -> kit.Wanted:
        """As it is registered. The file is the asker's own and nobody here believes it: wallets go by their list."""
        from .formats.jose import Jws
        from .formats.x509 import x509_hash
        from .trust import registration
        from .verifier.asking.purposes import find
        from .verifier.checking.kit import Wanted

        with _set_up():
            raw = _bytes(file, registration.LIMIT).strip()
            said = Jws.parse(raw, typ=registration.TYPE, limit=registration.LIMIT).typed(registration.Registration)
            if not access or said.x509_hash != x509_hash(access["certificate"]):
                raise Refused(Code.UNKNOWN_RELYING_PARTY, "the registration is not this --shop's: fetch it anew")
            found = find(self.country, said.party, purpose)
        self.document = self.country.documents[found.document]
        return Wanted.of_purpose(self.country, found)

    def say(self, word: str, **values: object) -> None:
        typer.echo(_words(self.language)[word].format(**values), err=True)

    def read(self, pictures: list[str] | None, camera: str | None, seconds: int) -> qr.Show | Refused:
        """The code that was shown; or why none is one. Exit code 2 where there was none at all."""
        if camera is not None:
            self.say("wait.camera")
            texts = _from_camera(camera, seconds)
        elif pictures:
            texts = (text for file in pictures for text in _from_picture(Path(file)))
        else:
            self.say("wait.scanner")
            texts = _from_lines(sys.stdin)
        found = collect(texts, lambda have, count: self.say("progress", have=have, count=count))
        if found is None:
            self.say("unread")
            raise typer.Exit(UNREAD)
        return found

    def finish(
        self, show: qr.Show | Refused, ask: kit.Wanted | kit.AskCode, *, receipt: Path | None, minute: bool,
        as_json: bool, shop: str = "", access: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Check, count, write the receipt, tell, exit."""
        from .verifier.checking import kit
        from .verifier.checking.receipt import ANYONE

        now = self.now()
        shown: qr.Show | list[str] = [] if isinstance(show, Refused) else show
        verdict = kit.verify(shown, ask, self.pack, now=now, spent=self.memory)
        if isinstance(show, Refused):
            import msgspec

            verdict = msgspec.structs.replace(verdict, code=show.code, detail=show.detail)
        self.memory.count(self.country.today(now), verdict.purpose, verdict.outcome)
        if receipt is not None:
            made = kit.receipt_of(verdict, ask, self.pack, now=now, asked_by=shop or ANYONE, minute=minute)
            signed = made.sign(access["key"], access["certificate"]).encode() if access else made.encode()
            with _set_up():
                _write(receipt, signed)
        wanted = ask if isinstance(ask, kit.Wanted) else ask.wanted
        typer.echo(_json(verdict) if as_json else "\n".join(self._told(verdict, wanted)))
        raise typer.Exit(GREEN if verdict.outcome == "accepted" else RED)

    def _told(self, verdict: kit.Verdict, wanted: kit.Wanted) -> Iterator[str]:
        words = _words(self.language)
        word = "yes" if verdict.outcome == "accepted" and wanted.yes_or_no else verdict.outcome
        colour = typer.colors.GREEN if verdict.outcome == "accepted" else typer.colors.RED
        yield typer.style(words[word], fg=colour, bold=True)
        if verdict.code is not None:
            reasons = _words(self.language, "refused")
            for part in ("what", "next"):
                if (said := reasons.get(f"{verdict.code.value}.{part}")) is not None:
                    yield said
            yield words["why"].format(step=verdict.step, code=verdict.code.value)
        for name, value in verdict.items.items():
            assert self.document is not None  # `wanted` or `registered` came first
            yield f"{self.document.claim(name).label.pick(self.language)}: {_shown(value, words)}"
        if verdict.renew:
            yield words["renew"]
        if verdict.tier is not None and (mark := words.get(f"tier.{verdict.tier.value}")) is not None:
            yield mark
        if verdict.light is not None:
            age = max(verdict.trust_age, verdict.status_age)
            yield words[f"light.{verdict.light.value}"].format(age=_age(age, words))


@contextmanager
def _till(pack: Path, country: str, memory: Path | None, language: str) -> Iterator[Till]:
    from .verifier.checking.kit import open_pack

    if language not in ("ko", "en"):
        raise typer.BadParameter("the language is ko or en")
    with _set_up():
        opened, found, book = open_pack(pack), _country(country), _notebook(pack, memory)
    try:
        with _set_up():
            yield Till(opened, found, book, language)
    finally:
        book.close()


@contextmanager
def _set_up() -> Iterator[None]:
    """What cannot be used is exit code 2: red is only for a card."""
    try:
        yield
    except Refused as refused:
        typer.echo(f"{refused.code.value}: {refused.detail}", err=True)
        raise typer.Exit(UNREAD) from None


def _country(name: str) -> Country:
    from .catalog import parse_country

    return parse_country(country_tree(name))


def _notebook(pack: Path, memory: Path | None) -> Notebook:
    from .verifier.till.notebook_store import Notebook

    return Notebook(memory or (pack if pack.is_dir() else pack.parent) / "till.db")


def access_of(settings: Settings, shop: str, clock: Clock) -> dict[str, Any]:
    """The access key and certificate this installation's verifier has for the shop, as `kit.ask_code` takes them."""
    from .clock import SystemDice
    from .house import Foundation

    foundation = Foundation(settings, clock, SystemDice())
    known = foundation.certificates.held(f"access-{shop}") is not None  # to ask for a key is to make one
    key = foundation.signer("verifier", f"access-{shop}") if known else None
    x5c = foundation.certificates.usable(f"access-{shop}", key) if key is not None else None
    if x5c is None:
        raise Refused(Code.BAD_CONFIG, f"there is no access certificate of {shop} here: register it first")
    return {"key": key, "certificate": x5c[0]}


# --- reading ----------------------------------------------------------------------------------------------------------


def collect(texts: Iterable[str], progress: Callable[[int, int], None]) -> qr.Show | Refused | None:
    """The first whole code. What is no code of ours is passed over; where nothing else comes, the last reason."""
    from .formats.qr import SHOW, Collector

    collector, told, why = Collector(), (0, 0), None
    for text in texts:
        if not text.startswith(SHOW):
            why = why or Refused(Code.MALFORMED, "this is a code of another kind")
            continue
        try:
            found = collector.add(text)
        except Refused as refused:
            why = refused
            continue
        if found is not None:
            return found
        if collector.progress != told:
            told = collector.progress
            progress(*told)
    if why is None and told != (0, 0):
        why = Refused(Code.MALFORMED, "a code of the sequence is missing")
    return why


def _from_lines(lines: Iterable[str]) -> Iterator[str]:
    """A scanner types a code and presses Enter."""
    for number, line in enumerate(lines):
        text = line.rstrip("\r\n")
        if not text or number >= MOST_LINES:
            return
        yield text[:LINE]


def _from_picture(path: Path) -> Iterator[str]:
    import PIL.Image

    try:
        with PIL.Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Refused(Code.TOO_LARGE, f"{path} is too large a picture")
            grey = picture.convert("L")
    except (OSError, ValueError, PIL.Image.DecompressionBombError):
        raise Refused(Code.BAD_CONFIG, f"{path} is no picture that can be read; PNG and JPEG can") from None
    yield from _codes_in(grey)


def _from_camera(source: str, seconds: int) -> Iterator[str]:
    """What a camera sees until somebody stops asking: each picture is looked at once, the newest there is."""
    try:
        import cv2
    except ImportError:
        raise Refused(Code.BAD_CONFIG, "a camera needs OpenCV: pip install 'mapae[camera]'") from None
    video = cv2.VideoCapture(int(source) if source.isdigit() else source)
    end = time.monotonic() + seconds
    try:
        if not video.isOpened():
            raise Refused(Code.BAD_CONFIG, f"camera {source} cannot be opened: give its number, or a video file")
        while time.monotonic() < end:
            there, picture = video.read()
            if not there:
                return
            yield from _codes_in(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    finally:
        video.release()


def _codes_in(picture: Any) -> Iterator[str]:
    import zxingcpp

    for found in zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)):
        yield str(found.text)


# --- telling ----------------------------------------------------------------------------------------------------------


@cache
def _words(language: str, surface: str = "till") -> dict[str, str]:
    from .ui.words import words

    prefix, said = f"{surface}.", words("ko" if language == "ko" else "en")
    return {key.removeprefix(prefix): text for key, text in said.items() if key.startswith(prefix)}


def _draw(text: str, png: Path | None) -> None:
    import segno

    code = segno.make(text, error="l", boost_error=False, micro=False)
    code.terminal(sys.stderr, compact=True, border=2)
    if png is not None:
        with _set_up():
            try:
                code.save(str(png), kind="png", scale=8, border=4)
            except OSError as error:
                raise Refused(Code.BAD_CONFIG, f"{png} cannot be written: {error.strerror}") from None


def _json(verdict: kit.Verdict) -> str:
    import msgspec

    def written(value: Any) -> Any:
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    told = msgspec.structs.asdict(verdict) | {"items": {k: written(v) for k, v in verdict.items.items()}}
    return msgspec.json.encode(told).decode()


def _shown(value: Any, words: dict[str, str]) -> str:
    if isinstance(value, bool):
        return words["item.yes" if value else "item.no"]
    if isinstance(value, bytes):
        return words["item.picture"]
    said = value.isoformat() if isinstance(value, date) else str(value)
    return "".join(one if one.isprintable() else "?" for one in said)  # a terminal obeys some characters


def _age(seconds: int, words: dict[str, str]) -> str:
    for unit, size, most in (("minutes", 60, 120), ("hours", 3600, 48)):
        if seconds < size * most:
            return words[f"age.{unit}"].format(count=seconds // size)
    return words["age.days"].format(count=seconds // 86_400)


async def prove_later(http: httpx.AsyncClient, url: str, proven: Proven, policy: Policy) -> None:
    """From the log's own public files: the entry each epoch names. Raises Refused with step `status`."""
    from .trust.log.entry import Log
    from .trust.prover import prove
    from .trust.replica import NAMES, HttpSource
    from .verifier.checking.receipt import must_be

    source = HttpSource(http, f"{url.rstrip('/')}/trust")

    async def get(path: str) -> bytes:
        return await source.get(f"log/{NAMES[Log.ANCHORS]}/{path}", MOST_OF_LOG)

    for one in proven.later:
        try:
            found = await prove(get, policy, Log.ANCHORS, one.entry)
        except Refused as refused:  # its steps are a part of this one
            raise Refused(refused.code, refused.detail, step="status") from None
        must_be(one, found.entry)


def _online(work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    import httpx

    from .terminal import run

    async def online() -> None:
        async with httpx.AsyncClient() as http:
            await work(http)

    run(online)


def _bytes(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise Refused(Code.TOO_LARGE, f"{path} is too large")
        return path.read_bytes()
    except OSError as error:
        raise Refused(Code.BAD_CONFIG, f"{path} cannot be read: {error.strerror}; check the path") from None


def _write(path: Path, raw: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(raw)
        draft.replace(path)
    except OSError as error:
        raise Refused(Code.BAD_CONFIG, f"{path} cannot be written: {error.strerror}") from None
