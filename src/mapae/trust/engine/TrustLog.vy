# pragma version 0.4.3
# pragma evm-version paris
"""
@title  TrustLog
@license Apache-2.0
@notice The two logs of the trust registry, in the order a network of several bodies agrees on.
        Promises: what trust/log/rules.py accepts is accepted here and nothing else, and head(log) is the RFC 9162 head of
        the same bytes. Trusts: the network for order and for block.timestamp, the accounts of governors and parties.
        Keeps: a Merkle frontier for each log and what the rules need to decide; the entries themselves are in the events.
        Refuses: by revert, with the name of the rule.
@dev    Entries are 32-byte words: index, time, kind, subject, statement, payload. No text can be in one.
        What EVM networks differ in (fees, permissions, precompiles) is not used, except SHA-256, which all have.
"""

flag Role:
    ISSUER
    WALLET_PROVIDER
    REGISTRAR
    STATUS
    AUDIT

struct Party:
    controller: address  # empty: unknown
    voice: bytes32
    roles: Role
    valid_from: uint64
    valid_until: uint64
    revoked: bool

# The three topics find one entry exactly: by its place, or by the statement that asked for it.
event Appended:
    ledger: indexed(uint8)
    index: indexed(uint256)
    statement: indexed(bytes32)
    entry: Bytes[384]

event Voted:
    act: indexed(bytes32)
    governor: indexed(address)
    votes: uint256

REGISTRY: constant(uint8) = 0
ANCHORS: constant(uint8) = 1
DEPTH: constant(uint256) = 40  # 2**40 entries a log

# Kinds of entries. The code of a governors' act is the kind of entry it makes.
GOVERNOR: constant(uint8) = 1
POLICY: constant(uint8) = 2
PARTY: constant(uint8) = 3
PARTY_REVOKED: constant(uint8) = 4
KEY: constant(uint8) = 5
KEY_REVOKED: constant(uint8) = 6
SCHEMA: constant(uint8) = 7
SCHEMA_WITHDRAWN: constant(uint8) = 8
READER_REVOKED: constant(uint8) = 9
READER: constant(uint8) = 16
ANCHOR: constant(uint8) = 17

COMPROMISED: constant(uint8) = 3
REASONS: constant(uint8) = 4
PURPOSES: constant(uint8) = 5
MOST_GOVERNORS: constant(uint256) = 16
LONGEST_DELAY: constant(uint64) = 7_776_000

size: public(HashMap[uint8, uint256])
frontier: public(HashMap[uint8, HashMap[uint256, bytes32]])  # of each log, by level

governors: public(HashMap[address, bool])
standing: public(uint256)  # how many governors stand
threshold: public(uint8)
delay: public(uint64)
generation: public(uint256)  # one more with each change of governors or policy; votes of an older one count no more
votes: public(HashMap[bytes32, uint256])
voted: public(HashMap[bytes32, HashMap[address, bool]])

parties: public(HashMap[bytes32, Party])
keys: public(HashMap[bytes32, bytes32])  # thumbprint -> party
revoked_keys: public(HashMap[bytes32, bool])
schemas: public(HashMap[bytes32, bytes32])  # schema -> owner
withdrawn_schemas: public(HashMap[bytes32, bool])
readers: public(HashMap[bytes32, bytes32])  # reader -> registrar
revoked_readers: public(HashMap[bytes32, bool])
anchored: public(HashMap[bytes32, HashMap[bytes32, uint64]])  # party -> stream -> last seq
statements: public(HashMap[bytes32, bool])


@deploy
def __init__(governors: DynArray[address, 16], voices: DynArray[bytes32, 16], threshold: uint8, delay: uint64,
             document: bytes32, statement: bytes32):
    assert len(governors) != 0 and len(governors) == len(voices), "governor terms"
    assert statement != empty(bytes32), "statement"
    at: uint256 = 0
    for governor: address in governors:
        assert governor != empty(address) and voices[at] != empty(bytes32), "governor terms"
        assert not self.governors[governor], "governor terms"
        self.governors[governor] = True
        self._append(REGISTRY, GOVERNOR, convert(convert(governor, uint256), bytes32), statement,
                     abi_encode(voices[at], convert(1, uint256)))
        at += 1
    self.standing = at
    self._set_policy(document, threshold, delay)
    self._append(REGISTRY, POLICY, empty(bytes32), statement, abi_encode(document, threshold, delay))
    self.statements[statement] = True


