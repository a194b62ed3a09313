"""The slice of CreditsLedger: a ledger's database, schema, service, certificates and who may reach it."""
