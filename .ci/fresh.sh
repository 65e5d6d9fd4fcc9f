# For the scripts beside this one, which source it: the last commit in the folder $tree, and in $work an empty virtual
# environment, whose Python is the first one then. Nothing else comes from the calling shell.
#
#   CI_TREE=1         the files as they lie here, in the place of the last commit
#   PYTHON=python3.13 another Python
set -euo pipefail
exec </dev/null

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

step() { printf '\n=== [%4ds] %s\n' "$SECONDS" "$*"; }
run() { printf '+ %s\n' "$*"; "$@"; }

unset PYTHONPATH PYTHONHOME VIRTUAL_ENV NUMBA_DISABLE_JIT NUMBA_CPU_NAME NUMBA_CPU_FEATURES BINNET_CACHE_DIR
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
if [ -z "${BINNET_SHARED:-}" ] && [ -d "$root/../shared" ]; then
  BINNET_SHARED=$(cd "$root/../shared" && pwd)
  export BINNET_SHARED
fi

step "A fresh copy and a clean virtual environment"
tree=$work/tree
if [ -z "${CI_TREE:-}" ] && git -C "$root" rev-parse --verify --quiet HEAD >/dev/null 2>&1; then
  run git clone --quiet "$root" "$tree"
  [ -z "$(git -C "$root" status --porcelain)" ] || echo "note: uncommitted changes are not part of this run"
else
  mkdir "$tree"
  echo "+ copy $root"
  tar -C "$root" -cf - --exclude=./.git --exclude=./.venv --exclude='./.*_cache' --exclude=__pycache__ . |
    tar -C "$tree" -xf -
fi
cd "$tree"
run "${PYTHON:-python3}" -m venv "$work/venv"
export PATH="$work/venv/bin:$PATH"
run python --version