# --- the log --------------------------------------------------------------------------------------------------------


@internal
def _append(ledger: uint8, kind: uint8, subject: bytes32, statement: bytes32, payload: Bytes[192]):
    """Amortised one SHA-256 and one slot of the frontier."""
    index: uint256 = self.size[ledger]
    entry: Bytes[384] = concat(
        convert(index, bytes32), convert(block.timestamp, bytes32), convert(kind, bytes32), subject, statement, payload)
    node: bytes32 = sha256(concat(b"\x00", entry))  # RFC 9162 2.1.1: leaves and nodes are told apart
    level: uint256 = 0
    rest: uint256 = index
    for _: uint256 in range(DEPTH):
        if rest & 1 == 0:
            break
        node = sha256(concat(b"\x01", self.frontier[ledger][level], node))
        rest = rest >> 1
        level += 1
    assert level < DEPTH, "full"
    self.frontier[ledger][level] = node
    self.size[ledger] = index + 1
    log Appended(ledger=ledger, index=index, statement=statement, entry=entry)


@internal
def _enter(ledger: uint8, kind: uint8, subject: bytes32, statement: bytes32, payload: Bytes[192]):
    """Append what was asked for by a statement, which is thereby used up."""
    self.statements[statement] = True
    self._append(ledger, kind, subject, statement, payload)


@view
@external
def head(ledger: uint8) -> (uint256, bytes32):
    """Size and RFC 9162 2.1.1 root over every entry so far."""
    size: uint256 = self.size[ledger]
    root: bytes32 = sha256(b"")
    first: bool = True
    level: uint256 = 0
    rest: uint256 = size
    for _: uint256 in range(DEPTH):
        if rest == 0:
            break
        if rest & 1 == 1:
            if first:
                root = self.frontier[ledger][level]
                first = False
            else:
                root = sha256(concat(b"\x01", self.frontier[ledger][level], root))
        rest = rest >> 1
        level += 1
    return size, root


# --- who may ---------------------------------------------------------------------------------------------------------


@view
@internal
def _fresh(statement: bytes32):
    assert statement != empty(bytes32) and not self.statements[statement], "statement"


@internal
def _agreed(code: uint8, arguments: Bytes[256]) -> bool:
    """Count the sender's vote for this very act; True with the vote that decides."""
    assert self.governors[msg.sender], "governor"
    act: bytes32 = sha256(concat(convert(self.generation, bytes32), convert(code, bytes32), arguments))
    assert not self.voted[act][msg.sender], "voted"
    self.voted[act][msg.sender] = True
    votes: uint256 = self.votes[act] + 1
    self.votes[act] = votes
    log Voted(act=act, governor=msg.sender, votes=votes)
    return votes >= convert(self.threshold, uint256)


@view
@internal
def _live(party: bytes32) -> bool:
    now: uint64 = convert(block.timestamp, uint64)
    p: Party = self.parties[party]
    return not p.revoked and p.valid_from <= now and now < p.valid_until


@view
@internal
def _acts_for(party: bytes32):
    assert msg.sender == self.parties[party].controller, "not the party"
    assert self._live(party), "party not live"


@view
@internal
def _has_role(party: bytes32, roles: Role):
    assert self.parties[party].roles & roles != empty(Role), "role"


@view
@internal
def _is_party(party: bytes32) -> bool:
    """Whether the sender acts as this party; otherwise it must be a governor, and its call is a vote."""
    return msg.sender == self.parties[party].controller and self._live(party)


@view
@internal
def _term(valid_from: uint64, valid_until: uint64) -> uint64:
    """When it begins: as said, or now."""
    start: uint64 = valid_from
    if start == 0:
        start = convert(block.timestamp, uint64)
    assert valid_until > start, "terms"
    return start


@view
@internal
def _since(reason: uint8, since: uint64) -> uint64:
    """From when the revocation counts. Only a compromise may be back-dated."""
    now: uint64 = convert(block.timestamp, uint64)
    assert 1 <= reason and reason <= REASONS, "reason"
    if since == 0:
        return now
    assert since == now or (since < now and reason == COMPROMISED), "since"
    return since


