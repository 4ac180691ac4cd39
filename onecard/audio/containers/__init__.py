"""The containers of media files as bytes: their boxes, what headers declare, files in one file."""
