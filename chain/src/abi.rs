//! The read surface of `DstackKms` and `DstackApp`, as deployed contracts have it: what a decision calls, no more.
//!
//! Owns the calls' types and the strict reading of answers. Threat: a contract's answer is anyone's bytes; it is read
//! within a bound, and what is not exactly of the promised shape is refused rather than interpreted.

#![allow(missing_docs, reason = "the names are the contracts'")]

use alloy::sol;

sol! {
    /// What a contract is asked about: who wants to boot, on which hardware and software.
    #[derive(Debug, Default, PartialEq, Eq, Hash)]
    struct AppBootInfo {
        address appId;
        bytes32 composeHash;
        address instanceId;
        bytes32 deviceId;
        bytes32 mrAggregated;
        bytes32 mrSystem;
        bytes32 osImageHash;
        string tcbStatus;
        string[] advisoryIds;
    }

    function isAppAllowed(AppBootInfo bootInfo) external view returns (bool isAllowed, string reason);
    function isKmsAllowed(AppBootInfo bootInfo) external view returns (bool isAllowed, string reason);
    function registeredApps(address appId) external view returns (bool);
    function allowedOsImages(bytes32 osImageHash) external view returns (bool);
    function kmsAllowedAggregatedMrs(bytes32 mrAggregated) external view returns (bool);
    function kmsAllowedDeviceIds(bytes32 deviceId) external view returns (bool);
    function allowedComposeHashes(bytes32 composeHash) external view returns (bool);
    function allowedDeviceIds(bytes32 deviceId) external view returns (bool);
    function allowAnyDevice() external view returns (bool);
    function requireTcbUpToDate() external view returns (bool);
}
