"""What makes the history provable: canonical bytes, hash chain, Merkle tree, signed checkpoints. No I/O, no clock."""
