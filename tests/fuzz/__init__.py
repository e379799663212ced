"""Generated requests at every endpoint: anything at all, and good requests with something wrong.

`make fuzz CASES=20000` runs many; the tests run a share.
"""
