"""The HTTP face of the ledger: reading requests, batching, answering."""
