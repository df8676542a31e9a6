// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";
import {IAppAuth} from "../src/IAppAuth.sol";

/// @title An application's contract of the first generation, as some are still deployed
/// @notice For tests: one-step ownership, no `requireTcbUpToDate`, fields in the slots of the deployed ones.
contract OlderApp is OwnableUpgradeable, UUPSUpgradeable, IAppAuth {
    mapping(bytes32 => bool) public allowedComposeHashes;
    bool private _upgradesDisabled;
    bool public allowAnyDevice;
    mapping(bytes32 => bool) public allowedDeviceIds;

    function initialize(address owner_, bool fixed_, bool anyDevice, bytes32 deviceId, bytes32 composeHash)
        external
        initializer
    {
        __Ownable_init(owner_);
        _upgradesDisabled = fixed_;
        allowAnyDevice = anyDevice;
        allowedDeviceIds[deviceId] = true;
        allowedComposeHashes[composeHash] = true;
    }

    function isAppAllowed(AppBootInfo calldata bootInfo) external view returns (bool, string memory) {
        if (!allowedComposeHashes[bootInfo.composeHash]) return (false, "Compose hash not allowed");
        if (!allowAnyDevice && !allowedDeviceIds[bootInfo.deviceId]) return (false, "Device not allowed");
        return (true, "");
    }

    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IAppAuth).interfaceId || interfaceId == 0x01ffc9a7;
    }

    function _authorizeUpgrade(address) internal view override onlyOwner {
        require(!_upgradesDisabled, "Upgrades are permanently disabled");
    }
}
