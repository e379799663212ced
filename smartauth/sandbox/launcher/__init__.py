"""The launcher: a simulated EHR that launches any registered app against this server, spoils a launch when told to, and
tells what it saw. Sandbox only.
"""
