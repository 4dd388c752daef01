"""Signal processing on arrays and streams: STFT, resampling, Wiener filter, chunks, meters.

Nothing here knows files, models or sessions.
"""
