"""Asking the versions: bounded in time, in bytes and in number."""
