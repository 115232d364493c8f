"""Files we ship: the stylesheet, the small scripts, the built wallet.

Promises: a file is served with its type, a strong ETag and, when asked for under its hash, for ever. Trusts: the
folder it is given. Keeps: nothing but hashes. Refuses: any path that leaves the folder, dot files, unknown types.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


def static_url(name: str) -> str:
    """`/static/<name>?v=<hash>`. Our own files must exist (a template cannot point at nothing); `vendor/` is filled by
    the wallet's build and may come later: pages work without it."""
    path = STATIC / name
    if name.startswith("vendor/") and not path.is_file():
        return f"/static/{name}"
    return f"/static/{name}?v={_digest(path, path.stat().st_mtime_ns)[:12]}"


def send_file(request: Request, folder: Path, name: str, *, for_ever: bool = False) -> Response:
    """The file `name` below `folder`, 304 when the client has it, 404 (Refused) when it is not there."""
    path = folder / name
    kind = TYPES.get(path.suffix)
    parts = Path(name).parts
    if kind is None or not parts or any(part.startswith(".") or part == "/" for part in parts):
        raise Refused(Code.NOT_FOUND, "no such file")
    try:
        stamp = path.stat().st_mtime_ns
        inside = path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise Refused(Code.NOT_FOUND, "no such file")
    digest = _digest(path, stamp)
    etag = f'"{digest[:32]}"'
    hashed = for_ever or request.query_params.get("v") == digest[:12]
    headers = {"ETag": etag, "Cache-Control": "public, max-age=31536000, immutable" if hashed else "no-cache"}
    if etag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(path.read_bytes(), headers=headers, media_type=kind)


@lru_cache(maxsize=1024)
def _digest(path: Path, stamp: int) -> str:
    return sha256(path.read_bytes()).hexdigest()
