"""What slices that run services share: owned objects, pods under restricted, a managed PostgreSQL, and what is seen."""
