"""The image of the sample service; `app.py` is a program of its own and imports nothing from this repository."""
