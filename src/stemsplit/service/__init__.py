"""The REST service and its page, started by ``stemsplit serve``; needs the extra ``serve``.

``upload -> order (what is wanted) -> shelf (songs, their files, their turn) -> worker (one song at a time) ->
shelf -> downloads``. Only `app`, `guard` and `server` know HTTP.
"""
