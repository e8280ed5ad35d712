"""The one exception a command ends with: a sentence for the person at the terminal."""


class Trouble(Exception):
    """Said on stderr without a traceback; the command then ends with 1."""
