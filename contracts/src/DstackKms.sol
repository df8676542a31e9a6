// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {ERC165Upgradeable} from "@openzeppelin/contracts-upgradeable/utils/introspection/ERC165Upgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";
import {IAppAuth} from "./IAppAuth.sol";

/// @title What governance allows to key management nodes, and which applications there are
/// @notice One for each chain. Nodes read it before they release a key: it names the OS images that may run, and asks the
/// application's own contract about the rest. It also says which nodes may hold root keys. Lives behind an ERC-1967 proxy.
contract DstackKms is Ownable2StepUpgradeable, UUPSUpgradeable, ERC165Upgradeable, IAppAuth {
    /// @notice The root public keys of the nodes, and the evidence that they were made in a genuine one.
    /// @param k256Pubkey The secp256k1 key that signs application keys
    /// @param caPubkey The P-256 key of the root CA
    /// @param quote The first node's TDX quote
    /// @param eventlog The event log that belongs to it
    struct KmsInfo {
        bytes k256Pubkey;
        bytes caPubkey;
        bytes quote;
        bytes eventlog;
    }

    /// @notice The root public keys and their evidence.
    KmsInfo public kmsInfo;
    /// @notice The application that serves as gateway.
    string public gatewayAppId;
    /// @notice The applications that may ask for keys.
    mapping(address appId => bool registered) public registeredApps;
    /// @notice The nodes' measurements that may hold root keys.
    mapping(bytes32 mrAggregated => bool allowed) public kmsAllowedAggregatedMrs;
    /// @notice The hardware that nodes may run on.
    mapping(bytes32 deviceId => bool allowed) public kmsAllowedDeviceIds;
    /// @notice The OS images that nodes and applications may run.
    mapping(bytes32 osImageHash => bool allowed) public allowedOsImages;
    /// @notice The code behind new applications' proxies.
    address public appImplementation;
    /// @dev Room for fields of later versions.
    uint256[40] private __gap;

    /// @notice An application may ask for keys.
    /// @param appId Its contract
    event AppRegistered(address appId);
    /// @notice The root public keys were set.
    /// @param k256Pubkey The secp256k1 key
    event KmsInfoSet(bytes k256Pubkey);
    /// @notice A node's measurement was allowed.
    /// @param mrAggregated The measurement
    event KmsAggregatedMrAdded(bytes32 mrAggregated);
    /// @notice A node's measurement is no longer allowed.
    /// @param mrAggregated The measurement
    event KmsAggregatedMrRemoved(bytes32 mrAggregated);
    /// @notice A device was allowed for nodes.
    /// @param deviceId The device
    event KmsDeviceAdded(bytes32 deviceId);
    /// @notice A device is no longer allowed for nodes.
    /// @param deviceId The device
    event KmsDeviceRemoved(bytes32 deviceId);
    /// @notice An OS image was allowed.
    /// @param osImageHash The image
    event OsImageHashAdded(bytes32 osImageHash);
    /// @notice An OS image is no longer allowed.
    /// @param osImageHash The image
    event OsImageHashRemoved(bytes32 osImageHash);
    /// @notice The gateway's application was set.
    /// @param gatewayAppId The application
    event GatewayAppIdSet(string gatewayAppId);
    /// @notice The code of new applications was set.
    /// @param implementation The code
    event AppImplementationSet(address implementation);
    /// @notice An application was deployed through this contract.
    /// @param appId Its contract
    /// @param deployer Who deployed it
    event AppDeployedViaFactory(address indexed appId, address indexed deployer);

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice Sets the contract up, once.
    /// @param initialOwner Who governs
    /// @param appImplementation_ The code behind new applications' proxies; none yet if zero
    function initialize(address initialOwner, address appImplementation_) external initializer {
        require(initialOwner != address(0), "Invalid owner address");
        __Ownable_init(initialOwner);
        if (appImplementation_ != address(0)) {
            appImplementation = appImplementation_;
            emit AppImplementationSet(appImplementation_);
        }
    }

    /// @notice Sets the root public keys and their evidence.
    /// @param info Both
    function setKmsInfo(KmsInfo calldata info) external onlyOwner {
        kmsInfo = info;
        emit KmsInfoSet(info.k256Pubkey);
    }

    /// @notice Replaces the quote beside the root public keys.
    /// @param quote A TDX quote
    function setKmsQuote(bytes calldata quote) external onlyOwner {
        kmsInfo.quote = quote;
    }

    /// @notice Replaces the event log beside the root public keys.
    /// @param eventlog An event log
    function setKmsEventlog(bytes calldata eventlog) external onlyOwner {
        kmsInfo.eventlog = eventlog;
    }

    /// @notice Sets which application serves as gateway.
    /// @param appId The application
    function setGatewayAppId(string calldata appId) external onlyOwner {
        gatewayAppId = appId;
        emit GatewayAppIdSet(appId);
    }

    /// @notice Sets the code behind new applications' proxies.
    /// @param implementation The code
    function setAppImplementation(address implementation) external onlyOwner {
        require(implementation != address(0), "Invalid implementation address");
        appImplementation = implementation;
        emit AppImplementationSet(implementation);
    }

    /// @notice Registers an application. Anyone may: whether it gets keys is for its own contract and its owner to say.
    /// @param appId Its contract
    function registerApp(address appId) external {
        _register(appId);
    }

    /// @notice Deploys an application's contract and registers it.
    /// @param initialOwner Who may change what it allows
    /// @param disableUpgrades Whether the contract's own code is fixed from the start
    /// @param requireTcbUpToDate Whether only up-to-date platforms are allowed
    /// @param allowAnyDevice Whether any device is allowed
    /// @param initialDeviceId The first device; none if zero
    /// @param initialComposeHash The first code; none if zero
    /// @return appId The contract's address, which is the application's identity
    function deployAndRegisterApp(
        address initialOwner,
        bool disableUpgrades,
        bool requireTcbUpToDate,
        bool allowAnyDevice,
        bytes32 initialDeviceId,
        bytes32 initialComposeHash
    ) external returns (address appId) {
        bytes memory call = abi.encodeWithSignature(
            "initialize(address,bool,bool,bool,bytes32,bytes32)",
            initialOwner,
            disableUpgrades,
            requireTcbUpToDate,
            allowAnyDevice,
            initialDeviceId,
            initialComposeHash
        );
        return _deploy(call);
    }

    /// @notice Deploys an application's contract and registers it: the older form.
    /// @param initialOwner Who may change what it allows
    /// @param disableUpgrades Whether the contract's own code is fixed from the start
    /// @param allowAnyDevice Whether any device is allowed
    /// @param initialDeviceId The first device; none if zero
    /// @param initialComposeHash The first code; none if zero
    /// @return appId The contract's address, which is the application's identity
    function deployAndRegisterApp(
        address initialOwner,
        bool disableUpgrades,
        bool allowAnyDevice,
        bytes32 initialDeviceId,
        bytes32 initialComposeHash
    ) external returns (address appId) {
        bytes memory call = abi.encodeWithSignature(
            "initialize(address,bool,bool,bytes32,bytes32)",
            initialOwner,
            disableUpgrades,
            allowAnyDevice,
            initialDeviceId,
            initialComposeHash
        );
        return _deploy(call);
    }

    /// @notice Allows a node's measurement to hold root keys.
    /// @param mrAggregated The measurement
    function addKmsAggregatedMr(bytes32 mrAggregated) external onlyOwner {
        kmsAllowedAggregatedMrs[mrAggregated] = true;
        emit KmsAggregatedMrAdded(mrAggregated);
    }

    /// @notice Allows a node's measurement no longer.
    /// @param mrAggregated The measurement
    function removeKmsAggregatedMr(bytes32 mrAggregated) external onlyOwner {
        kmsAllowedAggregatedMrs[mrAggregated] = false;
        emit KmsAggregatedMrRemoved(mrAggregated);
    }

    /// @notice Allows nodes on a device.
    /// @param deviceId The device
    function addKmsDevice(bytes32 deviceId) external onlyOwner {
        kmsAllowedDeviceIds[deviceId] = true;
        emit KmsDeviceAdded(deviceId);
    }

    /// @notice Allows nodes on a device no longer.
    /// @param deviceId The device
    function removeKmsDevice(bytes32 deviceId) external onlyOwner {
        kmsAllowedDeviceIds[deviceId] = false;
        emit KmsDeviceRemoved(deviceId);
    }

    /// @notice Allows an OS image.
    /// @param osImageHash SHA-256 of its manifest
    function addOsImageHash(bytes32 osImageHash) external onlyOwner {
        allowedOsImages[osImageHash] = true;
        emit OsImageHashAdded(osImageHash);
    }

    /// @notice Allows an OS image no longer.
    /// @param osImageHash SHA-256 of its manifest
    function removeOsImageHash(bytes32 osImageHash) external onlyOwner {
        allowedOsImages[osImageHash] = false;
        emit OsImageHashRemoved(osImageHash);
    }

    /// @notice Whether a node may hold root keys.
    /// @param bootInfo The node, by its own quote
    /// @return isAllowed Whether it may
    /// @return reason Why not; empty if it may
    function isKmsAllowed(AppBootInfo calldata bootInfo)
        external
        view
        returns (bool isAllowed, string memory reason)
    {
        if (keccak256(bytes(bootInfo.tcbStatus)) != keccak256("UpToDate")) {
            return (false, "TCB status is not up to date");
        }
        if (!allowedOsImages[bootInfo.osImageHash]) {
            return (false, "OS image is not allowed");
        }
        if (!kmsAllowedAggregatedMrs[bootInfo.mrAggregated]) {
            return (false, "Aggregated MR not allowed");
        }
        if (!kmsAllowedDeviceIds[bootInfo.deviceId]) {
            return (false, "KMS is not allowed to boot on this device");
        }
        return (true, "");
    }

    /// @inheritdoc IAppAuth
    function isAppAllowed(AppBootInfo calldata bootInfo)
        external
        view
        override
        returns (bool isAllowed, string memory reason)
    {
        if (!registeredApps[bootInfo.appId]) {
            return (false, "App not registered");
        }
        if (!allowedOsImages[bootInfo.osImageHash]) {
            return (false, "OS image is not allowed");
        }
        if (bootInfo.appId.code.length == 0) {
            return (false, "App not deployed or invalid address");
        }
        return IAppAuth(bootInfo.appId).isAppAllowed(bootInfo);
    }

    /// @notice Whether the contract has an interface (ERC-165).
    /// @param interfaceId The interface
    /// @return Whether it has it
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(IAppAuth).interfaceId || super.supportsInterface(interfaceId);
    }

    /// @dev The proxy's constructor runs the call, so that nobody else can initialise the contract first.
    function _deploy(bytes memory initializeCall) private returns (address appId) {
        require(appImplementation != address(0), "DstackApp implementation not set");
        appId = address(new ERC1967Proxy(appImplementation, initializeCall));
        _register(appId);
        emit AppDeployedViaFactory(appId, msg.sender);
    }

    function _register(address appId) private {
        require(appId != address(0), "Invalid app ID");
        registeredApps[appId] = true;
        emit AppRegistered(appId);
    }

    /// @dev The owner may change the code.
    function _authorizeUpgrade(address) internal view override onlyOwner {}
}
