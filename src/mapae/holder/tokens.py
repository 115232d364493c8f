"""Access tokens: from a pre-authorized code, from the code of a sign-in, and from a refresh token.

Promises: a live token bound to the order's key, saved before it is used; an order whose grant is dead is given up.
Trusts: the server named in the order. Keeps: tokens, in their orders. Refuses: a token that is not bound to our key,
except from a stranger's server that never said it could bind one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from mapae.errors import Code, Refused
from mapae.formats.jose import Signing

from . import authorization
from .client import FORM, Clients
from .dpop import Dpop
from .metadata import ServerMetadata
from .offer import GRANT
from .pocket import Pocket
from .store import Order, Task
from .wire import Reply


class Tokens:
    def __init__(self, pocket: Pocket, dpop: Dpop, clients: Clients) -> None:
        self._pocket = pocket
        self._dpop = dpop
        self._clients = clients

    async def get(self, order: Order, server: ServerMetadata) -> str:
        """A live access token, from the code the first time and from the refresh token afterwards."""
        if order.access_token is not None and order.token_until > self._pocket.at() + 5:
            return order.access_token
        reply = await self._ask(server.token_endpoint, order, server, self._fields(order, server))
        if not reply.ok:
            refusal = reply.refusal()
            if refusal.code is Code.INVALID_GRANT:
                self.give_up(order)
            raise refusal
        return self._keep(order, server, reply.json())

    async def push(self, order: Order, server: ServerMetadata, fields: Mapping[str, str]) -> Mapping[str, Any]:
        """RFC 9126: the request goes to the server first, authenticated; the browser carries only its name."""
        return (await self._ask(server.par_endpoint or "", order, server, fields)).json()

    def credential_key(self, order: Order) -> Signing | None:
        """The key the access token is bound to, if it is."""
        return None if order.bearer else self._pocket.keys.signer(order.dpop_key)

    def give_up(self, order: Order) -> None:
        """The grant is dead. An order without cards is forgotten; one with cards keeps them until they expire."""
        order.access_token = order.refresh_token = order.code = None
        if not any(card.order == order.id for card in self._pocket.state.cards.values()):
            del self._pocket.state.orders[order.id]
            for name in (order.dpop_key, *(name for task in order.tasks for name in task.keys)):
                self._pocket.keys.drop(name)
        else:
            for task in order.tasks:
                task.stage = "told"
        self._pocket.save()

    async def _ask(self, url: str, order: Order, server: ServerMetadata, fields: Mapping[str, str]) -> Reply:
        """As ourselves; once more with a new attestation where the server finds ours too old (draft-07 6.2)."""
        body, key = urlencode(fields).encode(), self._key(order, server)
        reply = await self._dpop.post(
            url, body, FORM, key, client=await self._clients.authenticate(server, order.issuer)
        )
        if reply.error != "use_fresh_attestation":
            return reply
        self._clients.forget(server, order.issuer)
        client = await self._clients.authenticate(server, order.issuer)
        return await self._dpop.post(url, body, FORM, key, client=client)

    def _key(self, order: Order, server: ServerMetadata) -> Signing | None:
        return self._pocket.keys.signer(order.dpop_key) if server.binds_tokens else None

    def _fields(self, order: Order, server: ServerMetadata) -> dict[str, str]:
        if order.refresh_token is not None:
            fields = {"grant_type": "refresh_token", "refresh_token": order.refresh_token}
        elif order.code is None:
            raise Refused(Code.INVALID_GRANT, "this order can no longer be finished")
        elif order.verifier is not None:
            fields = authorization.token_fields(order, order.code)
        else:
            fields = {"grant_type": GRANT, "pre-authorized_code": order.code}
            if order.tx_code is not None:
                fields["tx_code"] = order.tx_code
            order.anonymous = server.anonymous and not server.attests_clients
        if not order.anonymous:
            fields["client_id"] = self._clients.client_id
        return fields

    def _keep(self, order: Order, server: ServerMetadata, answer: Mapping[str, Any]) -> str:
        token, refresh, seconds = answer.get("access_token"), answer.get("refresh_token"), answer.get("expires_in", 60)
        kind = str(answer.get("token_type")).lower()
        order.bearer = kind == "bearer" and not server.binds_tokens
        if not isinstance(token, str) or not token or not (kind == "dpop" or order.bearer):
            raise Refused(Code.MALFORMED, "the token is not bound to our key")
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            raise Refused(Code.MALFORMED, "expires_in is not a whole number")
        order.access_token, order.token_until = token, self._pocket.at() + seconds
        if isinstance(refresh, str) and refresh:
            order.refresh_token = refresh
        if "authorization_details" in answer:
            _identify(order, answer["authorization_details"])
        self._pocket.save()
        return token


def _identify(order: Order, details: Any) -> None:
    """Section 6.2: where the token response names credential identifiers, they must be used, each for its dataset."""
    for configuration in dict.fromkeys(task.configuration for task in order.tasks):
        named = _identifiers(details, configuration)
        tasks = [task for task in order.tasks if task.configuration == configuration]
        free = [name for name in named if name not in {task.identifier for task in tasks}]
        for task in tasks:
            if free and task.identifier not in named:
                task.identifier = free.pop(0)
        order.tasks += [Task(configuration, identifier=name) for name in free]


def _identifiers(details: Any, configuration: str) -> list[str]:
    found: list[str] = []
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, Mapping) and detail.get("credential_configuration_id") == configuration:
            identifiers = detail.get("credential_identifiers")
            found += [one for one in (identifiers if isinstance(identifiers, list) else []) if isinstance(one, str)]
    return list(dict.fromkeys(found))[:16]
