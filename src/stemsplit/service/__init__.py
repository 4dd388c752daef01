"""The REST service and its page, started by ``stemsplit serve``; needs the extra ``serve``.

``upload -> request -> queue (songs and their files) -> worker (one song at a time) -> queue -> downloads``.
HTTP is known to `app`, `endpoints`, `uploads`, `answers`, `owner` and what guards them (`guard`, `password`);
a song with its files and mixes is in `song`, `record`, `playback` and `mixdown`; the page is in ``page/``.
"""
