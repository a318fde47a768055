#!/usr/bin/env bash
# One client an organ on a folder of H&E tiles named <tr|te>_<organ>_<patient>_<tile>.png (MoNuSeg's layout in the README).
#
#     simulations/nuclei.sh /absolute/path/to/nuclei [more Hydra overrides]
#
# The exit status is 0 if the run finished, by what its log says: `flwr run --stream` returns 0 after a failure too.
set -euo pipefail
root=$(realpath "$1")
shift
organs=$(ls "$root/images" | sed -n 's/^tr_\([^_]*\)_.*/\1/p' | sort -u | wc -l)
cd "$(dirname "$0")/.."
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A file, as --run-config takes no quotation marks inside of a value.
python3 - "$root" "$*" > "$scratch/run.toml" <<'PYTHON'
import json, shlex, sys

root, more = sys.argv[1:]
overrides = f"data=folder {shlex.quote(f'data.root={root}')} {more}"
print(f"overrides = {json.dumps(overrides, ensure_ascii=False)}")
PYTHON
flwr federation simulation-config @none/default local --num-supernodes "$organs" --client-resources-num-cpus 1
flwr run . --stream --run-config "$scratch/run.toml" 2>&1 | tee "$scratch/log"
if ! grep -q 'Run finished: ' "$scratch/log"; then
    echo "The run did not finish: its log above says why." >&2
    exit 1
fi
