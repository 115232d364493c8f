"""A browser without a screen: keeps cookies, follows forms, runs no script. Pages must work this way too."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Tag:
    name: str
    attributes: dict[str, str]
    text: str = ""


class Page(HTMLParser):
    """What one answer shows: its forms, its elements by id, its words."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.status, self.url, self.html = answer.status_code, str(answer.url), answer.text
        self.forms: list[Form] = []
        self.tags: list[Tag] = []
        self._open: list[Tag] = []
        self._form: Form | None = None
        if answer.headers.get("content-type", "").startswith("text/html"):  # a file's bytes are no tags
            self.feed(self.html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(tag.text.split()) for tag in self.tags[:1])

    def find(self, id: str | None = None, **attributes: str) -> Tag | None:
        """The first element with this id, or with these attributes (data_step="seal" for data-step)."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        for tag in self.tags:
            fits = all(tag.attributes.get(name) == value for name, value in wanted.items())
            if (id is None or tag.attributes.get("id") == id) and fits and (id or wanted):
                return tag
        return None

    def __getitem__(self, id: str) -> Tag:
        tag = self.find(id)
        if tag is None:
            raise AssertionError(f"no #{id} on {self.url} ({self.status}):\n{self.text[:1500]}")
        return tag

    def form(self, action_ends: str) -> Form:
        for form in self.forms:
            if form.action.split("?")[0].endswith(action_ends):
                return form
        raise AssertionError(
            f"no form to {action_ends} on {self.url}; there are {[f.action for f in self.forms]}:\n{self.text[:1500]}"
        )

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        tag = Tag(name, attributes)
        self.tags.append(tag)
        if name not in ("input", "img", "meta", "link", "br", "hr", "source", "path", "circle"):
            self._open.append(tag)
        if name == "form":
            self._form = Form(attributes.get("action", self.url), attributes.get("method", "get").lower())
            self.forms.append(self._form)
        elif name == "input" and self._form is not None and "name" in attributes:
            kind = attributes.get("type", "text")
            if kind not in ("radio", "checkbox") or "checked" in attributes:
                self._form.fields[attributes["name"]] = attributes.get("value", "")

    def handle_endtag(self, name: str) -> None:
        if name == "form":
            self._form = None
        if any(tag.name == name for tag in self._open):
            while self._open.pop().name != name:
                pass

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            tag.text += data


class Browser:
    """One person's browser over an async client; every method is a coroutine."""

    def __init__(self, http: httpx.AsyncClient, base: str, language: str = "ko") -> None:
        self._http, self._base, self._language = http, base, language
        self.cookies: dict[str, str] = {}

    async def get(self, path: str) -> Page:
        return await self._follow("GET", path, None)

    async def fetch(self, path: str) -> httpx.Response:
        """What is no page: a file."""
        return await self._send("GET", path, None)

    async def post(self, page: Page, action_ends: str, **fields: str) -> Page:
        """Send the form on `page` whose action ends like this, with these fields filled in."""
        form = page.form(action_ends)
        return await self._follow(form.method.upper(), form.action, {**form.fields, **fields})

    async def upload(self, page: Page, action_ends: str, files: dict[str, bytes], **fields: str) -> Page:
        """The same for a form that carries files."""
        form = page.form(action_ends)
        sent = {name: value for name, value in {**form.fields, **fields}.items() if name not in files}
        return await self._follow("POST", form.action, sent, files)

    async def _follow(
        self, method: str, path: str, fields: dict[str, str] | None, files: dict[str, bytes] | None = None
    ) -> Page:
        for _ in range(5):
            answer = await self._send(method, path, fields, files)
            files = None
            if answer.status_code not in (302, 303):
                return Page(answer)
            method, path, fields = "GET", answer.headers["location"], None
        raise AssertionError("too many redirects")

    async def _send(
        self, method: str, path: str, fields: dict[str, str] | None, files: dict[str, bytes] | None = None
    ) -> httpx.Response:
        url = path if path.startswith("http") else self._base + path
        headers = {"Accept": "text/html", "Accept-Language": self._language, "Origin": self._base}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        extra: dict[str, Any] = {"data": fields} if method == "POST" else {"params": fields}
        if files:
            extra["files"] = {name: ("photo.jpg", raw, "image/jpeg") for name, raw in files.items()}
        answer = await self._http.request(method, url, headers=headers, **extra)
        for header in answer.headers.get_list("set-cookie"):
            pair, *rest = header.split(";")
            name, _, value = pair.partition("=")
            if any(part.strip().lower() == "max-age=0" for part in rest):
                self.cookies.pop(name.strip(), None)
            else:
                self.cookies[name.strip()] = value.strip()
        self._http.cookies.clear()
        return answer
