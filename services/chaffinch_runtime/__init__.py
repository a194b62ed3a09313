"""What the services that run in a cluster share: schemas of databases, listening, and an end that loses nothing."""
