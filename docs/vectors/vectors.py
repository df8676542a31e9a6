#!/usr/bin/env python3
"""An independent implementation of docs/KEYS.md, in Python. It wrote keys.json and env.json beside it.

The Rust tests read these files; nothing else runs this script. HKDF, the reduction, Keccak-256 and HPKE are spelled out
here from their specifications; the points of the curves and the two ciphers are the `cryptography` package's.

    python3 -m pip install cryptography
    python3 docs/vectors/vectors.py
"""
import hashlib
import hmac
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent
# The orders of the groups.
SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

ROOT = bytes(range(32))
APP = bytes(range(0x20, 0x34))
INSTANCE = bytes(range(0x40, 0x54))
NODE_ID = b"node-1.example"
TIMESTAMP = 1_800_000_000


def fields(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def extract(salt, secret):
    return hmac.new(salt, secret, hashlib.sha256).digest()


def expand(prk, info, length):
    out, block = b"", b""
    for counter in range(1, 256):
        if len(out) >= length:
            break
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        out += block
    return out[:length]


# Keys


def info(purpose, epoch, app=b"", instance=b"", path=b""):
    return fields(b"v1", purpose.encode(), struct.pack(">I", epoch), app, instance, path)


def derive(purpose, length, *name):
    return expand(extract(b"onchain-kms/root/v1", ROOT), info(purpose, *name), length)


def scalar(wide, order):
    """FIPS 186-5, A.2.1."""
    return int.from_bytes(wide, "big") % (order - 1) + 1


def raw(key):
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def plain(purpose, *name):
    return {"private": derive(purpose, 32, *name).hex()}


def montgomery(purpose, *name):
    key = derive(purpose, 32, *name)
    return {"private": key.hex(), "public": raw(x25519.X25519PrivateKey.from_private_bytes(key).public_key()).hex()}


def edwards(purpose, *name):
    key = derive(purpose, 32, *name)
    return {"private": key.hex(), "public": raw(ed25519.Ed25519PrivateKey.from_private_bytes(key).public_key()).hex()}


def weierstrass(curve, order, form):
    def key(purpose, *name):
        wide = derive(purpose, 48, *name)
        d = scalar(wide, order)
        public = ec.derive_private_key(d, curve).public_key()
        encoded = (
            public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
            if form == "compressed"
            else public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        return {"wide": wide.hex(), "private": d.to_bytes(32, "big").hex(), "public": encoded.hex()}

    return key


k256 = weierstrass(ec.SECP256K1(), SECP256K1_N, "compressed")
p256 = weierstrass(ec.SECP256R1(), P256_N, "spki")


def key_vectors(epoch):
    names = [
        ("app_disk", plain, "app-disk", APP, INSTANCE),
        ("app_disk_shared", plain, "app-disk", APP),
        ("app_env", montgomery, "app-env", APP),
        ("app_signing", k256, "app-signing", APP),
        ("app_ca", p256, "app-ca", APP),
        ("node_log", edwards, "node-log", b"", b"", NODE_ID),
        ("node_journal", plain, "node-journal", b"", b"", NODE_ID),
        ("root_ca", p256, "root-ca"),
        ("root_signer", k256, "root-signer"),
    ]
    keys = {
        label: {"info": info(purpose, epoch, *name).hex(), **kind(purpose, epoch, *name)}
        for label, kind, purpose, *name in names
    }
    signing, env = (bytes.fromhex(keys[label]["public"]) for label in ("app_signing", "app_env"))
    be = struct.pack(">I", epoch)
    app_key = fields(b"onchain-kms/app-key/v1", APP, be, signing)
    env_key = fields(b"onchain-kms/env-key/v1", APP, be, struct.pack(">Q", TIMESTAMP), env)
    statements = {
        "app_key": {"message": app_key.hex(), "digest": keccak256(app_key).hex()},
        "env_key": {"message": env_key.hex(), "digest": keccak256(env_key).hex()},
    }
    return {"epoch": epoch, "keys": keys, "statements": statements}


def keccak256(message):
    """Keccak[512] with the padding of the submission, not of SHA-3."""
    mask, rate = (1 << 64) - 1, 136
    rotate = lambda x, n: ((x << n % 64) | (x >> (64 - n % 64))) & mask
    state = [[0] * 5 for _ in range(5)]
    padded = bytearray(message + b"\x01" + bytes(-(len(message) + 1) % rate))
    padded[-1] |= 0x80
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            state[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        lfsr = 1
        for _ in range(24):
            c = [state[x][0] ^ state[x][1] ^ state[x][2] ^ state[x][3] ^ state[x][4] for x in range(5)]
            d = [c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1) for x in range(5)]
            state = [[state[x][y] ^ d[x] for y in range(5)] for x in range(5)]
            x, y, current = 1, 0, state[1][0]
            for t in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                current, state[x][y] = state[x][y], rotate(current, (t + 1) * (t + 2) // 2)
            for y in range(5):
                row = [state[x][y] for x in range(5)]
                for x in range(5):
                    state[x][y] = row[x] ^ (~row[(x + 1) % 5] & mask & row[(x + 2) % 5])
            for j in range(7):
                lfsr = ((lfsr << 1) ^ ((lfsr >> 7) * 0x71)) % 256
                if lfsr & 2:
                    state[0][0] ^= 1 << ((1 << j) - 1)
    return b"".join(state[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


# Environments


def hpke_seal(public, ephemeral, info_, aad, plaintext):
    """RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305."""
    kem_id, suite_id = b"KEM" + struct.pack(">H", 0x20), b"HPKE" + struct.pack(">HHH", 0x20, 1, 3)
    labeled_extract = lambda suite, salt, label, ikm: extract(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)
    labeled_expand = lambda suite, prk, label, data, length: expand(
        prk, struct.pack(">H", length) + b"HPKE-v1" + suite + label + data, length
    )
    enc = raw(ephemeral.public_key())
    dh = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(public))
    shared = labeled_expand(
        kem_id, labeled_extract(kem_id, b"", b"eae_prk", dh), b"shared_secret", enc + public, 32
    )
    context = (
        b"\0"
        + labeled_extract(suite_id, b"", b"psk_id_hash", b"")
        + labeled_extract(suite_id, b"", b"info_hash", info_)
    )
    secret = labeled_extract(suite_id, shared, b"secret", b"")
    key = labeled_expand(suite_id, secret, b"key", context, 32)
    nonce = labeled_expand(suite_id, secret, b"base_nonce", context, 12)
    return enc, ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


def env_vectors():
    epoch = 1
    private = derive("app-env", 32, epoch, APP)
    public = raw(x25519.X25519PrivateKey.from_private_bytes(private).public_key())
    env = [{"key": "API_KEY", "value": "s3cr3t"}, {"key": "MOTTO", "value": 'a "b"\n\u00e4'}]
    plaintext = json.dumps({"env": env}, separators=(",", ":"), ensure_ascii=False).encode()
    ephemeral = x25519.X25519PrivateKey.from_private_bytes(hashlib.sha256(b"ephemeral").digest())
    be = struct.pack(">I", epoch)
    enc, sealed = hpke_seal(public, ephemeral, b"onchain-kms/env/v1", fields(APP, be), plaintext)
    iv = hashlib.sha256(b"iv").digest()[:12]
    shared = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(public))
    return {
        "app_id": APP.hex(),
        "epoch": epoch,
        "private": private.hex(),
        "public": public.hex(),
        "plaintext": plaintext.decode(),
        "native": (b"\x01" + be + enc + sealed).hex(),
        "dstack": (raw(ephemeral.public_key()) + iv + AESGCM(shared).encrypt(iv, plaintext, None)).hex(),
    }


def write(name, vectors):
    (HERE / name).write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


assert keccak256(b"").hex().startswith("c5d2460186f7233c"), "Keccak-256 of nothing"
write(
    "keys.json",
    {
        "root": ROOT.hex(),
        "app_id": APP.hex(),
        "instance_id": INSTANCE.hex(),
        "node_id": NODE_ID.decode(),
        "timestamp": TIMESTAMP,
        "epochs": [key_vectors(0), key_vectors(1)],
    },
)
write("env.json", env_vectors())
