"""Computes the policy digest of the tests' minimal configuration, by the definition in verdict/src/policy_document.rs alone.

Run from the root of the checkout: python3 kms/tests/config/policy_vector.py
"""

import hashlib
import json

der = open("attestation/src/intel_sgx_root_ca.der", "rb").read()
# SubjectPublicKeyInfo ends with a BIT STRING of 66 bytes: no unused bits, then the uncompressed point.
at = der.index(b"\x03\x42\x00\x04")
point = der[at + 3 : at + 3 + 65]

document = {
    "version": "onchain-kms/policy/v1",
    "attestation": {"collateral_set": "standard", "root_key_id": hashlib.sha384(point).hexdigest()},
    "certificates": {
        "zone": "kms.internal",
        "leaf_max_lifetime_s": 24 * 3600,
        "app_ca_lifetime_s": 90 * 24 * 3600,
        "node_lifetime_s": 3600,
    },
    "chain": {
        "chain_id": 1,
        "contract": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        "grant_at": "latest",
        "confirmations": 1,
        "freshness": {"latest_max_age": 90, "finalized_max_age": 1800, "max_future": 15},
        "heads": {
            "mode": "quorum",
            "threshold": 2,
            "hosts": sorted(["rpc-a.example", "rpc-b.example", "rpc-c.example"]),
        },
    },
    "decision": {
        "boot_phase": "booting",
        "platform": {
            "accepted_tcb_statuses": ["UpToDate"],
            "denied_advisories": [],
            "min_evaluation_number": 0,
            "max_collateral_age_secs": 30 * 24 * 3600,
            "max_root_crl_age_secs": 400 * 24 * 3600,
            "grace_secs": 0,
            "allowed_fmspcs": None,
        },
    },
}
text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
print(text)
print(hashlib.sha256(text.encode()).hexdigest())
