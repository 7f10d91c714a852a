"""The entry of `ezav`: quiet from the first moment on, and tidy however it is ended."""

# Ctrl-C while the packages are imported ends the command at once, without a traceback: nothing has
# begun that would have to be undone. So this comes before every other import.
import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)

import gc  # noqa: E402
import sys  # noqa: E402


def main() -> int:
    """Run the command of `sys.argv`; returns its exit status."""
    from ezav.cli.ending import ended_tidily
    from ezav.cli.main import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ended_tidily():
        try:
            return run()
        finally:
            # Else the collector looks through all of torch once more before the process ends.
            gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
