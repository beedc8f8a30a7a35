"""Every command, with the tables and displays that it shows; `main` puts them together."""
