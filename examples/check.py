"""Check what a phone shows, with no network: the text of each code on a line of its own.

zbarcam --raw --quiet | head -1 | python examples/check.py PACK-FOLDER
"""

import sys

from mapae.verifier.checking.kit import open_pack, purpose, verify


def check(folder, texts, now=None):
    return verify(texts, purpose("kr", "alcohol_tobacco"), open_pack(folder), now=now)


if __name__ == "__main__":
    verdict = check(sys.argv[1], sys.stdin.read().splitlines())
    print(verdict.outcome, verdict.step or "", verdict.code or "")
    sys.exit(verdict.outcome != "accepted")
