#!/usr/bin/env bash
# Installs Alert Threader as a service of systemd, and upgrades it. For Debian 12, Ubuntu 22.04 and later. As root:
#
#   sudo ./install.sh                 asks what it needs to know; run again, it upgrades and asks nothing
#   sudo ./install.sh --status        what is installed, and how it is
#   sudo ./install.sh --uninstall     stops and removes it; settings, secrets and threads go only with --purge
#
# Answers, each as an option or in the environment; those of the last time are kept:
#   --store file|redis         THREAD_STORE      where threads are kept
#                              REDIS_URL         an existing Redis; without it, setup-redis.sh sets one up
#   --redis-url-file FILE      REDIS_URL_FILE    a file that holds the URL
#                              SLACK_BOT_TOKEN   the Slack app's bot token (xoxb-…)
#   --token-file FILE          SLACK_BOT_TOKEN_FILE
#   --channel ID               SLACK_CHANNEL     the channel's ID
#   --environment NAME         ENVIRONMENT       named in every message
#   --listen HOST:PORT         BIND_HOST, BIND_PORT
#                              WEBHOOK_TOKEN     what a webhook must carry; without it, one is made
#   --webhook-token-file FILE  WEBHOOK_TOKEN_FILE
#   --no-webhook-token                           webhooks need none
#   --secret-file NAME=FILE                      any other secret of docs/configuration.md: SLACK_APP_TOKEN, …
#   --no-secret NAME                             do without it again
#   --set NAME=VALUE                             any other setting of docs/configuration.md; HTTPS_PROXY, NO_PROXY and
#                                                SSL_CERT_FILE, which are for this script as well
#
# How to run it:
#   --non-interactive   ask nothing: use the default where there is one, else fail
#   --reconfigure       ask everything again; the current answers are the defaults
#   --offline           do not ask Slack whether the token is right
#   --wheelhouse DIR    take Python packages from DIR alone (made with: pip download -r requirements.txt -d DIR)
#   --yes               let setup-redis.sh change an existing Redis
#   --dry-run           only say what would be done
#   --purge             with --uninstall: delete settings, secrets, threads, backups and the user as well
#   --help              this text
#
# A secret is never an argument, which every user could see: it comes from a file, a variable, or a hidden prompt.
#
# The steps can be run again at any time. Steps 1 to 5 do not touch the service; if one fails, or at Ctrl-C, only Debian
# packages and a Redis from step 4 stay behind. Step 6 is done completely or rolled back: if the new version is not
# healthy, the former one comes back. A first installation stays in place, so that its settings can be corrected.
#   1. look at this machine; install Python with apt where it is missing
#   2. gather the answers
#   3. build this version in /opt/alert-threader/versions, beside the running one
#   4. set up Redis, if it was chosen
#   5. compare with what is installed
#   6. write settings, secrets and units; switch /opt/alert-threader/current; start; wait until it is healthy
#   7. check Slack, the channel and the store; delete versions that are no longer needed
#
# Exit codes: 0 success, 1 failure (one line says what is wrong and what to do), 2 wrong arguments, 130 Ctrl-C.
set -euo pipefail
umask 022

SOURCE=$(dirname "$(readlink -f "$0")")
readonly SOURCE
readonly SERVICE=alert-threader
readonly HOME_DIR=/opt/alert-threader
readonly CURRENT=$HOME_DIR/current
readonly SETTINGS=/etc/alert-threader
readonly ENV_FILE=$SETTINGS/alert-threader.env
readonly CREDENTIALS=$SETTINGS/credentials
readonly STATE=/var/lib/alert-threader
readonly UNITS=/etc/systemd/system
readonly COMMAND=/usr/local/bin/alert-threader
readonly TIMER=alert-threader-backup.timer
readonly UNIT_FILES=(alert-threader.service alert-threader-backup.service "$TIMER")
readonly SECRETS=(SLACK_BOT_TOKEN WEBHOOK_TOKEN REDIS_URL SLACK_APP_TOKEN SLACK_SIGNING_SECRET ALERTMANAGER_TOKEN
  ALERTMANAGER_PASSWORD)
# The files that make up a version.
readonly PARTS=(src bin systemd gunicorn.conf.py requirements.txt install.sh setup-redis.sh smoke-test.sh
  alertmanager-threader.yml README.md LICENSE)
readonly STEPS=7
readonly SECONDS_TO_HEALTH=45

mode=install
interactive=true
reconfigure=false
offline=false
agreed=false
purge=false
webhook_wanted=
wheelhouse=
python=
version=
target=
terminal=
# How far this run has come, which decides what must be rolled back: nothing, building, switching or settled.
phase=nothing
# What was changed outside Alert Threader: packages, and Redis in words.
installed=()
redis_is=
scratch=
# Settings by name: the wanted ones, those given to this run, and those of the present environment file.
declare -A wanted=() given=() present=()
changes=()
unwanted=()

main() {
  trap on_exit EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  read_arguments "$@"
  # Programs that we start must not ask either.
  if ! $interactive; then exec </dev/null; fi
  need_root
  # In memory: secrets pass through it.
  scratch=$(umask 077 && mktemp -d /run/alert-threader-install.XXXXXX)
  if [[ $mode == status ]]; then
    status
    return
  fi
  mkdir -p /opt
  exec 9</opt
  flock --nonblock 9 || die "another install.sh is at work: wait for it"
  if [[ $mode == uninstall ]]; then
    uninstall
    return
  fi
  step 1 "this machine"
  look_at_machine
  step 2 "settings"
  gather
  step 3 "version $version"
  build
  step 4 "store"
  prepare_store
  step 5 "what changes"
  compare
  if [[ $mode == dry-run ]]; then
    note "nothing is changed (--dry-run)"
    return
  fi
  step 6 "service"
  switch
  step 7 "look around"
  look_around
}

# -- arguments -------------------------------------------------------------------------------------------------

