"""The canary slice on an API server with controllers. A package, so that what its tests share ends with the last of them."""
