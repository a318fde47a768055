#!/usr/bin/env bash
# One client an organ on a folder of H&E tiles named <tr|te>_<organ>_<patient>_<tile>.png (MoNuSeg's layout in the README).
#
#     simulations/nuclei.sh /absolute/path/to/nuclei [more Hydra overrides]
set -euo pipefail
root=$(realpath "$1")
shift
organs=$(ls "$root/images" | sed -n 's/^tr_\([^_]*\)_.*/\1/p' | sort -u | wc -l)
cd "$(dirname "$0")/.."
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1
flwr federation simulation-config @none/default local --num-supernodes "$organs" --client-resources-num-cpus 1
flwr run . --stream --run-config "overrides=\"data=folder data.root='$root' $*\""
