"""What the package needs of Python and of the machine. Nothing here knows of Dale's law."""
