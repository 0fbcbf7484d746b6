// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

interface IERC1271 {
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);
}

/// Token approvals by signature, with the interface that the contract at 0x000000000022D473030F116dDEE9F6B43aC78BA3 has on
/// other chains. Written anew for ours. An owner approves this contract once per token; signatures then let spenders move
/// tokens, either within an allowance that lasts (`permit`, `transferFrom`), or once (`permitTransferFrom`).
contract Permit2 {
    struct PermitDetails {
        address token;
        uint160 amount;
        uint48 expiration;
        uint48 nonce;
    }

    struct PermitSingle {
        PermitDetails details;
        address spender;
        uint256 sigDeadline;
    }

    struct PermitBatch {
        PermitDetails[] details;
        address spender;
        uint256 sigDeadline;
    }

    struct PackedAllowance {
        uint160 amount;
        uint48 expiration;
        uint48 nonce;
    }

    struct TokenSpenderPair {
        address token;
        address spender;
    }

    struct AllowanceTransferDetails {
        address from;
        address to;
        uint160 amount;
        address token;
    }

    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    struct PermitTransferFrom {
        TokenPermissions permitted;
        uint256 nonce;
        uint256 deadline;
    }

    struct PermitBatchTransferFrom {
        TokenPermissions[] permitted;
        uint256 nonce;
        uint256 deadline;
    }

    struct SignatureTransferDetails {
        address to;
        uint256 requestedAmount;
    }

    event Approval(
        address indexed owner, address indexed token, address indexed spender, uint160 amount, uint48 expiration
    );
    event Permit(
        address indexed owner,
        address indexed token,
        address indexed spender,
        uint160 amount,
        uint48 expiration,
        uint48 nonce
    );
    event NonceInvalidation(
        address indexed owner, address indexed token, address indexed spender, uint48 newNonce, uint48 oldNonce
    );
    event Lockdown(address indexed owner, address token, address spender);
    event UnorderedNonceInvalidation(address indexed owner, uint256 word, uint256 mask);

    error AllowanceExpired(uint256 deadline);
    error InsufficientAllowance(uint256 amount);
    error ExcessiveInvalidation();
    error InvalidNonce();
    error SignatureExpired(uint256 signatureDeadline);
    error InvalidAmount(uint256 maxAmount);
    error LengthMismatch();
    error InvalidSignatureLength();
    error InvalidSignature();
    error InvalidSigner();
    error InvalidContractSignature();

    string private constant DETAILS = "PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)";
    string private constant PERMISSIONS = "TokenPermissions(address token,uint256 amount)";
    bytes32 private constant DETAILS_HASH = keccak256(bytes(DETAILS));
    bytes32 private constant PERMISSIONS_HASH = keccak256(bytes(PERMISSIONS));
    bytes32 private constant SINGLE_HASH = keccak256(
        abi.encodePacked("PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)", DETAILS)
    );
    bytes32 private constant BATCH_HASH = keccak256(
        abi.encodePacked("PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)", DETAILS)
    );
    bytes32 private constant TRANSFER_HASH = keccak256(
        abi.encodePacked(
            "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)", PERMISSIONS
        )
    );
    bytes32 private constant BATCH_TRANSFER_HASH = keccak256(
        abi.encodePacked(
            "PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)",
            PERMISSIONS
        )
    );
    /// A witness's own type follows these.
    string private constant WITNESS =
        "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,";
    string private constant BATCH_WITNESS =
        "PermitBatchWitnessTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline,";

    /// What a spender may move: owner, token, spender.
    mapping(address => mapping(address => mapping(address => PackedAllowance))) public allowance;

    /// Which nonces of one-time signatures are used: owner, all but the last eight bits of the nonce.
    mapping(address => mapping(uint256 => uint256)) public nonceBitmap;

    /// EIP-712, of this chain as it is: the code stands in genesis files, so nothing of a chain is baked in.
    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
                keccak256("Permit2"),
                block.chainid,
                address(this)
            )
        );
    }

    // Allowances that last.

    function approve(address token, address spender, uint160 amount, uint48 expiration) external {
        PackedAllowance storage allowed = allowance[msg.sender][token][spender];
        allowed.amount = amount;
        allowed.expiration = orNow(expiration);
        emit Approval(msg.sender, token, spender, amount, expiration);
    }

    function permit(address owner, PermitSingle calldata permitSingle, bytes calldata signature) external {
        notAfter(permitSingle.sigDeadline);
        bytes32 hash = keccak256(
            abi.encode(SINGLE_HASH, hashOf(permitSingle.details), permitSingle.spender, permitSingle.sigDeadline)
        );
        check(owner, hash, signature);
        allow(owner, permitSingle.spender, permitSingle.details);
    }

    function permit(address owner, PermitBatch calldata permitBatch, bytes calldata signature) external {
        notAfter(permitBatch.sigDeadline);
        uint256 count = permitBatch.details.length;
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            hashes[i] = hashOf(permitBatch.details[i]);
        }
        bytes32 hash = keccak256(
            abi.encode(
                BATCH_HASH, keccak256(abi.encodePacked(hashes)), permitBatch.spender, permitBatch.sigDeadline
            )
        );
        check(owner, hash, signature);
        for (uint256 i = 0; i < count; ++i) {
            allow(owner, permitBatch.spender, permitBatch.details[i]);
        }
    }

    function transferFrom(address from, address to, uint160 amount, address token) external {
        spend(from, to, amount, token);
    }

    function transferFrom(AllowanceTransferDetails[] calldata transfers) external {
        for (uint256 i = 0; i < transfers.length; ++i) {
            spend(transfers[i].from, transfers[i].to, transfers[i].amount, transfers[i].token);
        }
    }

    function lockdown(TokenSpenderPair[] calldata approvals) external {
        for (uint256 i = 0; i < approvals.length; ++i) {
            allowance[msg.sender][approvals[i].token][approvals[i].spender].amount = 0;
            emit Lockdown(msg.sender, approvals[i].token, approvals[i].spender);
        }
    }

    function invalidateNonces(address token, address spender, uint48 newNonce) external {
        PackedAllowance storage allowed = allowance[msg.sender][token][spender];
        uint48 oldNonce = allowed.nonce;
        if (newNonce <= oldNonce) revert InvalidNonce();
        if (newNonce - oldNonce > type(uint16).max) revert ExcessiveInvalidation();
        allowed.nonce = newNonce;
        emit NonceInvalidation(msg.sender, token, spender, newNonce, oldNonce);
    }

    // One-time transfers.

    function permitTransferFrom(
        PermitTransferFrom calldata permitted,
        SignatureTransferDetails calldata transfer,
        address owner,
        bytes calldata signature
    ) external {
        bytes32 hash = keccak256(
            abi.encode(TRANSFER_HASH, hashOf(permitted.permitted), msg.sender, permitted.nonce, permitted.deadline)
        );
        transferOnce(permitted, transfer, owner, hash, signature);
    }

    function permitWitnessTransferFrom(
        PermitTransferFrom calldata permitted,
        SignatureTransferDetails calldata transfer,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        bytes32 hash = keccak256(
            abi.encode(
                keccak256(abi.encodePacked(WITNESS, witnessTypeString)),
                hashOf(permitted.permitted),
                msg.sender,
                permitted.nonce,
                permitted.deadline,
                witness
            )
        );
        transferOnce(permitted, transfer, owner, hash, signature);
    }

    function permitTransferFrom(
        PermitBatchTransferFrom calldata permitted,
        SignatureTransferDetails[] calldata transfers,
        address owner,
        bytes calldata signature
    ) external {
        bytes32 hash = keccak256(
            abi.encode(BATCH_TRANSFER_HASH, hashOf(permitted.permitted), msg.sender, permitted.nonce, permitted.deadline)
        );
        transferManyOnce(permitted, transfers, owner, hash, signature);
    }

    function permitWitnessTransferFrom(
        PermitBatchTransferFrom calldata permitted,
        SignatureTransferDetails[] calldata transfers,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external {
        bytes32 hash = keccak256(
            abi.encode(
                keccak256(abi.encodePacked(BATCH_WITNESS, witnessTypeString)),
                hashOf(permitted.permitted),
                msg.sender,
                permitted.nonce,
                permitted.deadline,
                witness
            )
        );
        transferManyOnce(permitted, transfers, owner, hash, signature);
    }

    function invalidateUnorderedNonces(uint256 wordPos, uint256 mask) external {
        nonceBitmap[msg.sender][wordPos] |= mask;
        emit UnorderedNonceInvalidation(msg.sender, wordPos, mask);
    }

    function allow(address owner, address spender, PermitDetails calldata details) private {
        PackedAllowance storage allowed = allowance[owner][details.token][spender];
        if (allowed.nonce != details.nonce) revert InvalidNonce();
        unchecked {
            allowed.nonce = details.nonce + 1;
        }
        allowed.amount = details.amount;
        allowed.expiration = orNow(details.expiration);
        emit Permit(owner, details.token, spender, details.amount, details.expiration, details.nonce);
    }

    function spend(address from, address to, uint160 amount, address token) private {
        PackedAllowance storage allowed = allowance[from][token][msg.sender];
        if (block.timestamp > allowed.expiration) revert AllowanceExpired(allowed.expiration);
        uint160 left = allowed.amount;
        if (left != type(uint160).max) {
            if (amount > left) revert InsufficientAllowance(left);
            allowed.amount = left - amount;
        }
        move(token, from, to, amount);
    }

    function transferOnce(
        PermitTransferFrom calldata permitted,
        SignatureTransferDetails calldata transfer,
        address owner,
        bytes32 hash,
        bytes calldata signature
    ) private {
        notAfter(permitted.deadline);
        atMost(transfer.requestedAmount, permitted.permitted.amount);
        use(owner, permitted.nonce);
        check(owner, hash, signature);
        move(permitted.permitted.token, owner, transfer.to, transfer.requestedAmount);
    }

    function transferManyOnce(
        PermitBatchTransferFrom calldata permitted,
        SignatureTransferDetails[] calldata transfers,
        address owner,
        bytes32 hash,
        bytes calldata signature
    ) private {
        notAfter(permitted.deadline);
        if (permitted.permitted.length != transfers.length) revert LengthMismatch();
        use(owner, permitted.nonce);
        check(owner, hash, signature);
        for (uint256 i = 0; i < transfers.length; ++i) {
            uint256 amount = transfers[i].requestedAmount;
            atMost(amount, permitted.permitted[i].amount);
            if (amount != 0) move(permitted.permitted[i].token, owner, transfers[i].to, amount);
        }
    }

    function use(address owner, uint256 nonce) private {
        uint256 bit = 1 << (nonce & 0xff);
        uint256 word = nonceBitmap[owner][nonce >> 8];
        if (word & bit != 0) revert InvalidNonce();
        nonceBitmap[owner][nonce >> 8] = word | bit;
    }

    function notAfter(uint256 deadline) private view {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
    }

    function atMost(uint256 amount, uint256 most) private pure {
        if (amount > most) revert InvalidAmount(most);
    }

    /// An expiration of zero means until the end of this block.
    function orNow(uint48 expiration) private view returns (uint48) {
        return expiration == 0 ? uint48(block.timestamp) : expiration;
    }

    function hashOf(PermitDetails calldata details) private pure returns (bytes32) {
        return keccak256(abi.encode(DETAILS_HASH, details));
    }

    function hashOf(TokenPermissions calldata permissions) private pure returns (bytes32) {
        return keccak256(abi.encode(PERMISSIONS_HASH, permissions));
    }

    function hashOf(TokenPermissions[] calldata permissions) private pure returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](permissions.length);
        for (uint256 i = 0; i < permissions.length; ++i) {
            hashes[i] = hashOf(permissions[i]);
        }
        return keccak256(abi.encodePacked(hashes));
    }

    /// Whether `owner` signed: an account's signature of 65 bytes, or 64 by ERC-2098; a contract's by ERC-1271.
    function check(address owner, bytes32 structHash, bytes calldata signature) private view {
        bytes32 hash = keccak256(abi.encodePacked("\x19\x01", DOMAIN_SEPARATOR(), structHash));
        if (owner.code.length != 0) {
            if (IERC1271(owner).isValidSignature(hash, signature) != IERC1271.isValidSignature.selector) {
                revert InvalidContractSignature();
            }
            return;
        }
        bytes32 r;
        bytes32 s;
        uint8 v;
        if (signature.length == 65) {
            (r, s) = abi.decode(signature[:64], (bytes32, bytes32));
            v = uint8(signature[64]);
        } else if (signature.length == 64) {
            (r, s) = abi.decode(signature, (bytes32, bytes32));
            v = uint8(uint256(s >> 255)) + 27;
            s = bytes32(uint256(s) & (type(uint256).max >> 1));
        } else {
            revert InvalidSignatureLength();
        }
        address signer = ecrecover(hash, v, r, s);
        if (signer == address(0)) revert InvalidSignature();
        if (signer != owner) revert InvalidSigner();
    }

    /// Moves tokens; a token may return nothing, but not false.
    function move(address token, address from, address to, uint256 amount) private {
        (bool success, bytes memory result) =
            token.call(abi.encodeWithSignature("transferFrom(address,address,uint256)", from, to, amount));
        bool moved = result.length == 0 ? token.code.length != 0 : result.length >= 32 && abi.decode(result, (bool));
        require(success && moved, "TRANSFER_FROM_FAILED");
    }
}
