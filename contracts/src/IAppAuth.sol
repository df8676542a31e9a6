// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title What a contract answers when a CVM asks for keys
/// @notice ERC-165 id 0x1e079198.
interface IAppAuth {
    /// @notice Who asks, as proven by a verified TDX quote and its measured event log.
    /// @param appId The application: the address of its DstackApp contract
    /// @param composeHash SHA-256 of the exact bytes of app-compose.json
    /// @param instanceId The deployment; zero where the application has no instance ids
    /// @param deviceId SHA-256 of the hardware's PPID
    /// @param mrAggregated SHA-256 of all measurement registers
    /// @param mrSystem SHA-256 of the registers below the application, and of the key provider
    /// @param osImageHash SHA-256 of the OS image's manifest
    /// @param tcbStatus Intel's word on the platform, such as UpToDate
    /// @param advisoryIds Intel's security advisories that apply to the platform
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

    /// @notice Whether the one who asks may have the application's keys.
    /// @param bootInfo Who asks
    /// @return isAllowed Whether it may
    /// @return reason Why not; empty if it may
    function isAppAllowed(AppBootInfo calldata bootInfo)
        external
        view
        returns (bool isAllowed, string memory reason);
}
