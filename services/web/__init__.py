"""The pages: rendered on the server, usable without JavaScript, made of our own files only."""
