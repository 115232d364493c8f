"""A client of the log-in bridge that is ready in the demo country, for a sample site on this very machine.

Promises: it is there after the first start, with an id, a secret and addresses that everybody may know. Trusts: the
demo. Keeps: one row. Refuses: nothing.
"""

from __future__ import annotations

from typing import Final

from .house import House
from .verifier.login import store as login_store
from .verifier.login.client import registered

CLIENT: Final = "sample-site"
SECRET: Final = "the-sample-sites-secret-that-everybody-knows"  # noqa: S105  of a demo client, on localhost only
PORT: Final = 3000


async def sample_site(house: House) -> None:
    """For the first relying party of the pack that may log people in."""
    if "verifier" not in house.roles:
        return
    country = house.country
    logs_in = {id for id, purpose in country.purposes.items() if country.logs_in(purpose)}
    list_ = await house.verifier.questions.trust()
    party = next(
        (one.id for one in list_.relying_parties if logs_in & {purpose.id for purpose in one.purposes}), None
    )  # fmt: skip
    if party is None:
        return
    here = f"http://localhost:{PORT}"
    client = registered(CLIENT, party, [f"{here}/callback"], logout_uris=[here], secret=SECRET)
    db = await house.foundation.database("verifier")
    await login_store.add_client(db, client, house.foundation.clock.now())  # False: it is there already
