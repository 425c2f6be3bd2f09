#!/usr/bin/env bash
# Train with several processes on this machine: GPUs where there are any, CPU processes otherwise.
# Usage: tools/dist_train.sh CONFIG PROCESSES [arguments of train.py]   (NNODES, NODE_RANK, MASTER_ADDR, PORT as in mmseg)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
config=$1
processes=$2
shift 2
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" --nproc_per_node="$processes" \
    "$here/train.py" "$config" --launcher pytorch "$@"
