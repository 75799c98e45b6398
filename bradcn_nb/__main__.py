"""The command line: `python -m bradcn_nb COMMAND`. Errors are one line on stderr and exit status
2."""

import sys

from bradcn_nb.cli import build_parser
from bradcn_nb.errors import BradcnError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 0, 2 after an error, 130 after Ctrl-C."""
    options = build_parser().parse_args(arguments)
    try:
        options.handler(options)
    except (BradcnError, OSError) as error:  # OSError: a full disk, a folder without permission
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
