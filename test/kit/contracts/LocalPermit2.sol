// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface Token {
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// The part of Permit2 that a reconciler sees: unordered nonces (SignatureTransfer), without signatures.
contract LocalPermit2 {
    mapping(address => mapping(uint256 => uint256)) public nonceBitmap;

    event UnorderedNonceInvalidation(address indexed owner, uint256 word, uint256 mask);

    /// What a settled payment leaves behind: a used nonce and a Transfer.
    function spend(Token token, address from, address to, uint256 value, uint256 nonce) external {
        uint256 bit = 1 << (nonce & 0xff);
        require(nonceBitmap[from][nonce >> 8] & bit == 0, "InvalidNonce");
        nonceBitmap[from][nonce >> 8] |= bit;
        require(token.transferFrom(from, to, value));
    }

    /// As a wallet would do it that packs its calls: the nonce is nowhere in the call data.
    function spendPacked(Token token, address from, address to, uint256 value, uint256 nonceLessOne) external {
        this.spend(token, from, to, value, nonceLessOne + 1);
    }

    /// As Permit2's own: also for nonces that are used already.
    function invalidateUnorderedNonces(uint256 word, uint256 mask) external {
        nonceBitmap[msg.sender][word] |= mask;
        emit UnorderedNonceInvalidation(msg.sender, word, mask);
    }
}
