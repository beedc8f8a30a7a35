"""Files that are whole or absent, wherever they lie."""
