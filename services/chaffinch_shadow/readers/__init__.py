"""Files of rows and of results, as arrays. Everything that can be wrong with a file is found here."""
