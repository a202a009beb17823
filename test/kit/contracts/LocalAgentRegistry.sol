// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The events of ERC-8004's IdentityRegistry, and what emits them. Our own contract with its interface, not the deployed one.
contract LocalAgentRegistry {
    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
    event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);

    uint256 private lastId;

    function register(string calldata agentURI) external returns (uint256 agentId) {
        agentId = lastId++;
        emit Registered(agentId, agentURI, msg.sender);
    }

    function setAgentURI(uint256 agentId, string calldata newURI) external {
        emit URIUpdated(agentId, newURI, msg.sender);
    }
}
