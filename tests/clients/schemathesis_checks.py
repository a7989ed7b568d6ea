"""What the answers of a node must be, besides what the document says of them."""

import schemathesis


@schemathesis.check
def says_why(ctx, response, case):
    """A call that fails says why in words, and no fault of the daemons is the reason."""
    if response.status_code >= 400:
        message = response.json()["message"].strip()
        assert message, "an error without a word"
        for fault in ("panicked", "broke off"):
            assert fault not in message, message
