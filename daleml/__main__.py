"""``python -m daleml``: the command line."""

from daleml.cli import app

if __name__ == "__main__":
    app()