read_arguments() {
  local name
  local -A files=()
  for name in "${SECRETS[@]}"; do
    local from=${name}_FILE
    files[$name]=${!from:-}
  done
  for name in THREAD_STORE SLACK_CHANNEL ENVIRONMENT BIND_HOST BIND_PORT SLACK_API_URL "${SECRETS[@]}"; do
    if [[ -n ${!name:-} ]]; then given[$name]=${!name}; fi
    # Programs that we start do not need them.
    unset "$name" "${name}_FILE"
  done
  while (($# > 0)); do
    case $1 in
      --*=*)
        set -- "${1%%=*}" "${1#*=}" "${@:2}"
        continue
        ;;
      --store) argument "$@" && given[THREAD_STORE]=$2 && shift ;;
      --channel) argument "$@" && given[SLACK_CHANNEL]=$2 && shift ;;
      --environment) argument "$@" && given[ENVIRONMENT]=$2 && shift ;;
      --listen)
        argument "$@"
        name=$(split_address "$2") || usage "--listen: ${2@Q} is no address: use one like 127.0.0.1:9009"
        given[BIND_HOST]=${name% *} given[BIND_PORT]=${name#* }
        shift
        ;;
      --token-file) argument "$@" && files[SLACK_BOT_TOKEN]=$2 && shift ;;
      --webhook-token-file) argument "$@" && files[WEBHOOK_TOKEN]=$2 && shift ;;
      --redis-url-file) argument "$@" && files[REDIS_URL]=$2 && shift ;;
      --no-webhook-token) webhook_wanted=false ;;
      --secret-file)
        argument "$@"
        name=${2%%=*}
        if [[ $2 != *=?* ]] || ! is_secret "$name"; then
          usage "--secret-file: ${2@Q} is not NAME=FILE with one of ${SECRETS[*]}"
        fi
        files[$name]=${2#*=}
        shift
        ;;
      --no-secret)
        argument "$@"
        if ! is_secret "$2" || [[ $2 == SLACK_BOT_TOKEN ]]; then usage "--no-secret: ${2@Q} is no secret to do without"; fi
        unwanted+=("$2")
        shift
        ;;
      --set)
        argument "$@"
        [[ $2 =~ ^[A-Z_]+=. ]] || usage "--set: ${2@Q} is no setting: use NAME=VALUE"
        name=${2%%=*}
        if is_secret "$name"; then usage "--set $name: every user can see arguments: put it into a file (--help)"; fi
        given[$name]=${2#*=}
        shift
        ;;
      --token | --slack-bot-token | --webhook-token | --redis-url)
        usage "$1: every user can see arguments: put it into a file, and give that with --help's options"
        ;;
      --wheelhouse)
        argument "$@"
        [[ -d $2 ]] || usage "--wheelhouse: there is no folder ${2@Q}"
        wheelhouse=$(readlink -f "$2")
        shift
        ;;
      --non-interactive) interactive=false ;;
      --reconfigure) reconfigure=true ;;
      --offline) offline=true ;;
      --yes) agreed=true ;;
      --dry-run) mode=dry-run ;;
      --status) mode=status ;;
      --uninstall) mode=uninstall ;;
      --purge) purge=true ;;
      -h | --help)
        sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"
        exit 0
        ;;
      *) usage "unknown argument ${1@Q}" ;;
    esac
    shift
  done
  if $purge && [[ $mode != uninstall ]]; then usage "--purge goes with --uninstall"; fi
  for name in "${!files[@]}"; do
    if [[ -n ${files[$name]} ]]; then given[$name]=$(read_secret "${files[$name]}"); fi
  done
}

argument() {
  if (($# < 2)) || [[ $2 == --* ]]; then usage "$1 needs a value"; fi
}

# The first line of a file. A file name that looks like a secret is not shown.
read_secret() {
  local secret
  [[ -f $1 || -p $1 || -c $1 ]] || usage "a file that should hold a secret is not there: check the -file options"
  IFS= read -r secret <"$1" 2>/dev/null || [[ -n ${secret:-} ]] || usage "a file that should hold a secret is empty"
  printf '%s' "$secret"
}

# HOST:PORT as "HOST PORT".
split_address() {
  [[ $1 =~ ^(\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]+)$ ]] || return 1
  echo "${BASH_REMATCH[2]}${BASH_REMATCH[3]} ${BASH_REMATCH[4]}"
}

is_secret() {
  [[ " ${SECRETS[*]} " == *" $1 "* ]]
}

need_root() {
  ((EUID == 0)) || die "run it as root: sudo ./install.sh"
  if ! [[ -d /run/systemd/system ]]; then die "this machine does not run systemd: see \"By hand\" in docs/install.md"; fi
}

# -- 1. this machine -------------------------------------------------------------------------------------------

look_at_machine() {
  local system part
  command -v apt-get >/dev/null || die "this is neither Debian nor Ubuntu: see \"By hand\" in docs/install.md"
  system=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\)"\{0,1\}/\1/p' /etc/os-release)
  for part in "${PARTS[@]}"; do
    [[ -e $SOURCE/$part ]] || die "$SOURCE/$part is missing: run install.sh from a whole clone"
  done
  python=$(find_python) || install_python
  if [[ -n $python ]] && ! [[ -s /etc/ssl/certs/ca-certificates.crt ]]; then install_packages ca-certificates; fi
  if [[ -n $python ]]; then
    note "$system, $("$python" --version), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"
  fi
  version=$(version_of_source)
  target=$HOME_DIR/versions/$version
}

# The system's Python (the service cannot read home folders), 3.11 or newer, that can make virtual environments.
find_python() {
  local each
  for each in /usr/bin/python3 /usr/bin/python3.1[1-9] /usr/local/bin/python3; do
    [[ -x $each ]] || continue
    if "$each" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$each"
      return
    fi
  done
  return 1
}

install_python() {
  local candidate packages=(python3.11 python3.11-venv)
  # Without package lists apt cannot install anything.
  if [[ $mode != dry-run ]]; then apt update; fi
  candidate=$(apt-cache policy python3 2>/dev/null | sed -n 's/^ *Candidate: *//p')
  if [[ -n $candidate ]] && dpkg --compare-versions "$candidate" ge 3.11; then packages=(python3 python3-venv); fi
  install_packages "${packages[@]}"
  if [[ $mode == dry-run ]]; then
    die "the rest shows once Python 3.11 is there: apt-get install ${packages[*]}"
  fi
  python=$(find_python) || die "no Python 3.11 or newer after apt-get install ${packages[*]}: install one in /usr/bin"
}

install_packages() {
  if [[ $mode == dry-run ]]; then
    note "would install $*"
    return
  fi
  note "installing $*"
  installed+=("$@")
  apt update
  apt install --yes --no-install-recommends "$@"
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >"$scratch/apt" 2>&1 ||
    die "apt-get $1 failed: $(grep -m 1 '^E:' "$scratch/apt" || tail -n 1 "$scratch/apt")"
}

