"""The REST service and its page, started by ``stemsplit serve``; needs the extra ``serve``.

``upload -> request -> queue (songs and their files) -> worker (one song at a time) -> queue -> downloads``.
Only `app` and `guard` know HTTP.
"""
