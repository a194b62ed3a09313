"""The firewall of the shadow example: an image of its own; `service.py` imports nothing from this repository."""
