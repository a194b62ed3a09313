"""What a ledger decides: pure functions from a book and a batch of requests to entries. No I/O, no clock, no chance."""
