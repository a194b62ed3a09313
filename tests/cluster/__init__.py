"""A real one-node Kubernetes cluster from pinned packages, for the tests and the demo."""
