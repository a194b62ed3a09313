"""Samples, states of shards and labels in PostgreSQL."""
