"""What all tests rely on."""

import signal

# A shell that runs the tests in the background has them ignore Ctrl-C, and every process they start too: the
# tests of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
