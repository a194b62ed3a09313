"""I/O: the ledger in PostgreSQL. What is decided is decided in `ledger`; here it is read, written and sealed."""
