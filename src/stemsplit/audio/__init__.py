"""Reading and writing audio files: decoders, encoders, formats, tags, and checks that files are whole."""
