"""HTTP: what is known of the evaluation, and labels."""
