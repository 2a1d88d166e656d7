"""Says which operations were never answered with 2xx; exit code 1 if there is one.

In: the OpenAPI document and the NDJSON report of `st run`. Out: a line for each.
"""

import json
import sys

METHODS = {"get", "put", "post", "delete", "patch"}


def operations(document):
    with open(document, encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    return {f"{m.upper()} {path}" for path, ms in paths.items() for m in ms if m in METHODS}


def answered(report):
    found = set()
    with open(report, encoding="utf-8") as file:
        for line in file:
            scenario = json.loads(line).get("ScenarioFinished")
            if not scenario:
                continue
            recorder = scenario["recorder"]
            for id, case in recorder.get("cases", {}).items():
                response = (recorder.get("interactions", {}).get(id) or {}).get("response") or {}
                if 200 <= response.get("status_code", 0) < 300:
                    found.add(f"{case['value']['method']} {case['value']['path']}")
    return found


if __name__ == "__main__":
    missing = operations(sys.argv[1]) - answered(sys.argv[2])
    for operation in sorted(missing):
        print(f"never answered with 2xx: {operation}")
    sys.exit(1 if missing else 0)
