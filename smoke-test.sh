#!/usr/bin/env bash
# Looks whether a running Alert Threader does its work: sends a critical, a warning and an info alert with their
# resolutions, which appear in the Slack channel, and looks at /health, /stats and /cache. A line for each check.
#
#   sudo ./smoke-test.sh [--url URL] [--channel ID] [--token-file FILE]
#
#   --url URL          where the service listens; default: as installed, else http://127.0.0.1:9009
#   --channel ID       send the alerts to another channel than SLACK_CHANNEL
#   --token-file FILE  the file that holds WEBHOOK_TOKEN; default: as installed
#   --help             this text
#
# Environment:
#   WEBHOOK_TOKEN      the token itself, instead of the file
#   ALERT_THREADER     the program; default: as installed, or that of `make install`
#
# Exit codes: 0 all checks passed, 1 some did not, 2 wrong arguments.
set -euo pipefail

SOURCE=$(dirname "$(readlink -f "$0")")
readonly SOURCE
readonly ENV_FILE=/etc/alert-threader/alert-threader.env
readonly TOKEN_FILE=/etc/alert-threader/credentials/webhook_token
readonly SEVERITIES=(critical warning info)

url=
channel=
token_file=
program=${ALERT_THREADER:-}
python=
passed=0
failed=0

main() {
  local severity
  read_arguments "$@"
  find_program
  find_service
  check health "$(look /health healthy)"
  check stats "$(look /stats stats)"
  for severity in "${SEVERITIES[@]}"; do alert "$severity"; done
  check cache "$(look /cache cache)"
  echo "$passed of $((passed + failed)) checks passed"
  ((failed == 0))
}

read_arguments() {
  while (($# > 0)); do
    case $1 in
      --url | --channel | --token-file)
        (($# > 1)) || usage "$1 needs a value"
        case $1 in
          --url) url=${2%/} ;;
          --channel) channel=$2 ;;
          --token-file) token_file=$2 ;;
        esac
        shift
        ;;
      -h | --help)
        sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"
        exit 0
        ;;
      *) usage "unknown argument $1: use --url, --channel, --token-file or --help" ;;
    esac
    shift
  done
  if [[ -z $token_file && -z ${WEBHOOK_TOKEN:-} && -r $TOKEN_FILE ]]; then token_file=$TOKEN_FILE; fi
  if [[ -n $token_file ]]; then
    [[ -r $token_file ]] || usage "--token-file: $token_file cannot be read"
    unset WEBHOOK_TOKEN
  fi
}

find_program() {
  local each
  for each in "$program" /opt/alert-threader/current/venv/bin/alert-threader "$SOURCE/.venv/bin/alert-threader"; do
    if [[ -n $each && -x $each ]]; then
      program=$each
      python=$(dirname "$each")/python
      [[ -x $python ]] || python=python3
      return
    fi
  done
  usage "there is no alert-threader here: run install.sh or make install, or name it in ALERT_THREADER"
}

# The address that the service has for this machine, as installed.
find_service() {
  [[ -z $url ]] || return 0
  url=$(BIND_HOST=$(setting BIND_HOST) BIND_PORT=$(setting BIND_PORT) PYTHONPATH=$SOURCE/src PYTHONDONTWRITEBYTECODE=1 \
    "$python" -c '
import os
from alert_threader.cli.environment import settings_of
print(settings_of(("BIND_HOST", "BIND_PORT"), os.environ).local_url)
' 2>/dev/null) || usage "$ENV_FILE does not say where the service listens: give --url"
}

# setting NAME: as installed, or nothing.
setting() {
  [[ ! -r $ENV_FILE ]] || sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$ENV_FILE" | tail -n 1
}

# check NAME RESULT: RESULT begins with ok or FAIL.
check() {
  printf '%-4s  %-8s  %s\n' "${2%% *}" "$1" "${2#* }"
  if [[ $2 == ok\ * ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# An alert and its resolution are two checks: send-test waits until Slack has each.
alert() {
  local said line options=(--url "$url" --severity "$1" --resolve)
  if [[ -n $token_file ]]; then options+=(--token-file "$token_file"); fi
  if [[ -n $channel ]]; then options+=(--channel "$channel"); fi
  said=$("$program" send-test "${options[@]}" 2>&1) || true
  for line in firing resolved; do
    if grep -q "^$line: " <<<"$said"; then
      check "$1" "ok $(grep -m 1 "^$line: " <<<"$said")"
    else
      check "$1" "FAIL $line: $(tail -n 1 <<<"$said" | sed 's/^alert-threader send-test: //')"
    fi
  done
}

# look PATH WHAT: asks the service; the token goes in by the environment, where other users cannot see it.
look() {
  local token=${WEBHOOK_TOKEN:-}
  if [[ -n $token_file ]]; then IFS= read -r token <"$token_file" || [[ -n $token ]]; fi
  WEBHOOK_TOKEN=$token "$python" -I - "$url$1" "$2" "$channel" "${SEVERITIES[@]}" <<'PYTHON'
import http.client, json, os, sys, urllib.request
url, what, channel, *severities = sys.argv[1:]
request = urllib.request.Request(url)
if token := os.environ["WEBHOOK_TOKEN"]:
    request.add_header("Authorization", f"Bearer {token}")


def found(answer):
    if what == "healthy":
        if answer["status"] == "healthy":
            return f"ok healthy, store {answer['thread_store']}, channel {answer['channel']}"
        return "FAIL " + "; ".join([answer["status"], *answer.get("problems", [])])
    if what == "stats":
        return f"ok {answer['cached_threads']} threads, {answer['pending']} waiting, up since {answer['uptime']}"
    keys = [key for key in answer["threads"] if key.startswith("AlertThreaderTest|") and key.endswith(channel)]
    missing = [each for each in severities if not any(f"|{each}|" in key for key in keys)]
    if missing:
        return f"FAIL no thread of the test for {', '.join(missing)}"
    return f"ok the {len(severities)} threads of the test are among its {answer['cached_threads']}"


try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
        print(found(json.load(response)))
except urllib.error.HTTPError as error:
    print(f"FAIL {url} answers {error.code}: {' '.join(error.read(500).decode(errors='replace').split())}")
except (OSError, http.client.HTTPException) as error:
    print(f"FAIL nothing answers at {url} ({getattr(error, 'reason', error)}): is the service running, and there (--url)?")
except (ValueError, KeyError, TypeError, AttributeError):
    print(f"FAIL {url} is not Alert Threader: check --url")
PYTHON
}

usage() {
  printf 'smoke-test.sh: %s\n' "$*" >&2
  exit 2
}

main "$@"
