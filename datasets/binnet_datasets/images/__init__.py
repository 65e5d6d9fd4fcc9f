"""Pictures as arrays: decoding, colours, resizing, crops and statistics."""
