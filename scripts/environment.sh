# Sourced by the other scripts: makes .venv with this project and the extras asked for, and puts it on the PATH.

environment() { # environment [EXTRA...]
  local root extras stamp python
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  cd "$root" || exit 1
  extras=$(IFS=,; echo "$*")
  stamp=".venv/.installed-${extras:-plain}-$(cat pyproject.toml server/page/package-lock.json scripts/build*.py engine/kernels/cpu/*.{h,cpp} | cksum | cut -d' ' -f1)"
  if [ ! -e "$stamp" ]; then
    if [ ! -x .venv/bin/python ]; then
      python=$(suitable_python) || exit 1
      echo "Making .venv with $($python --version)" >&2
      "$python" -m venv .venv >/dev/null 2>&1 || { # a Python without ensurepip
        rm -rf .venv
        "$python" -m pip install --quiet --target .venv-bootstrap virtualenv
        PYTHONPATH=.venv-bootstrap "$python" -m virtualenv --quiet .venv
        rm -rf .venv-bootstrap
      }
    fi
    echo "Installing epochline${extras:+ with $extras} and what it needs: one to three minutes the first time" >&2
    .venv/bin/python -m pip install --disable-pip-version-check --no-compile --progress-bar off --editable ".${extras:+[$extras]}" | steps || exit 1
    touch "$stamp"
  fi
  export PATH="$root/.venv/bin:$PATH" VIRTUAL_ENV="$root/.venv"
  unset PYTHONHOME
}

steps() { # shows what pip does, with the seconds so far: a line that is written over on a terminal, else one line every 10 s
  local began=$SECONDS shown=-10 now line
  while IFS= read -r line; do
    now=$((SECONDS - began))
    case $line in
      *Collecting* | *Downloading* | *Building* | *Preparing* | *Installing* | *Getting*) ;;
      *) continue ;;
    esac
    if [ -t 2 ]; then
      printf '\r\033[K%4d s  %.90s' "$now" "${line#"${line%%[![:space:]]*}"}" >&2
    elif [ $((now - shown)) -ge 10 ]; then
      printf '%4d s  %.90s\n' "$now" "${line#"${line%%[![:space:]]*}"}" >&2
      shown=$now
    fi
  done
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
  printf '%4d s  done\n' "$((SECONDS - began))" >&2
}

suitable_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed" >&2
  return 1
}