# --- governors -------------------------------------------------------------------------------------------------------


@external
def put_governor(governor: address, voice: bytes32, standing: uint8, statement: bytes32):
    self._fresh(statement)
    if not self._agreed(GOVERNOR, abi_encode(governor, voice, standing, statement)):
        return
    assert governor != empty(address) and standing <= 1, "governor terms"
    if standing == 1:
        assert not self.governors[governor] and voice != empty(bytes32), "governor terms"
        assert self.standing < MOST_GOVERNORS, "governor terms"
        self.standing += 1
    else:
        assert self.governors[governor], "governor terms"
        assert self.standing > convert(self.threshold, uint256), "governor terms"
        self.standing -= 1
    self.governors[governor] = standing == 1
    self.generation += 1
    self._enter(REGISTRY, GOVERNOR, convert(convert(governor, uint256), bytes32), statement, abi_encode(voice, standing))


@internal
def _set_policy(document: bytes32, threshold: uint8, delay: uint64):
    assert document != empty(bytes32) and delay <= LONGEST_DELAY, "policy terms"
    assert threshold >= 1 and convert(threshold, uint256) <= self.standing, "policy terms"
    self.threshold = threshold
    self.delay = delay


@external
def put_policy(document: bytes32, threshold: uint8, delay: uint64, statement: bytes32):
    self._fresh(statement)
    if not self._agreed(POLICY, abi_encode(document, threshold, delay, statement)):
        return
    self._set_policy(document, threshold, delay)
    self.generation += 1
    self._enter(REGISTRY, POLICY, empty(bytes32), statement, abi_encode(document, threshold, delay))


@view
@internal
def _admission(party: bytes32, controller: address, voice: bytes32, roles: Role, valid_from: uint64) -> uint64:
    """When the party begins. Whatever gives somebody new power waits for the delay, so that others can object."""
    now: uint64 = convert(block.timestamp, uint64)
    old: Party = self.parties[party]
    start: uint64 = valid_from
    if old.controller == controller and old.voice == voice and old.roles == roles:
        if start == 0:
            start = old.valid_from
        assert start == old.valid_from or start >= now, "delay"
    else:
        if start == 0:
            start = now + self.delay
        assert start >= now + self.delay, "delay"
    return start


@external
def put_party(party: bytes32, controller: address, voice: bytes32, roles: uint8, valid_from: uint64, valid_until: uint64,
              document: bytes32, statement: bytes32):
    """Admit a party, or admit it again with new terms."""
    self._fresh(statement)
    if not self._agreed(PARTY, abi_encode(party, controller, voice, roles, valid_from, valid_until, document, statement)):
        return
    assert party != empty(bytes32) and controller != empty(address) and voice != empty(bytes32), "terms"
    assert document != empty(bytes32) and 1 <= roles and roles <= 31, "terms"
    assert not self.parties[party].revoked, "revoked is final"
    flags: Role = convert(convert(roles, uint256), Role)
    start: uint64 = self._admission(party, controller, voice, flags, valid_from)
    assert valid_until > start, "terms"
    self.parties[party] = Party(
        controller=controller, voice=voice, roles=flags, valid_from=start, valid_until=valid_until, revoked=False)
    self._enter(REGISTRY, PARTY, party, statement,
                abi_encode(controller, voice, roles, start, valid_until, document))


@external
def revoke_party(party: bytes32, reason: uint8, statement: bytes32):
    self._fresh(statement)
    if not self._agreed(PARTY_REVOKED, abi_encode(party, reason, statement)):
        return
    assert self.parties[party].controller != empty(address), "unknown party"
    assert not self.parties[party].revoked, "revoked is final"
    assert 1 <= reason and reason <= REASONS, "reason"
    self.parties[party].revoked = True
    self._enter(REGISTRY, PARTY_REVOKED, party, statement, abi_encode(reason))


# --- parties ---------------------------------------------------------------------------------------------------------