# The version and a checksum of its sources: the same sources are built once.
version_of_source() {
  local number sum
  number=$(sed -n 's/^__version__ = "\([0-9A-Za-z.+-]*\)".*/\1/p' "$SOURCE/src/alert_threader/__init__.py")
  sum=$({
    "$python" --version
    cd "$SOURCE"
    find "${PARTS[@]}" -type f ! -path '*/__pycache__/*' ! -path '*.egg-info/*' -print0 | sort -z | xargs -0 sha256sum
  } | sha256sum)
  echo "${number:-0}-${sum:0:10}"
}

# -- 2. settings -----------------------------------------------------------------------------------------------

gather() {
  local name lines line fault
  if [[ -f $ENV_FILE ]]; then
    lines=$(read_env "$ENV_FILE") || exit 1
    while IFS= read -r line; do
      if [[ -n $line ]]; then present[${line%%=*}]=${line#*=}; fi
    done <<<"$lines"
  fi
  for name in "${!present[@]}"; do wanted[$name]=${present[$name]}; done
  for name in "${SECRETS[@]}"; do
    if [[ -f $(credential "$name") ]]; then wanted[$name]=$(<"$(credential "$name")"); fi
  done
  for name in "${unwanted[@]}"; do unset "wanted[$name]"; done
  for name in "${!given[@]}"; do
    fault=$(fault_of "$name" "${given[$name]}")
    [[ -z $fault ]] || usage "$fault"
    wanted[$name]=${given[$name]}
  done
  # What the service needs to reach Slack, the programs that are started here need as well.
  for name in HTTPS_PROXY NO_PROXY SSL_CERT_FILE; do
    if [[ -n ${wanted[$name]:-} ]]; then export "$name=${wanted[$name]}"; fi
  done
  if $interactive && [[ $mode == install ]] && needs_answers; then
    [[ -t 0 ]] || die "there is no terminal to ask at: use --non-interactive, with what it needs to know (--help)"
    ask_all
  else
    take_defaults
  fi
  wanted[THREAD_STORE]=${wanted[THREAD_STORE],,}
  if [[ -n ${given[REDIS_URL]:-} && ${wanted[THREAD_STORE]} != redis ]]; then usage "REDIS_URL is for --store redis"; fi
}

needs_answers() {
  $reconfigure || [[ -z ${wanted[SLACK_BOT_TOKEN]:-} || -z ${wanted[SLACK_CHANNEL]:-} ]]
}

take_defaults() {
  local name said
  for name in SLACK_BOT_TOKEN SLACK_CHANNEL; do
    if [[ -z ${wanted[$name]:-} ]]; then
      [[ $mode == dry-run ]] || die "$name is not given: run install.sh --help for how to"
      note "would ask for $name"
    fi
  done
  wanted[THREAD_STORE]=${wanted[THREAD_STORE]:-file}
  wanted[ENVIRONMENT]=${wanted[ENVIRONMENT]:-production}
  wanted[BIND_HOST]=${wanted[BIND_HOST]:-127.0.0.1}
  wanted[BIND_PORT]=${wanted[BIND_PORT]:-9009}
  free_address "${wanted[BIND_HOST]}" "${wanted[BIND_PORT]}" || die "$(address_fault)"
  if [[ -n ${given[SLACK_BOT_TOKEN]:-} ]]; then
    said=$(ask_slack "${given[SLACK_BOT_TOKEN]}") || die "$said"
    note "$said"
  fi
  if [[ $webhook_wanted == false ]]; then
    unset 'wanted[WEBHOOK_TOKEN]'
  elif token_is_lost; then
    wanted[WEBHOOK_TOKEN]=$(make_token)
    note "$(credential WEBHOOK_TOKEN) is gone: a new token is made, which Alertmanager needs too"
  # An installation without a token stays without one.
  elif [[ -z ${wanted[WEBHOOK_TOKEN]:-} && ! -f $ENV_FILE ]]; then
    wanted[WEBHOOK_TOKEN]=$(make_token)
  fi
}

token_is_lost() {
  [[ -z ${wanted[WEBHOOK_TOKEN]:-} ]] && grep -qs '^LoadCredential=webhook_token:' "$UNITS/$SERVICE.service"
}

ask_all() {
  terminal=$(stty -g)
  echo "An empty answer takes what stands in brackets. Ctrl-C ends this, and $(unchanged)."
  ask_store
  ask_token
  ask SLACK_CHANNEL "ID of the Slack channel (C…, at the end of its details)" "${wanted[SLACK_CHANNEL]:-}"
  ask ENVIRONMENT "Environment, named in every message" "${wanted[ENVIRONMENT]:-production}"
  ask_address
  ask_webhook_token
  terminal=
}

# ask NAME QUESTION DEFAULT: repeats the question until the service accepts the answer.
ask() {
  local answer fault
  if ! $reconfigure && [[ -n ${given[$1]:-} ]]; then return; fi
  while true; do
    answer=$(prompt "$2" "$3") || ended
    fault=$(fault_of "$1" "$answer")
    if [[ -z $answer ]]; then fault="an answer is needed"; fi
    if [[ -z $fault ]]; then break; fi
    wrong "$fault"
  done
  wanted[$1]=$answer
}

ask_store() {
  local default=new said answer
  ask THREAD_STORE "Where to keep threads: file (one machine, nothing else needed) or redis" "${wanted[THREAD_STORE]:-file}"
  if [[ ${wanted[THREAD_STORE],,} != redis || -n ${given[REDIS_URL]:-} ]]; then return; fi
  if [[ -n ${wanted[REDIS_URL]:-} ]]; then default=keep; fi
  while true; do
    answer=$(prompt "Which Redis: new (setup-redis.sh sets one up on this machine), or the URL of one (not shown)" \
      "$default" secret) || ended
    case $answer in
      new) unset 'wanted[REDIS_URL]' ;;
      keep) [[ $default == keep ]] || { wrong "there is none to keep" && continue; } ;;
      *)
        said=$(fault_of REDIS_URL "$answer")
        [[ -z $said ]] || { wrong "$said" && continue; }
        wanted[REDIS_URL]=$answer
        ;;
    esac
    return
  done
}

ask_token() {
  local default='' answer said
  if [[ -n ${given[SLACK_BOT_TOKEN]:-} ]]; then
    said=$(ask_slack "${given[SLACK_BOT_TOKEN]}") || die "$said"
    note "$said"
    return
  fi
  if [[ -n ${wanted[SLACK_BOT_TOKEN]:-} ]]; then default="the present one"; fi
  while true; do
    answer=$(prompt "Slack bot token (xoxb-…, not shown)" "$default" secret) || ended
    if [[ -n $default && $answer == "$default" ]]; then answer=${wanted[SLACK_BOT_TOKEN]}; fi
    said=$(fault_of SLACK_BOT_TOKEN "$answer")
    if [[ -z $answer ]]; then said="an answer is needed"; fi
    if [[ -z $said ]] && said=$(ask_slack "$answer"); then break; fi
    wrong "$said"
  done
  note "$said"
  wanted[SLACK_BOT_TOKEN]=$answer
}

