"""What the demo and the end-to-end tests share: a sample service, load on it, kubectl, manifests."""
