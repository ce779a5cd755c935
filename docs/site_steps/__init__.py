"""What is written before the pages are read: API pages, tutorials."""
