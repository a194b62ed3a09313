"""What a copy of a request becomes: admission, pairing, outcomes, redaction, labels and counts. Pure."""
