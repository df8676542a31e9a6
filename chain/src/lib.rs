//! What the contracts say, believed only with proofs.
