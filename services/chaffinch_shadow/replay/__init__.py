"""Requests from files, sent to both versions by one worker a shard."""
