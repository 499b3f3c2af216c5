"""Compares JSON on standard input with a file: every key of the file must have the same value."""

import json
import sys


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        expected = json.load(file)
    found = json.load(sys.stdin)
    differences = [
        f"{key}: expected {value!r}, found {found.get(key)!r}"
        for key, value in expected.items()
        if found.get(key) != value
    ]
    print("\n".join(differences), file=sys.stderr, end="\n" if differences else "")
    return 1 if differences else 0


sys.exit(main())
