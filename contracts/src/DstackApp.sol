// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {ERC165Upgradeable} from "@openzeppelin/contracts-upgradeable/utils/introspection/ERC165Upgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";
import {IAppAuth} from "./IAppAuth.sol";

/// @title What the owner of one application allows
/// @notice The contract's address is the application's identity: keys are derived from it, so they survive every change
/// made here. Its owner alone changes what is allowed: a wallet, a Safe, a timelock, a DAO. Lives behind an ERC-1967
/// proxy. Its fields stand where those of deployed contracts do: a proxy of theirs that takes this code keeps what it allows.
contract DstackApp is Ownable2StepUpgradeable, UUPSUpgradeable, ERC165Upgradeable, IAppAuth {
    /// @notice The code that may run: SHA-256 of app-compose.json.
    mapping(bytes32 composeHash => bool allowed) public allowedComposeHashes;
    /// @dev Whether this contract's own code is fixed for ever.
    bool private _upgradesDisabled;
    /// @notice Whether it may run on any hardware.
    bool public allowAnyDevice;
    /// @notice The hardware that it may run on: SHA-256 of the PPID.
    mapping(bytes32 deviceId => bool allowed) public allowedDeviceIds;
    /// @notice Whether only platforms that Intel calls UpToDate may run it.
    bool public requireTcbUpToDate;
    /// @dev Room for fields of later versions.
    uint256[46] private __gap;

    /// @notice Code was allowed.
    /// @param composeHash Its hash
    event ComposeHashAdded(bytes32 composeHash);
    /// @notice Code is no longer allowed.
    /// @param composeHash Its hash
    event ComposeHashRemoved(bytes32 composeHash);
    /// @notice A device was allowed.
    /// @param deviceId Its id
    event DeviceAdded(bytes32 deviceId);
    /// @notice A device is no longer allowed.
    /// @param deviceId Its id
    event DeviceRemoved(bytes32 deviceId);
    /// @notice Whether any device is allowed was set.
    /// @param allowAny Whether it is
    event AllowAnyDeviceSet(bool allowAny);
    /// @notice Whether the platform must be up to date was set.
    /// @param requireUpToDate Whether it must
    event RequireTcbUpToDateSet(bool requireUpToDate);
    /// @notice This contract's own code is fixed from now on.
    event UpgradesDisabled();

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the contract up, once.
    /// @param initialOwner Who may change what is allowed
    /// @param disableUpgrades_ Whether this contract's own code is fixed from the start
    /// @param requireTcbUpToDate_ Whether only up-to-date platforms are allowed
    /// @param allowAnyDevice_ Whether any device is allowed
    /// @param initialDeviceId The first device; none if zero
    /// @param initialComposeHash The first code; none if zero
    function initialize(
        address initialOwner,
        bool disableUpgrades_,
        bool requireTcbUpToDate_,
        bool allowAnyDevice_,
        bytes32 initialDeviceId,
        bytes32 initialComposeHash
    ) external initializer {
        _setUp(initialOwner, disableUpgrades_, allowAnyDevice_, initialDeviceId, initialComposeHash);
        requireTcbUpToDate = requireTcbUpToDate_;
        emit RequireTcbUpToDateSet(requireTcbUpToDate_);
    }

    /// @notice Sets the contract up, once: the older form, which does not ask for up-to-date platforms.
    /// @param initialOwner Who may change what is allowed
    /// @param disableUpgrades_ Whether this contract's own code is fixed from the start
    /// @param allowAnyDevice_ Whether any device is allowed
    /// @param initialDeviceId The first device; none if zero
    /// @param initialComposeHash The first code; none if zero
    function initialize(
        address initialOwner,
        bool disableUpgrades_,
        bool allowAnyDevice_,
        bytes32 initialDeviceId,
        bytes32 initialComposeHash
    ) external initializer {
        _setUp(initialOwner, disableUpgrades_, allowAnyDevice_, initialDeviceId, initialComposeHash);
    }

    /// @notice Allows code.
    /// @param composeHash SHA-256 of app-compose.json
    function addComposeHash(bytes32 composeHash) external onlyOwner {
        allowedComposeHashes[composeHash] = true;
        emit ComposeHashAdded(composeHash);
    }

    /// @notice Allows code no longer.
    /// @param composeHash SHA-256 of app-compose.json
    function removeComposeHash(bytes32 composeHash) external onlyOwner {
        allowedComposeHashes[composeHash] = false;
        emit ComposeHashRemoved(composeHash);
    }

    /// @notice Allows a device.
    /// @param deviceId SHA-256 of its PPID
    function addDevice(bytes32 deviceId) external onlyOwner {
        allowedDeviceIds[deviceId] = true;
        emit DeviceAdded(deviceId);
    }

    /// @notice Allows a device no longer.
    /// @param deviceId SHA-256 of its PPID
    function removeDevice(bytes32 deviceId) external onlyOwner {
        allowedDeviceIds[deviceId] = false;
        emit DeviceRemoved(deviceId);
    }

    /// @notice Sets whether any device is allowed.
    /// @param allowAny Whether it is
    function setAllowAnyDevice(bool allowAny) external onlyOwner {
        allowAnyDevice = allowAny;
        emit AllowAnyDeviceSet(allowAny);
    }

    /// @notice Sets whether only up-to-date platforms are allowed.
    /// @param requireUpToDate Whether only they are
    function setRequireTcbUpToDate(bool requireUpToDate) external onlyOwner {
        requireTcbUpToDate = requireUpToDate;
        emit RequireTcbUpToDateSet(requireUpToDate);
    }

    /// @notice Fixes this contract's own code for ever.
    function disableUpgrades() external onlyOwner {
        _upgradesDisabled = true;
        emit UpgradesDisabled();
    }

    /// @inheritdoc IAppAuth
    function isAppAllowed(AppBootInfo calldata bootInfo)
        external
        view
        override
        returns (bool isAllowed, string memory reason)
    {
        if (requireTcbUpToDate && keccak256(bytes(bootInfo.tcbStatus)) != keccak256("UpToDate")) {
            return (false, "TCB status is not up to date");
        }
        if (!allowedComposeHashes[bootInfo.composeHash]) {
            return (false, "Compose hash not allowed");
        }
        if (!allowAnyDevice && !allowedDeviceIds[bootInfo.deviceId]) {
            return (false, "Device not allowed");
        }
        return (true, "");
    }

    /// @notice Whether the contract has an interface (ERC-165).
    /// @param interfaceId The interface
    /// @return Whether it has it
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(IAppAuth).interfaceId || super.supportsInterface(interfaceId);
    }

    /// @dev What both forms of `initialize` share.
    function _setUp(
        address initialOwner,
        bool disableUpgrades_,
        bool allowAnyDevice_,
        bytes32 initialDeviceId,
        bytes32 initialComposeHash
    ) private onlyInitializing {
        require(initialOwner != address(0), "Invalid owner address");
        __Ownable_init(initialOwner);
        _upgradesDisabled = disableUpgrades_;
        allowAnyDevice = allowAnyDevice_;
        emit AllowAnyDeviceSet(allowAnyDevice_);
        if (disableUpgrades_) {
            emit UpgradesDisabled();
        }
        if (initialDeviceId != bytes32(0)) {
            allowedDeviceIds[initialDeviceId] = true;
            emit DeviceAdded(initialDeviceId);
        }
        if (initialComposeHash != bytes32(0)) {
            allowedComposeHashes[initialComposeHash] = true;
            emit ComposeHashAdded(initialComposeHash);
        }
    }

    /// @dev The owner may change the code, until that is fixed.
    function _authorizeUpgrade(address) internal view override onlyOwner {
        require(!_upgradesDisabled, "Upgrades are permanently disabled");
    }
}
