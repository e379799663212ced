"""The portal as JSON."""
