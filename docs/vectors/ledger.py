#!/usr/bin/env python3
"""An independent implementation of the tree, checkpoints and cosignatures of docs/LEDGER.md, in plain Python.

It printed the vector at the end of that page; nothing runs this script. The tree is RFC 6962's recursion as it is written there,
Ed25519 is RFC 8032's arithmetic: slow, and for vectors alone.

    python3 docs/vectors/ledger.py
"""
import base64
import hashlib

# The field and the group of Ed25519, and its base point.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def sha256(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


def root(entries):
    if not entries:
        return sha256(b"")
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0])
    split = 1 << (len(entries) - 1).bit_length() - 1
    return sha256(b"\x01" + root(entries[:split]) + root(entries[split:]))


def even_x(y):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x % 2 else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (even_x(BASE_Y), BASE_Y)


def add(left, right):
    (x1, y1), (x2, y2) = left, right
    t = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P


def times(scalar):
    point, result = BASE, (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return (result[1] | (result[0] & 1) << 255).to_bytes(32, "little")


def number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


class Key:
    def __init__(self, name, kind, seed):
        expanded = hashlib.sha512(seed).digest()
        self.scalar = int.from_bytes(expanded[:32], "little") & (1 << 254) - 8 | 1 << 254
        self.prefix, self.public = expanded[32:], times(self.scalar)
        self.name, self.typed = name, bytes([kind]) + self.public
        self.id = sha256(name.encode() + b"\n" + self.typed)[:4]

    def sign(self, message):
        nonce = number(self.prefix, message)
        commitment = times(nonce)
        s = (nonce + number(commitment, self.public, message) * self.scalar) % ORDER
        return commitment + s.to_bytes(32, "little")

    def line(self, signature):
        return f"\u2014 {self.name} {b64(self.id + signature)}"

    def text(self):
        return f"{self.name}+{self.id.hex()}+{b64(self.typed)}"


log = Key("log.example/a", 0x01, b"\x01" * 32)
witness = Key("witness.example/w1", 0x04, b"\x02" * 32)
entries = [b"entry %d" % index for index in range(700)]
time = 1_800_000_000

checkpoint = f"{log.name}\n{len(entries)}\n{b64(root(entries))}\n"
cosignature = witness.sign(f"cosignature/v1\ntime {time}\n{checkpoint}".encode())
print(f"{log.text()}\n{witness.text()}\n")
print(checkpoint)
print(log.line(log.sign(checkpoint.encode())))
print(witness.line(time.to_bytes(8, "big") + cosignature))
