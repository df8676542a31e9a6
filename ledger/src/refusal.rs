//! Every reason for which the log, or a part of it, is refused.

use kms_attestation::refusal::Refusal;

/// A refusal of this crate.
pub type LedgerRefusal = Refusal<LedgerCode>;

kms_attestation::deny_codes! {
    /// What this crate refuses.
    pub enum LedgerCode {
        RecordTooLarge = "record-too-large", Evidence,
            "The record is larger than an entry of the log may be.",
            "Get the log from its operator again; the node never writes such a record.";
        RecordVersion = "record-version-unsupported", Evidence,
            "The record is of a version that this software does not know.",
            "Use a newer kmsctl.";
        RecordMalformed = "record-malformed", Evidence,
            "The bytes are no record.",
            "Get the log from its operator again; if it stays so, the log was not written by this software.";
        RecordNotCanonical = "record-not-canonical", Evidence,
            "The record's bytes are not those that the same record encodes to.",
            "Get the log from its operator again; if it stays so, the log was not written by this software.";
        TilePath = "tile-path-malformed", Request,
            "This is no path of a tile or an entry bundle.",
            "Ask for a path of c2sp.org/tlog-tiles.";
        Tile = "tile-malformed", Evidence,
            "The tile or entry bundle does not have what its width says.",
            "Get the log from its operator again, or from a mirror.";
        LogRange = "log-out-of-range", Request,
            "The log has no such entry or size.",
            "Ask for an entry below the size of the checkpoint.";
        LogFileMissing = "log-file-missing", Provider,
            "A file that the log must have is not there.",
            "Get the log from its operator again, or from a mirror.";
        LogProof = "log-proof-invalid", Evidence,
            "The hashes do not lead to the root of the checkpoint.",
            "Keep both and ask the operator: a log that cannot prove what it shows has been changed.";
        Note = "note-malformed", Evidence,
            "The bytes are no signed note.",
            "Get the file again; a proxy may have answered in place of the log.";
        NoteUnsigned = "note-unsigned", Evidence,
            "The note has no signature of the expected key.",
            "Check the key that you pinned; a log has another one after a recovery with another root.";
        NoteSignature = "note-signature-invalid", Evidence,
            "The signature is not one of this key over this text.",
            "Get the file again; if it stays so, it was changed after it was signed.";
        LogKey = "log-key-malformed", Request,
            "This is no name, or no verifier key, of a log or a witness.",
            "Copy the key as its owner publishes it: name, key id and key, joined by plus signs.";
        Checkpoint = "checkpoint-malformed", Evidence,
            "The signed text is no checkpoint.",
            "Get the checkpoint from its log again.";
        CheckpointForeign = "checkpoint-foreign", Evidence,
            "The checkpoint is of another log.",
            "Check the address of the log and the key that you pinned.";
        BlobPath = "blob-path-malformed", Request,
            "This is no path of a blob.",
            "Ask for blob/, two digits, and the blob's id in lower-case hexadecimal.";
        Blob = "blob-malformed", Evidence,
            "The file is not the form of a blob, or of one that is too large.",
            "Get the blob from the log's operator again, or from a mirror.";
        BlobMissing = "blob-missing", Provider,
            "The log's source does not have the blob.",
            "Ask the operator for the log with its blobs: a public copy may leave them out.";
        BlobForeign = "blob-foreign", Evidence,
            "The bytes of the blob do not have its name.",
            "Get the blob from the log's operator again, or from a mirror.";
        StoreReserved = "store-reserved", Node,
            "The disk is so full that only releases are still recorded.",
            "Make room on the node's disk, or remove old evidence; nothing needs a restart.";
        StoreFull = "store-full", Node,
            "The disk is full: nothing can be recorded, so nothing is released.",
            "Make room on the node's disk, or remove old evidence; nothing needs a restart.";
        StoreDisk = "store-disk", Node,
            "The disk under the log failed.",
            "Look at the node's disk and its mount; the node goes on by itself when the disk does.";
        StoreLocked = "store-locked", Node,
            "Another process has the log's folder open.",
            "Stop the other node, or give this one a folder of its own.";
        StoreFormat = "store-format", Node,
            "The folder belongs to another log, or was written by other software.",
            "Give the node the folder of its own log, or an empty one for a new log.";
        StoreKey = "store-key", Node,
            "The log in the folder was not signed by this node's key.",
            "A log belongs to one key: give the node the root that the log was begun with, or another folder for a log of its own. If the root is the same, keep a copy: somebody exchanged the log.";
        StoreForged = "store-forged", Evidence,
            "The journal on the log's disk holds what this node did not write there.",
            "Keep a copy of the folder, and find out who writes to the node's disk; then restore a copy of your own, or begin a new log in another folder.";
        StoreBehind = "store-behind", Node,
            "Publication of the log does not go on, and too much waits for it: nothing more is recorded.",
            "See why publication fails: the node's log says it. Nothing needs a restart.";
        StoreDamaged = "store-damaged", Evidence,
            "What is on the log's disk is not what was written there.",
            "Keep a copy of the folder, compare it with a mirror of the log, and repair the disk; then restore the copy or begin a new log under another name.";
        StoreClosed = "store-closed", Node,
            "The log is closed: the node is stopping, or the thread that writes ended.",
            "Ask again when the node has started; if it runs, restart it.";
        LogPath = "log-path-malformed", Request,
            "This is no path of a file of a log.",
            "Ask for checkpoint, for a tile, or for a blob: docs/LEDGER.md.";
        LogFiles = "log-files-disagree", Evidence,
            "A tile or an entry bundle is not the one under the checkpoint's root.",
            "Get the file again; if it stays so, keep it and ask the operator: the log has been changed.";
        LogForked = "log-forked", Evidence,
            "The log does not continue the one that was seen before.",
            "Keep both checkpoints: together they prove that the log's operator rewrote it.";
        LogShrunk = "log-rolled-back", Evidence,
            "The log has fewer entries than were seen before.",
            "Get the checkpoint again; if it stays so, the log was truncated or restored from a backup.";
        LogSourceAddress = "log-source-invalid", Request,
            "This is no address of a log or a witness.",
            "Give a folder, or an http or https URL without a query.";
        LogSource = "log-source-unavailable", Provider,
            "The source does not answer, or not usefully.",
            "Check the address and the network, or use a mirror.";
        LogPruned = "log-pruned-malformed", Evidence,
            "The file `pruned` does not say before which entry evidence was removed.",
            "Get the file again; a proxy may have answered in place of the log.";
        LogFileTooLarge = "log-file-too-large", Provider,
            "A file is larger than it can be.",
            "Check the address: something else than a log may answer there.";
        LogProofFile = "log-proof-malformed", Evidence,
            "The bytes are no proof file.",
            "Get the proof again: a file of c2sp.org/tlog-proof.";
        Receipt = "receipt-malformed", Evidence,
            "The bytes are not what is kept beside a receipt.",
            "Give the receipt with the file that kms-client wrote beside it, both as they were written.";
        LogServer = "log-server-invalid", Node,
            "The log cannot be served with these certificates.",
            "Give a certificate chain with its key, and the CA of the auditors' certificates.";
        LogClient = "log-client-invalid", Request,
            "The client cannot show itself with this certificate and key.",
            "Give the certificate that the operator's CA has issued, and the private key that it was made for.";
        WitnessRequest = "witness-request-malformed", Request,
            "This is no request to a witness.",
            "Ask as c2sp.org/tlog-witness says.";
        WitnessRefused = "witness-refused", Provider,
            "The witness did not cosign.",
            "Check that the witness has the key of this log, and that you have the witness's.";
        WitnessAhead = "witness-ahead", Evidence,
            "A witness has seen more of this log than there is.",
            "Stop the node: its disk was rolled back or restored; bring the later entries back first.";
        WitnessState = "witness-state-unusable", Node,
            "The witness cannot rely on what it remembers.",
            "Restore the folder, or retire the witness's key: one that forgot must not sign on.";
    }
}
