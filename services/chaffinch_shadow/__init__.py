"""Shadow evaluation: whether the candidate is better than the control on the same requests."""
