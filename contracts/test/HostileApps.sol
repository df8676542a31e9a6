// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IAppAuth} from "../src/IAppAuth.sol";

// What anyone may register as an application's contract. For tests only: never deployed, never in a shipped program.
// Most answer whatever they are asked in the same way, getters included.

/// @notice Burns all gas it is given.
contract LoopingApp {
    fallback() external {
        while (true) {}
    }
}

/// @notice Reverts with a megabyte.
contract RevertingApp {
    fallback() external {
        assembly {
            revert(0, 0x100000)
        }
    }
}

/// @notice Says yes, with a reason of a megabyte.
contract LongReasonApp {
    fallback() external {
        assembly {
            mstore(0, 1)
            mstore(0x20, 0x40)
            mstore(0x40, 0x100000)
            return(0, 0x100060)
        }
    }
}

/// @notice Answers with words that are neither a bool nor a string.
contract GarbageApp {
    fallback() external {
        assembly {
            mstore(0, not(0))
            mstore(0x20, not(0))
            return(0, 0x40)
        }
    }
}

/// @notice Answers with 2 where a bool belongs, and is well-formed otherwise.
contract NonBooleanApp {
    fallback() external {
        assembly {
            mstore(0, 2)
            mstore(0x20, 0x40)
            mstore(0x40, 0)
            return(0, 0x60)
        }
    }
}

/// @notice Says yes where it can read the hash of an earlier block.
contract BlockHashApp {
    fallback() external {
        assembly {
            mstore(0, iszero(iszero(blockhash(sub(number(), 1)))))
            mstore(0x20, 0x40)
            mstore(0x40, 0)
            return(0, 0x60)
        }
    }
}

/// @notice Says yes in blocks before a time.
contract ExpiringApp {
    uint256 private immutable _end;

    constructor(uint256 end) {
        _end = end;
    }

    fallback() external {
        uint256 end = _end;
        assembly {
            mstore(0, lt(timestamp(), end))
            mstore(0x20, 0x40)
            mstore(0x40, 0)
            return(0, 0x60)
        }
    }
}

/// @notice Its code is gone when the transaction that deploys it ends.
contract VanishingApp {
    constructor() {
        selfdestruct(payable(msg.sender));
    }
}

/// @notice Reads one storage slot after another, without end.
contract UnboundedReadsApp {
    fallback() external {
        assembly {
            let sum := 0
            for { let slot := 0 } lt(sum, not(0)) { slot := add(slot, 1) } { sum := or(sum, sload(slot)) }
        }
    }
}

/// @notice Reads six hundred slots that lie anywhere, then says yes.
contract ManyReadsApp {
    constructor() {
        assembly {
            for { let index := 0 } lt(index, 600) { index := add(index, 1) } {
                mstore(0, index)
                sstore(keccak256(0, 0x20), 1)
            }
        }
    }

    fallback() external {
        assembly {
            let sum := 0
            for { let index := 0 } lt(index, 600) { index := add(index, 1) } {
                mstore(0, index)
                sum := or(sum, sload(keccak256(0, 0x20)))
            }
            mstore(0, sum)
            mstore(0x20, 0x40)
            mstore(0x40, 0)
            return(0, 0x60)
        }
    }
}

/// @notice Looks at a thousand other accounts, then says yes.
contract ManyAccountsApp {
    fallback() external {
        assembly {
            let sum := 1
            for { let at := 0x10000 } lt(at, 0x103e8) { at := add(at, 1) } { sum := or(sum, extcodesize(at)) }
            mstore(0, sum)
            mstore(0x20, 0x40)
            mstore(0x40, 0)
            return(0, 0x60)
        }
    }
}

/// @notice Twenty slots, each of which says where the next one is; then says yes.
contract ChainedReadsApp {
    constructor() {
        assembly {
            let slot := 1
            for { let count := 0 } lt(count, 20) { count := add(count, 1) } {
                mstore(0, slot)
                let next := keccak256(0, 0x20)
                sstore(slot, next)
                slot := next
            }
        }
    }

    fallback() external {
        assembly {
            for { let slot := 1 } slot {} { slot := sload(slot) }
            mstore(0, 1)
            mstore(0x20, 0x40)
            mstore(0x40, 0)
            return(0, 0x60)
        }
    }
}

/// @notice Says what another application's contract says.
contract FollowingApp {
    address private immutable _leader;

    constructor(address leader) {
        _leader = leader;
    }

    fallback() external {
        address leader = _leader;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let success := staticcall(gas(), leader, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(success) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }
}

/// @notice Says yes, and has no getter that answers.
contract GetterlessApp is IAppAuth {
    function isAppAllowed(AppBootInfo calldata) external pure returns (bool, string memory) {
        return (true, "");
    }

    function supportsInterface(bytes4) external pure returns (bool) {
        revert("none of your business");
    }

    fallback() external {
        revert("none of your business");
    }
}
