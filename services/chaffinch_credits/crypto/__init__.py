"""Encryption of what clients say beside their requests: keys that wrap keys, and fields. No I/O, no chance."""
