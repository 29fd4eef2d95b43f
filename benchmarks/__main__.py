"""`python -m benchmarks NAME [--json FILE] …`: every performance claim of xunji, measured as a ratio in one run."""

import sys

from benchmarks import api, growth, imports, ledger, lifecycle, nominations, webhooks

BENCHMARKS = {
    "api": api.main,
    "growth": growth.main,
    "imports": imports.main,
    "ledger": ledger.main,
    "lifecycle": lifecycle.main,
    "nominations": nominations.main,
    "webhooks": webhooks.main,
}


def main() -> int:
    """Run the named benchmark, or say which there are."""
    names = sys.argv[1:2]
    if not names or names[0] not in BENCHMARKS:
        print(f'usage: make bench BENCH="{"|".join(BENCHMARKS)} [--json FILE]"')
        return 0 if not names else 2
    return BENCHMARKS[names[0]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
