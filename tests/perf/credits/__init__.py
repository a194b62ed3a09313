"""The credits service under load: the rig, the client, the rivals, and what is measured."""
