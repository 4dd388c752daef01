"""Signal processing on arrays and streams: STFT, resampling, Wiener filter, chunks, cross-fade, meters.

Nothing here knows files, models or sessions.
"""
