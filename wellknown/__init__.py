"""The public documents: computed from what is switched on, decided elsewhere."""
