#!/usr/bin/env bash
# The runs of docs/camvid.md: supervised-only, UniMatch and CW-BASS with 46 masks, two seeds, and all 367 masks.
#   MMSEG_WEAK_DATA=DIR bash benchmarks/camvid.sh [OUT]       (DIR holds camvid/ and weights/)
# One thread a run; a run that is there is not repeated. Prints mIoU on the 233 test images.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-work_dirs/camvid}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

one() {
    local config=$1 seed=$2 dir
    shift 2
    dir=$out/$(basename "$config" .py)-seed$seed
    mkdir -p "$dir"
    if [ ! -f "$dir/iter_600.pth" ]; then
        python tools/train.py "$config" --work-dir "$dir" --cfg-options "randomness.seed=$seed" "$@" >"$dir/train.txt" 2>&1
    fi
    python tools/test.py "$config" "$dir/iter_600.pth" --work-dir "$dir/test" >"$dir/test.txt" 2>&1
    echo "$(basename "$config" .py) seed $seed: $(grep -o 'mIoU: [0-9.]*' "$dir/test.txt" | tail -n 1)"
}

open=train_dataloader.dataset.unlabeled.diagnose=True # hidden masks reach the log alone
for seed in 0 1; do
    one configs/supervised/supervised_aspp-mobilenetv2_1xb4-600_camvid-46.py $seed
    one configs/unimatch/unimatch_aspp-mobilenetv2_1xb4-600_camvid-46.py $seed $open
    one configs/cwbass/cwbass_aspp-mobilenetv2_1xb4-600_camvid-46.py $seed $open
done
one configs/supervised/supervised_aspp-mobilenetv2_1xb4-600_camvid-367.py 0
