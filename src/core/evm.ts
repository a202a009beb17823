/** Shapes of the Ethereum virtual machine. */

/** An address: 20 bytes in hex, either case. It says nothing about the EIP-55 checksum. */
export const EVM_ADDRESS = /^0x[0-9a-fA-F]{40}$/

/** The largest number that a 256-bit word holds. */
export const MAX_UINT256 = 2n ** 256n - 1n