@external
def put_key(party: bytes32, thumbprint: bytes32, purpose: uint8, valid_from: uint64, valid_until: uint64,
            statement: bytes32):
    """A key is entered once, over all parties, and never edited."""
    self._fresh(statement)
    self._acts_for(party)
    assert thumbprint != empty(bytes32) and self.keys[thumbprint] == empty(bytes32), "key exists"
    assert 1 <= purpose and purpose <= PURPOSES, "purpose"
    start: uint64 = self._term(valid_from, valid_until)
    self.keys[thumbprint] = party
    self._enter(REGISTRY, KEY, party, statement, abi_encode(thumbprint, purpose, start, valid_until))


@external
def revoke_key(party: bytes32, thumbprint: bytes32, reason: uint8, since: uint64, statement: bytes32):
    """By the party, or by governors in its stead."""
    self._fresh(statement)
    if not self._is_party(party):
        if not self._agreed(KEY_REVOKED, abi_encode(party, thumbprint, reason, since, statement)):
            return
    assert party != empty(bytes32) and self.keys[thumbprint] == party, "unknown key"
    assert not self.revoked_keys[thumbprint], "revoked is final"
    at: uint64 = self._since(reason, since)
    self.revoked_keys[thumbprint] = True
    self._enter(REGISTRY, KEY_REVOKED, party, statement, abi_encode(thumbprint, reason, at))


@external
def put_schema(owner: bytes32, schema: bytes32, digest: bytes32, statement: bytes32):
    """A schema is never edited: a new version is a new schema."""
    self._fresh(statement)
    self._acts_for(owner)
    self._has_role(owner, Role.ISSUER)
    assert schema != empty(bytes32) and digest != empty(bytes32) and self.schemas[schema] == empty(bytes32), "schema exists"
    self.schemas[schema] = owner
    self._enter(REGISTRY, SCHEMA, schema, statement, abi_encode(owner, digest))


@external
def withdraw_schema(schema: bytes32, statement: bytes32):
    self._fresh(statement)
    owner: bytes32 = self.schemas[schema]
    assert owner != empty(bytes32), "unknown schema"
    self._acts_for(owner)
    assert not self.withdrawn_schemas[schema], "withdrawn"
    self.withdrawn_schemas[schema] = True
    self._enter(REGISTRY, SCHEMA_WITHDRAWN, schema, statement, b"")


@external
def put_reader(registrar: bytes32, reader: bytes32, certificate: bytes32, valid_from: uint64, valid_until: uint64,
               statement: bytes32):
    self._fresh(statement)
    self._acts_for(registrar)
    self._has_role(registrar, Role.REGISTRAR)
    assert reader != empty(bytes32) and certificate != empty(bytes32), "reader exists"
    assert self.readers[reader] == empty(bytes32), "reader exists"
    start: uint64 = self._term(valid_from, valid_until)
    self.readers[reader] = registrar
    self._enter(ANCHORS, READER, registrar, statement, abi_encode(reader, certificate, start, valid_until))


@external
def revoke_reader(registrar: bytes32, reader: bytes32, reason: uint8, since: uint64, statement: bytes32):
    """By the registrar that entered it, or by governors in its stead."""
    self._fresh(statement)
    if not self._is_party(registrar):
        if not self._agreed(READER_REVOKED, abi_encode(registrar, reader, reason, since, statement)):
            return
    assert registrar != empty(bytes32) and self.readers[reader] == registrar, "unknown reader"
    assert not self.revoked_readers[reader], "revoked is final"
    at: uint64 = self._since(reason, since)
    self.revoked_readers[reader] = True
    self._enter(REGISTRY, READER_REVOKED, registrar, statement, abi_encode(reader, reason, at))


@external
def anchor(party: bytes32, stream: bytes32, seq: uint64, root: bytes32, leaves: uint64, next_update: uint64,
           statement: bytes32):
    """The next root of a stream. No gaps, so that a retry is harmless and a fork of the stream refused."""
    self._fresh(statement)
    self._acts_for(party)
    self._has_role(party, Role.STATUS | Role.AUDIT)
    assert stream != empty(bytes32) and root != empty(bytes32), "terms"
    assert seq == self.anchored[party][stream] + 1, "seq"
    assert next_update > convert(block.timestamp, uint64), "next_update"
    self.anchored[party][stream] = seq
    self._enter(ANCHORS, ANCHOR, party, statement, abi_encode(stream, seq, root, leaves, next_update))
