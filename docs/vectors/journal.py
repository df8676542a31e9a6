#!/usr/bin/env python3
"""An independent implementation of the journal of docs/LEDGER.md, in plain Python.

It writes journal.json beside it: a segment with two batches and a frame of every kind, which the tests of `ledger/src/store/` open
and publish. The keys are those of the tests: an Ed25519 seed of 32 times 0x01, and a journal key of 32 times 0x01.

    pip install cryptography
    python3 docs/vectors/journal.py
"""
import hashlib
import hmac
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent
ORIGIN = b"log.example/node"
JOURNAL_KEY = b"\x01" * 32
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
SALT = bytes(range(16))


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.digest(key, data, "sha256")


def field(data):
    return struct.pack(">I", len(data)) + data


KEY = mac(JOURNAL_KEY, field(b"onchain-kms/journal/key/v2") + field(ORIGIN) + field(LOG_KEY))


def frame(kind, digest, data):
    return struct.pack(">IB", len(data), kind) + digest + data


def blob(data):
    return frame(2, sha256(data), data)


def file(name, data):
    return frame(3, sha256(name + data), name + data)


def entry(record):
    return frame(4, leaf(record), record)


def leaf(record):
    return sha256(b"\x00" + record)


def batch(first, root, frames):
    heads = b"".join(frame[:37] for frame in frames)
    length = sum(map(len, frames))
    body = struct.pack(">Q", first) + root + struct.pack(">Q", length) + sha256(heads)
    body += mac(KEY, b"onchain-kms/journal/batch/v2" + SALT + body)
    return frame(1, sha256(b"onchain-kms/journal/batch/v2" + body), body) + b"".join(frames)


def segment(sequence, first, batches):
    body = b"okmsjrn2" + struct.pack(">QQ", sequence, first) + SALT
    body += mac(KEY, b"onchain-kms/journal/segment/v2" + body)
    return body + sha256(body) + b"".join(batches)


def text(value):
    return struct.pack(">H", len(value)) + value


def record(time, policy):
    """A node that stops: docs/LEDGER.md, Records."""
    node = text(b"n") + text(b"1") + struct.pack(">II", 1, 0) + policy + b"\x22" * 32
    return b"\x01" + struct.pack(">Q", time) + node + b"\x00" + b"\x02"


one, two = b"policy one", b"policy two"
records = [record(1, sha256(one)), record(2, sha256(two)), record(3, sha256(one))]
batches = [
    batch(0, sha256(b""), [blob(one), entry(records[0])]),
    # A blob's file that holds it as it is.
    batch(1, leaf(records[0]), [file(sha256(two), b"\x00" + two), entry(records[1]), entry(records[2])]),
]
vector = {
    "origin": ORIGIN.decode(),
    "log_key": LOG_KEY.hex(),
    "journal_key": JOURNAL_KEY.hex(),
    "key": KEY.hex(),
    "records": [record.hex() for record in records],
    "segment": segment(0, 0, batches).hex(),
}
(HERE / "journal.json").write_text(json.dumps(vector, indent=1) + "\n", encoding="utf-8")
