"""Programs that measure the server, and that try to break it."""
