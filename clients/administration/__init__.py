"""The registry in the admin site: what a registrar reviews, activates, suspends and looks up."""