ask_address() {
  local answer parts fault default="${wanted[BIND_HOST]:-127.0.0.1}:${wanted[BIND_PORT]:-9009}"
  if ! $reconfigure && [[ -n ${given[BIND_HOST]:-}${given[BIND_PORT]:-} ]]; then
    wanted[BIND_HOST]=${wanted[BIND_HOST]:-127.0.0.1} wanted[BIND_PORT]=${wanted[BIND_PORT]:-9009}
    free_address "${wanted[BIND_HOST]}" "${wanted[BIND_PORT]}" || die "$(address_fault)"
    return
  fi
  while true; do
    answer=$(prompt "Address to listen on" "$default") || ended
    parts=$(split_address "$answer") || { wrong "${answer@Q} is no address: use one like 127.0.0.1:9009" && continue; }
    fault=$(fault_of BIND_PORT "${parts#* }")
    [[ -z $fault ]] || { wrong "$fault" && continue; }
    free_address "${parts% *}" "${parts#* }" || { wrong "$(address_fault)" && continue; }
    wanted[BIND_HOST]=${parts% *} wanted[BIND_PORT]=${parts#* }
    return
  done
}

ask_webhook_token() {
  local answer default=new fault
  if [[ $webhook_wanted == false ]]; then
    unset 'wanted[WEBHOOK_TOKEN]'
    return
  fi
  [[ -z ${given[WEBHOOK_TOKEN]:-} ]] || return 0
  if [[ -n ${wanted[WEBHOOK_TOKEN]:-} ]]; then
    default=keep
  elif [[ -f $ENV_FILE ]] && ! token_is_lost; then
    default=none
  fi
  while true; do
    answer=$(prompt "Token that webhooks must carry: new makes one, none needs none, or type one (not shown)" \
      "$default" secret) || ended
    case $answer in
      new) wanted[WEBHOOK_TOKEN]=$(make_token) ;;
      none) unset 'wanted[WEBHOOK_TOKEN]' ;;
      keep) [[ $default == keep ]] || { wrong "there is none to keep" && continue; } ;;
      *)
        fault=$(fault_of WEBHOOK_TOKEN "$answer")
        if ((${#answer} < 16)); then fault="a token of less than 16 characters can be guessed: take a longer one"; fi
        [[ -z $fault ]] || { wrong "$fault" && continue; }
        wanted[WEBHOOK_TOKEN]=$answer
        ;;
    esac
    return
  done
}

# prompt QUESTION DEFAULT [secret]: prints the answer. The question goes to the terminal.
prompt() {
  local answer
  printf '%s%s: ' "$1" "${2:+ [$2]}" >/dev/tty
  if [[ ${3:-} == secret ]]; then
    IFS= read -rs answer || return 1
    echo >/dev/tty
  else
    IFS= read -r answer || return 1
  fi
  # Pasted text often carries spaces.
  answer=${answer#"${answer%%[![:space:]]*}"}
  answer=${answer%"${answer##*[![:space:]]}"}
  printf '%s' "${answer:-$2}"
}

ended() {
  echo
  die "the answers ended: $(unchanged)"
}

wrong() {
  printf '  ! %s\n' "$*"
}

# fault_of NAME VALUE: the fault that the service would report, or nothing.
fault_of() {
  # shellcheck disable=SC2016
  printf '%s' "$2" | of_source '
import ssl, sys
from alert_threader.settings.settings import SETTINGS, fault_of
name, value = sys.argv[1], sys.stdin.read()
if name == "HTTPS_PROXY" and "@" in value:
    sys.exit(print("HTTPS_PROXY: a password belongs in /etc/alert-threader/credentials/proxy.env: see docs/network.md"))
if name == "SSL_CERT_FILE":
    try:
        ssl.create_default_context(cafile=value)
    except OSError as error:
        sys.exit(print(f"SSL_CERT_FILE: {value!r} is no PEM file with certificates ({error.strerror or error.reason})"))
if name in {"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"}:
    sys.exit()
if name not in {each.name for each in SETTINGS}:
    sys.exit(print(f"{name}: there is no such setting: see docs/configuration.md"))
# Faults between settings are checked once all of them are known.
if fault := fault_of(name, value):
    print(fault)
' "$1"
}

# Checks all settings together, as the service will read them; prints the faults.
faults_of_all() {
  local name
  for name in "${!wanted[@]}"; do printf '%s=%s\0' "$name" "${wanted[$name]}"; done | of_source '
import sys
from alert_threader.settings.settings import Settings
from alert_threader.errors import ConfigError
try:
    Settings.from_environ(dict(each.split("=", 1) for each in sys.stdin.read().split("\0") if each))
except ConfigError as error:
    print("; ".join(error.faults))
'
}

# ask_slack TOKEN: prints whose token it is, or (exit code 1) why Slack refuses it.
ask_slack() {
  if $offline; then
    echo "the token is not tested (--offline)"
    return
  fi
  printf '%s\n%s' "$1" "${wanted[SLACK_API_URL]:-https://slack.com/api/}" | of_source '
import http.client, json, sys, urllib.request
class NoRedirect(urllib.request.HTTPRedirectHandler):  # another host must not get the token
    def redirect_request(self, *_):
        return None
token, url = sys.stdin.read().split("\n")
request = urllib.request.Request(url.rstrip("/") + "/auth.test", data=b"", headers={"Authorization": f"Bearer {token}"})
try:
    with urllib.request.build_opener(NoRedirect).open(request, timeout=15) as response:
        answer = json.load(response)
    if not isinstance(answer, dict):
        raise ValueError
except (OSError, http.client.HTTPException) as error:
    reason = getattr(error, "code", None) or getattr(error, "reason", error)
    sys.exit(print(f"Slack cannot be reached ({reason}): try again, or use --offline") or 1)
except ValueError:
    sys.exit(print(f"{url} does not answer as Slack does: check SLACK_API_URL") or 1)
if not answer.get("ok"):
    code = answer.get("error")
    sys.exit(print(f"Slack refuses the token ({code}): copy the Bot User OAuth Token again") or 1)
user, team = answer.get("user"), answer.get("team")
print(f"Slack knows the token: bot {user} of team {team}")
'
}

make_token() {
  "$python" -I -c 'import secrets; print(secrets.token_urlsafe(32))'
}

# free_address HOST PORT: whether the service can listen there. It may be listening there already.
free_address() {
  local now=${present[BIND_HOST]:-127.0.0.1}:${present[BIND_PORT]:-9009}
  if [[ $now == "$1:$2" ]] && systemctl --quiet is-active $SERVICE; then return; fi
  "$python" -I - "$1" "$2" 2>/dev/null >"$scratch/address" <<'PYTHON'
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        first = int(file.read())
    if port < first:
        sys.exit(print(f"port {port} is for root, which the service is not: choose {first} or more") or 1)
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
except (OSError, OverflowError) as error:
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    sys.exit(print(f"{host}:{port} cannot be listened on ({reason}): choose another address") or 1)
PYTHON
}

address_fault() {
  cat "$scratch/address"
}

# Python with this version's source. Reading settings needs only the standard library.
of_source() {
  PYTHONPATH=$SOURCE/src PYTHONDONTWRITEBYTECODE=1 PYTHONIOENCODING=utf-8 "$python" -c "$@"
}

# The settings of a file as NAME=VALUE lines, read as systemd reads it.
read_env() {
  "$python" -I - "$1" <<'PYTHON'
import re, shlex, sys
with open(sys.argv[1], encoding="utf-8") as file:
    for line in file:
        if found := re.match(r"\s*([A-Z][A-Z0-9_]*)=(.*)", line):
            try:
                print(f"{found[1]}={' '.join(shlex.split(found[2]))}")
            except ValueError:
                sys.exit(f"install.sh: {sys.argv[1]}: {found[1]}: a quote is not closed")
PYTHON
}

credential() {
  echo "$CREDENTIALS/${1,,}"
}

# -- 3. version ------------------------------------------------------------------------------------------------

build() {
  local faults pip_options=()
  if [[ $mode != dry-run ]]; then
    faults=$(faults_of_all)
    [[ -z $faults ]] || die "$faults"
  fi
  if [[ -f $target/.complete ]]; then
    note "it is built already"
    return
  fi
  if [[ $mode == dry-run ]]; then
    note "would build it in $target"
    return
  fi
  note "building it in $target"
  phase=building
  rm -rf "$target"
  mkdir -p "$target/tmp"
  cp -R --preserve=mode,timestamps "${PARTS[@]/#/$SOURCE/}" "$target/"
  find "$target" -name __pycache__ -prune -exec rm -rf {} +
  chown -R root:root "$target"
  chmod -R u=rwX,go=rX "$target"
  # If pip is interrupted, its partial result is removed with the rest.
  export TMPDIR=$target/tmp
  "$python" -m venv "$target/venv" >"$scratch/venv" 2>&1 ||
    die "no virtual environment can be made: $(tail -n 1 "$scratch/venv")"
  if [[ -n $wheelhouse ]]; then pip_options=(--no-index --find-links "$wheelhouse"); fi
  "$target/venv/bin/pip" --quiet --disable-pip-version-check --no-input install --no-cache-dir "${pip_options[@]}" \
    --requirement "$target/requirements.txt" </dev/null >"$scratch/pip" 2>&1 ||
    die "pip cannot install the requirements: $(grep -m 1 '^ERROR' "$scratch/pip" || tail -n 1 "$scratch/pip")"
  echo "$target/src" >"$(echo "$target"/venv/lib/python3.*/site-packages)/alert-threader.pth"
  printf '#!%s\nimport sys\n\nfrom alert_threader.cli.main import main\n\nsys.exit(main())\n' "$target/venv/bin/python" \
    >"$target/venv/bin/alert-threader"
  chmod 755 "$target/venv/bin/alert-threader"
  "$target/venv/bin/python" -m compileall -q "$target/src"
  chmod -R go=rX "$target"
  "$target/venv/bin/alert-threader" --version >"$scratch/run" 2>&1 ||
    die "the new version does not run: $(tail -n 1 "$scratch/run")"
  unset TMPDIR
  rm -rf "$target/tmp"
  sync -f "$target"
  touch "$target/.complete"
}

# -- 4. store --------------------------------------------------------------------------------------------------

prepare_store() {
  local options=()
  if [[ ${wanted[THREAD_STORE]} == file ]]; then
    note "a file: ${wanted[THREAD_STORE_FILE]:-$STATE/threads.json}"
    return
  fi
  if [[ -n ${wanted[REDIS_URL]:-} ]]; then
    note "the Redis of REDIS_URL"
    return
  fi
  if [[ $mode == dry-run ]]; then
    note "would set up Redis (setup-redis.sh)"
    return
  fi
  if $agreed; then options=(--yes); fi
  redis_is="perhaps Redis (setup-redis.sh --check shows how it is)"
  # It prints the URL, with a placeholder for the password, which it takes from the environment.
  if ! "$SOURCE/setup-redis.sh" "${options[@]}" | tee "$scratch/redis" | sed -u '/^The settings for/,$d;s/^/  /'; then
    die "Redis is not set up: correct that, or give the URL of another one (REDIS_URL)"
  fi
  if grep -q '^nothing to change' "$scratch/redis"; then redis_is=; else redis_is="Redis, which is set up"; fi
  wanted[REDIS_URL]=$(sed -n 's/^REDIS_URL=//p' "$scratch/redis")
  wanted[REDIS_URL]=${wanted[REDIS_URL]/:PASSWORD@/:${REDISCLI_AUTH:-}@}
}

# -- 5. what changes -------------------------------------------------------------------------------------------

compare() {
  local name file
  mkdir -p "$scratch/new/credentials"
  stage
  [[ $(readlink "$CURRENT" || true) == "$target" ]] || changes+=("switch $CURRENT to version $version")
  if is_by_hand; then changes+=("keep $CURRENT as version by-hand"); fi
  same "$scratch/new/env" "$ENV_FILE" || changes+=("write $ENV_FILE")
  for name in "${SECRETS[@]}"; do
    file=$(credential "$name")
    if [[ -n ${wanted[$name]:-} ]]; then
      same "$scratch/new/credentials/${name,,}" "$file" || changes+=("write $file (root only)")
    elif [[ -f $file ]]; then
      changes+=("delete $file")
    fi
  done
  for name in "${UNIT_FILES[@]}"; do
    same "$scratch/new/$name" "$UNITS/$name" || changes+=("write $UNITS/$name")
  done
  getent passwd $SERVICE >/dev/null || changes+=("add the system user $SERVICE")
  systemctl --quiet is-enabled $SERVICE 2>/dev/null || changes+=("start $SERVICE now and at boot")
  systemctl --quiet is-active $SERVICE || changes+=("start $SERVICE")
  if ((${#changes[@]} == 0)); then
    note "nothing"
  elif [[ $mode == dry-run ]]; then
    printf '  would %s\n' "${changes[@]}"
  else
    printf '  %s\n' "${changes[@]}"
  fi
  if [[ -n ${present[THREAD_STORE]:-} && ${present[THREAD_STORE]} != "${wanted[THREAD_STORE]}" ]]; then
    note "the threads stay in the ${present[THREAD_STORE]} store; to take them along, afterwards: systemctl stop $SERVICE," \
      "alert-threader migrate ${present[THREAD_STORE]} ${wanted[THREAD_STORE]}, systemctl start $SERVICE"
  fi
}

same() {
  cmp --quiet "$1" "$2" 2>/dev/null
}

# The wanted content of all files, in memory.
stage() {
  local name unit=$scratch/new/alert-threader.service
  if [[ -f $ENV_FILE ]]; then
    cp "$ENV_FILE" "$scratch/new/env"
  else
    cat >"$scratch/new/env" <<TEXT
# The settings of Alert Threader; docs/configuration.md lists them all. After a change: systemctl restart $SERVICE
# No secret belongs here: those are in $CREDENTIALS.
TEXT
  fi
  for name in THREAD_STORE SLACK_CHANNEL ENVIRONMENT BIND_HOST BIND_PORT "${!given[@]}"; do
    if is_secret "$name" || [[ -z ${wanted[$name]:-} ]]; then continue; fi
    if [[ ${present[$name]:-} != "${wanted[$name]}" ]]; then write_setting "$name" "${wanted[$name]}"; fi
  done
  for name in "${SECRETS[@]}"; do
    if [[ -n ${wanted[$name]:-} ]]; then printf '%s\n' "${wanted[$name]}" >"$scratch/new/credentials/${name,,}"; fi
  done
  for name in "${UNIT_FILES[@]}"; do cp "$SOURCE/systemd/$name" "$scratch/new/$name"; done
  for name in "${SECRETS[@]}"; do
    # systemd does not start a service whose credential is missing.
    if [[ -z ${wanted[$name]:-} ]]; then sed -i "/^LoadCredential=${name,,}:/d" "$unit"; fi
  done
}

# write_setting NAME VALUE: changes its line, or adds one.
write_setting() {
  local value
  # As systemd unquotes it (systemd.exec, EnvironmentFile).
  value=${2//\\/\\\\} value=${value//\"/\\\"} value=${value//\$/\\\$} value=${value//\`/\\\`}
  name=$1 line="$1=\"$value\"" awk '
    match($0, "^[[:space:]]*" ENVIRON["name"] "=") { if (!done++) print ENVIRON["line"]; next }
    { print }
    END { if (!done) print ENVIRON["line"] }' "$scratch/new/env" >"$scratch/env"
  mv "$scratch/env" "$scratch/new/env"
}

# -- 6. service ------------------------------------------------------------------------------------------------

switch() {
  local reason
  if ((${#changes[@]} == 0)); then
    if reason=$(wait_until_healthy); then
      note "$reason"
    else
      die "$reason: see journalctl -u $SERVICE"
    fi
    return
  fi
  # From here on the step is completed or rolled back. Ctrl-C waits for that.
  trap '' INT TERM HUP
  take_over
  save_former
  phase=switching
  put_in_place
  if ! reason=$(start); then
    [[ -z $reason ]] || note "$reason"
    journalctl --unit $SERVICE --since "@$started" --output cat --no-pager 2>/dev/null | tail -n 5 | sed 's/^/  | /' || true
    if ! [[ -L $scratch/former/current ]]; then
      phase=settled
      die "it is installed and does not work yet: correct what it says, and run install.sh again"
    fi
    take_back
  fi
  note "$reason"
  phase=settled
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# An installation by hand (docs/install.md) has a folder where we have a link.
is_by_hand() {
  [[ -d $CURRENT && ! -L $CURRENT ]]
}

# An installation by hand becomes a version that can come back like any other. It keeps running: its paths still work.
take_over() {
  local by_hand=$HOME_DIR/versions/by-hand
  is_by_hand || return 0
  rm -rf "$by_hand"
  mv -T "$CURRENT" "$by_hand" || die "$CURRENT cannot be moved: $(unchanged)"
  if ! ln -s "$by_hand" "$CURRENT"; then
    mv -T "$by_hand" "$CURRENT"
    die "$CURRENT cannot be made a link: $(unchanged)"
  fi
}

save_former() {
  local name
  mkdir "$scratch/former"
  if [[ -L $CURRENT ]]; then cp -P "$CURRENT" "$scratch/former/current"; fi
  if [[ -f $COMMAND || -L $COMMAND ]]; then cp -a "$COMMAND" "$scratch/former/command"; fi
  if getent passwd $SERVICE >/dev/null; then touch "$scratch/former/user"; fi
  if [[ -e $STATE ]]; then touch "$scratch/former/state"; fi
  if [[ -d $SETTINGS ]]; then cp -a "$SETTINGS" "$scratch/former/settings"; fi
  for name in "${UNIT_FILES[@]}"; do
    if [[ -f $UNITS/$name ]]; then cp -p "$UNITS/$name" "$scratch/former/$name"; fi
  done
  former_active=$(systemctl is-active $SERVICE || true)
  for name in $SERVICE $TIMER; do
    if systemctl --quiet is-enabled "$name" 2>/dev/null; then touch "$scratch/former/$name.enabled"; fi
  done
  started=$(date +%s)
}

put_in_place() {
  local name
  if ! getent passwd $SERVICE >/dev/null; then
    useradd --system --user-group --home-dir $STATE --no-create-home --shell /usr/sbin/nologin $SERVICE
  fi
  install -d -m 755 $SETTINGS
  install -d -m 700 $CREDENTIALS
  replace "$scratch/new/env" "$ENV_FILE" 644
  for name in "${SECRETS[@]}"; do
    if [[ -n ${wanted[$name]:-} ]]; then
      replace "$scratch/new/credentials/${name,,}" "$(credential "$name")" 600
    else
      rm -f "$(credential "$name")"
    fi
  done
  install -d -m 700 -o $SERVICE -g $SERVICE $STATE
  for name in "${UNIT_FILES[@]}"; do replace "$scratch/new/$name" "$UNITS/$name" 644; done
  point_to "$target"
  ln -sfn "$CURRENT/bin/alert-threader" "$COMMAND"
}

# replace NEW FILE MODE: by rename, so that nobody ever reads half a file.
replace() {
  same "$1" "$2" || { install -m "$3" "$1" "$2.new" && mv "$2.new" "$2"; }
  chmod "$3" "$2"
}

# The one moment at which the version changes.
point_to() {
  ln -sfn "$1" "$CURRENT.new"
  mv -T "$CURRENT.new" "$CURRENT"
}

# Restart the service and wait; prints its state. Exit code 1 if it is not healthy.
start() {
  systemctl daemon-reload
  systemctl --quiet enable $SERVICE 2>/dev/null
  if [[ ${wanted[THREAD_STORE]} == file ]]; then
    systemctl --quiet enable --now $TIMER 2>/dev/null
  else
    systemctl --quiet disable --now $TIMER 2>/dev/null || true
  fi
  if ! systemctl restart $SERVICE 2>/dev/null; then
    echo "the service does not start"
    return 1
  fi
  wait_until_healthy
}

# wait_until_healthy [SECONDS]: prints the state. Exit code 1 if it does not become healthy in that time.
wait_until_healthy() {
  "$python" -I - "${wanted[BIND_HOST]:-127.0.0.1}" "${wanted[BIND_PORT]:-9009}" "${1:-$SECONDS_TO_HEALTH}" <<'PYTHON'
import http.client, json, subprocess, sys, time, urllib.request
host, port, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
until, said = time.monotonic() + seconds, ""


def look() -> str:
    try:
        with opener.open(f"{url}/health", timeout=5) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        try:
            problems = json.load(error).get("problems") or []
        except (ValueError, AttributeError):
            problems = []
        return "; ".join([f"/health answers {error.code}", *problems])
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"nothing answers at {url} ({getattr(error, 'reason', error)})"
    if not isinstance(answer, dict) or "thread_store" not in answer:
        return f"something else answers at {url}"
    sys.exit(print("; ".join([f"{answer['status']} at {url}", *answer.get("problems", [])])) or 0)


def restarts() -> int:
    command = ["systemctl", "show", "--property=NRestarts", "--value", "alert-threader"]
    return int(subprocess.run(command, capture_output=True, text=True).stdout.strip() or 0)


before = restarts()
while True:
    said = look()
    if restarts() > before + 1:
        said = "the service starts, and ends again"
        break
    if time.monotonic() > until:
        break
    time.sleep(0.2)
sys.exit(print(f"it is not healthy: {said}") or 1)
PYTHON
}

# The former version cannot read the new one's store: write the threads where it looks for them. With the file store, the
# database, which has every accepted change, stays beside the file under another name.
hand_back_threads() {
  local file=${wanted[THREAD_STORE_FILE]:-$STATE/threads.json} former database aside each
  database=${file%.json}.db
  [[ -L $scratch/former/current ]] || return 0
  former=$(readlink "$scratch/former/current")
  if [[ -f $former/src/alert_threader/store/sqlite.py ]]; then return 0; fi
  systemctl stop $SERVICE 2>/dev/null || true
  if [[ ${wanted[THREAD_STORE]:-file} == redis ]]; then
    if "$target/bin/alert-threader" hand-back; then
      note "the threads in Redis are handed back to version $(basename "$former")"
    else
      note "the threads in Redis could not be handed back: version $(basename "$former") may not read some of them"
    fi
    return 0
  fi
  [[ -f $database ]] || return 0
  # What it will drop: acknowledgements, and silences that Alertmanager does not have yet.
  THREAD_STORE=file THREAD_STORE_FILE=$file "$target/bin/alert-threader" hand-back || true
  if ! THREAD_STORE=file THREAD_STORE_FILE=$file "$target/bin/alert-threader" backup "$scratch/threads.json" >/dev/null; then
    note "the threads in $database could not be handed back: $file may lack the last changes"
    return 0
  fi
  install -m 600 -o $SERVICE -g $SERVICE "$scratch/threads.json" "$file.new"
  mv "$file.new" "$file"
  aside=$database.before-downgrade-$(date -u +%Y%m%dT%H%M%SZ)
  for each in '' -wal -shm; do
    if [[ -f $database$each ]]; then mv "$database$each" "$aside$each"; fi
  done
  note "the threads are handed back to version $(basename "$former"); the database of this one is kept as $aside"
}

# Restore what was there before, and exit.
take_back() {
  local name former reason
  phase=settled
  hand_back_threads
  put_back
  if ! [[ -L $scratch/former/current ]]; then die "this failed: everything new has been removed"; fi
  former=$(basename "$(readlink "$CURRENT")")
  # The former settings, which say where it listens.
  for name in THREAD_STORE BIND_HOST BIND_PORT; do wanted[$name]=${present[$name]:-}; done
  wanted[THREAD_STORE]=${wanted[THREAD_STORE]:-file}
  systemctl stop $SERVICE 2>/dev/null || true
  if [[ $former_active != active ]]; then
    for name in $SERVICE $TIMER; do
      if ! [[ -e $scratch/former/$name.enabled ]]; then systemctl --quiet disable --now "$name" 2>/dev/null || true; fi
    done
    systemctl reset-failed $SERVICE 2>/dev/null || true
    die "this failed: version $former and its settings are back, stopped as they were"
  fi
  if reason=$(start); then
    die "this failed: version $former and its settings are back, $reason"
  fi
  die "this failed: version $former and its settings are back, and $reason"
}

# Everything that save_former found, and nothing else.
put_back() {
  local name former=$scratch/former
  rm -rf "$SETTINGS.former" "$SETTINGS.failed"
  if [[ -d $former/settings ]]; then cp -a "$former/settings" "$SETTINGS.former"; fi
  if [[ -d $SETTINGS ]]; then mv -T "$SETTINGS" "$SETTINGS.failed"; fi
  if [[ -d $former/settings ]]; then mv -T "$SETTINGS.former" "$SETTINGS"; fi
  rm -rf "$SETTINGS.failed"
  for name in "${UNIT_FILES[@]}"; do
    if [[ -f $former/$name ]]; then replace "$former/$name" "$UNITS/$name" 644; else rm -f "$UNITS/$name"; fi
  done
  if [[ -L $former/current ]]; then point_to "$(readlink "$former/current")"; else rm -f "$CURRENT"; fi
  if [[ -f $former/command || -L $former/command ]]; then
    cp -a --remove-destination "$former/command" "$COMMAND"
  elif [[ -L $COMMAND ]]; then
    rm "$COMMAND"
  fi
  if [[ $target != "$(readlink "$CURRENT")" ]]; then rm -rf "$target"; fi
  rmdir "$HOME_DIR/versions" "$HOME_DIR" 2>/dev/null || true
  if ! [[ -e $former/state ]]; then rmdir "$STATE" 2>/dev/null || true; fi
  if ! [[ -e $former/user ]]; then userdel $SERVICE 2>/dev/null || true; fi
  systemctl daemon-reload
}

# -- 7. look around --------------------------------------------------------------------------------------------

look_around() {
  local each
  if ! $offline; then
    "$COMMAND" check 2>&1 | sed 's/^/  /' || true
  fi
  # Keep the version before this one.
  while IFS= read -r each; do
    [[ $each == "$target" ]] || rm -rf "$each"
  done < <(find "$HOME_DIR/versions" -mindepth 1 -maxdepth 1 -type d -printf '%C@ %p\n' | sort -rn | cut -d ' ' -f 2- |
    grep -vxF "$target" | tail -n +2)
  if [[ -n ${wanted[WEBHOOK_TOKEN]:-} ]]; then
    note "Alertmanager needs the token that is in $(credential WEBHOOK_TOKEN): see alertmanager-threader.yml"
  fi
  note "done: install.sh --status shows how it is, smoke-test.sh sends alerts, journalctl -u $SERVICE shows its log"
}

# -- status and removal ----------------------------------------------------------------------------------------

status() {
  local name line said code=0 newest
  [[ -L $CURRENT ]] || die "$SERVICE is not installed: run install.sh"
  python=$(find_python) || die "Python 3.11 or newer is gone: install it again"
  while IFS= read -r line; do wanted[${line%%=*}]=${line#*=}; done < <(read_env "$ENV_FILE" 2>/dev/null)
  line "version" "$(basename "$(readlink "$CURRENT")")"
  line "service" "$(systemctl is-active $SERVICE || true), $(systemctl is-enabled $SERVICE 2>/dev/null || true)" \
    "(restarted by itself: $(systemctl show --property NRestarts --value $SERVICE))"
  if systemctl --quiet is-active $SERVICE && said=$(wait_until_healthy 1); then
    line "health" "$said"
  else
    line "health" "${said:-it does not run}: see journalctl -u $SERVICE"
    code=1
  fi
  line "store" "${wanted[THREAD_STORE]:-file}"
  line "settings" "$ENV_FILE"
  line "secrets" "$(cd "$CREDENTIALS" && echo *)"
  if [[ ${wanted[THREAD_STORE]:-file} == file ]]; then
    newest=$({ find "$STATE/backups" -name 'threads-*.json' -printf '%f\n' 2>/dev/null || true; } | sort | tail -n 1)
    line "backup" "timer $(systemctl is-active $TIMER || true), newest ${newest:-none yet}"
  fi
  return "$code"
}

line() {
  printf '%-9s %s\n' "$1" "${*:2}"
}

uninstall() {
  local name store answer=no
  if ! [[ -e $HOME_DIR || -e $SETTINGS || -e $STATE || -e $UNITS/$SERVICE.service ]]; then
    note "$SERVICE is not installed: nothing to remove"
    return
  fi
  if $interactive && ! $purge; then
    [[ -t 0 ]] || die "there is no terminal to ask at: use --non-interactive, and --purge to delete the threads as well"
    answer=$(prompt "Delete settings, secrets, threads and backups as well: yes or no" no) || ended
    case ${answer,,} in
      y | yes) purge=true ;;
      n | no) ;;
      *) die "${answer@Q} is neither yes nor no: nothing is removed" ;;
    esac
  fi
  trap '' INT TERM HUP
  store=$(sed -n 's/^THREAD_STORE="\?\([a-z]*\).*/\1/p' "$ENV_FILE" 2>/dev/null || true)
  systemctl --quiet disable --now $TIMER $SERVICE 2>/dev/null || true
  systemctl stop alert-threader-backup.service 2>/dev/null || true
  systemctl reset-failed $SERVICE alert-threader-backup 2>/dev/null || true
  for name in "${UNIT_FILES[@]}"; do rm -f "${UNITS:?}/$name"; done
  if [[ $(readlink "$COMMAND" || true) == "$CURRENT/"* ]]; then rm -f "$COMMAND"; fi
  rm -rf "$HOME_DIR"
  rm -f "/var/lib/systemd/timers/stamp-$TIMER"
  if $purge; then
    for name in "${UNIT_FILES[@]}"; do rm -rf "${UNITS:?}/$name.d"; done
    rm -rf "$SETTINGS" "$STATE" /run/$SERVICE
    if getent passwd $SERVICE >/dev/null; then userdel $SERVICE 2>/dev/null || die "the user $SERVICE is still in use: userdel $SERVICE"; fi
    note "removed, with settings, secrets, threads and backups"
  else
    note "removed; settings and secrets are kept in $SETTINGS, threads in $STATE (--purge deletes them)"
  fi
  systemctl daemon-reload
  if [[ $store == redis ]]; then
    note "Redis keeps its threads, for others may use them: redis-cli --scan --pattern 'threader:ts*' lists them"
  fi
}

# -- output ----------------------------------------------------------------------------------------------------

step() {
  printf '[%s/%s] %s\n' "$1" "$STEPS" "$2"
}

note() {
  printf '  %s\n' "$*"
}

# Says what it means that the run ended before step 6.
unchanged() {
  local what=
  if ((${#installed[@]} > 0)); then what="the packages ${installed[*]}"; fi
  if [[ -n $redis_is ]]; then what+="${what:+ and }$redis_is"; fi
  echo "nothing is changed${what:+ but $what}"
}

die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

usage() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 2
}

on_exit() {
  local code=$?
  trap '' INT TERM HUP
  set +e
  if [[ -n $terminal ]]; then
    stty "$terminal"
    echo
  fi
  case $phase in
    building)
      if [[ $(readlink "$CURRENT") != "$target" ]]; then rm -rf "$target"; fi
      rmdir "$HOME_DIR/versions" "$HOME_DIR" 2>/dev/null
      ;;
    switching)
      (take_back)
      ;;
  esac
  if ((code == 130)); then
    if [[ $phase == settled ]]; then
      echo "install.sh: interrupted after the last change: the service runs" >&2
    else
      echo "install.sh: interrupted: $(unchanged)" >&2
    fi
  fi
  if [[ -n $scratch ]]; then rm -rf "$scratch"; fi
  exit "$code"
}

main "$@"
