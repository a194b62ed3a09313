"""The Chaffinch operator: reads cluster state, decides, changes it."""
