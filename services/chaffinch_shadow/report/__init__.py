"""An evaluation as a page of its own: what was said, the tables behind it, the requests on which versions differ."""
