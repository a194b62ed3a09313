"""The collector: takes copies at once, compares them later, and never gives anything back."""
