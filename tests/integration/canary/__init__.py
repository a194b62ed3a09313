"""The canary slice on an API server with controllers; a package, so that what its tests share ends with the last."""
