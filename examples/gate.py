"""An age check inside a website of your own: nobody else's server, no key, nothing but the standard library and mapae.

python examples/gate.py PACK-FOLDER https://where.this.is.reached
"""

import sys
from wsgiref.simple_server import make_server

from mapae.verifier.checking.kit import open_pack, purpose
from mapae.verifier.site.gate import Gate

PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Bar</title>
<script src="/age/button.js" defer></script>
<h1>Bar</h1><button type="button" data-mapae-purpose="alcohol_tobacco">I am an adult</button>"""


def site(gate):
    def app(environ, start):
        path = environ["PATH_INFO"]
        if path.startswith("/age/"):
            return gate.wsgi({**environ, "PATH_INFO": path.removeprefix("/age")}, start)
        start("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [b"<h1>Here is your beer</h1>" if gate.passed(environ.get("HTTP_COOKIE", "")) else PAGE]

    return app


if __name__ == "__main__":
    pack, url = sys.argv[1:]
    words = {"ko": "성인이신가요?", "en": "Are you an adult?"}
    gate = Gate(f"{url}/age", purpose("kr", "alcohol_tobacco"), lambda: open_pack(pack), words)
    make_server("127.0.0.1", 8090, site(gate)).serve_forever()
