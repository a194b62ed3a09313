"""Tests against a real API server, real PostgreSQL, real Envoy."""
