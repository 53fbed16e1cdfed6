"""Help: its pages, the search over them, and what the portal knows of the reader's account."""
