"""Results and figures as self-contained HTML pages."""
