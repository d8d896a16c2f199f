#!/usr/bin/env bash
# Sets up Redis on this machine as the place where Alert Threader keeps its threads (THREAD_STORE=redis).
# For Debian 12, Ubuntu 22.04 and later, with systemd. Run it as root:
#
#   sudo ./setup-redis.sh [--yes] [--dry-run | --check]
#
#   --yes       change a Redis that was here before without asking
#   --dry-run   only say what would be done
#   --check     only test: what settings are in effect, and whether a write is taken; nothing is changed or restarted
#   --help      this text
#
# Environment:
#   REDISCLI_AUTH   the password of a Redis that asks for one (redis-cli's own variable)
#
# The steps can be run again at any time: a second run changes nothing and says so.
#   1. look at what is here, and ask before a Redis is changed that was here before
#   2. install Debian's redis-server
#   3. write a key, and have all that Redis holds written into its append-only file
#   4. write /etc/redis/alert-threader.conf, and include it at the end of redis.conf, where it has the last word
#   5. restart Redis; if it does not start with these settings, put the old ones back
#   6. test that the key survived the restart, and that the settings are in effect
#
# To undo it, delete the last line of redis.conf ("include …") and restart redis-server.
# Exit codes: 0 all is well, 1 it is not (one line says what, and what to do), 2 wrong arguments.
set -euo pipefail

readonly UNIT=redis-server
readonly DROPIN=/etc/redis/alert-threader.conf
readonly INCLUDE="include $DROPIN"
readonly NOTE="# Alert Threader (setup-redis.sh). Keep this the last line: the last word counts."
readonly PROBE="alert-threader-setup:$$"
readonly SECONDS_TO_START=60 SECONDS_TO_REWRITE=600

conf=/etc/redis/redis.conf
port=6379
mode=setup
agreed=false
existing=false
changes=()
scratch=

main() {
  read_arguments "$@"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  look_at_machine
  if [[ $mode == check ]]; then
    check
    return
  fi
  look_at_redis
  if ((${#changes[@]} == 0)); then
    say "nothing to change: Redis runs with all settings"
    test_write
    print_url
    return
  fi
  if [[ $mode == dry-run ]]; then
    printf 'would: %s\n' "${changes[@]}"
    say "nothing is changed (--dry-run)"
    return
  fi
  agree
  install_redis
  write_into_aof
  configure
  restart
  test_restart
  print_url
}

read_arguments() {
  while (($# > 0)); do
    case $1 in
      --yes) agreed=true ;;
      --dry-run) mode=dry-run ;;
      --check) mode=check ;;
      -h | --help)
        sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0"
        exit 0
        ;;
      *)
        echo "setup-redis.sh: unknown argument $1: use --yes, --dry-run, --check or --help" >&2
        exit 2
        ;;
    esac
    shift
  done
}

# -- 1. look ---------------------------------------------------------------------------------------------------

look_at_machine() {
  if ! command -v apt-get >/dev/null || ! [[ -d /run/systemd/system ]]; then
    die "this needs Debian or Ubuntu with systemd: install Redis your system's way, with appendonly yes and" \
      "maxmemory-policy noeviction"
  fi
  ((EUID == 0)) || die "run it as root: sudo ./setup-redis.sh"
  if [[ -f $conf ]]; then
    conf=$(readlink -f "$conf")
    port=$(sed -nE 's/^[[:space:]]*port[[:space:]]+"?([0-9]+)"?[[:space:]]*$/\1/p' "$conf" | tail -n 1)
    port=${port:-6379}
    [[ $port != 0 ]] || die "the Redis here listens on no TCP port (port 0 in $conf): set it up by hand"
  fi
}

# Gathers in `changes` what is to be done, in words.
look_at_redis() {
  local name value now
  if is_installed; then
    existing=true
  else
    if answers; then
      die "something listens on port $port and is not Debian's redis-server: use it with REDIS_URL, or stop it first"
    fi
    # What a removed package has left behind is somebody's data, and somebody's settings.
    if [[ -f $conf ]] || [[ -n $(ls -A /var/lib/redis 2>/dev/null) ]]; then existing=true; fi
    changes+=("install redis-server")
  fi
  if [[ -f $conf ]] && grep -qxF "$INCLUDE" "$conf" && ! [[ -f $DROPIN ]] && ! systemctl --quiet is-active "$UNIT"; then
    # It cannot start. Without the include it could, but from a snapshot that is older than the append-only file.
    die "$conf includes $DROPIN, which is gone: put it back (echo appendonly yes >$DROPIN), then run this again"
  fi
  if is_installed; then
    systemctl --quiet is-enabled "$UNIT" 2>/dev/null || changes+=("let it start at boot")
    if systemctl --quiet is-active "$UNIT"; then
      while read -r name value; do
        now=$(setting "$name")
        [[ $now == "$value" ]] || changes+=("$name: $now -> $value")
      done < <(settings)
    elif answers; then
      die "redis-server is stopped, and something else listens on port $port: use that with REDIS_URL, or stop it first"
    else
      # How it is set shows only when it runs.
      changes+=("start it, on $(addresses) only")
    fi
  fi
  cmp --quiet "$DROPIN" <(dropin) || changes+=("write $DROPIN")
  is_included || changes+=("include it at the end of $conf")
}

agree() {
  local answer=no
  if ! $existing || $agreed; then return; fi
  if ! [[ -t 0 ]]; then
    die "a Redis was here before and is not changed; with --yes it would be ($(listed))"
  fi
  printf 'A Redis was here before. This would be changed:\n'
  printf '  %s\n' "${changes[@]}"
  read -r -p "Others may use it. Change it? [y/N] " answer || true
  [[ $answer == [yY] || $answer == [yY][eE][sS] ]] || die "nothing is changed"
}

listed() {
  local all
  all=$(printf '; %s' "${changes[@]}")
  echo "${all#; }"
}

is_installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' redis-server 2>/dev/null) == installed ]]
}

is_included() {
  [[ -f $conf && $(grep -Ev '^[[:space:]]*(#|$)' "$conf" | tail -n 1) == "$INCLUDE" ]]
}

# Whether anything listens on the port.
answers() {
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

# What a store of record needs, one setting a line.
settings() {
  echo "bind $(addresses)"
  echo "protected-mode yes"
  echo "appendonly yes"
  echo "appendfsync everysec"
  echo "maxmemory-policy noeviction"
}

# "-" lets Redis start where there is no ::1; before 6.2 it always does, and does not know the sign.
addresses() {
  local version
  version=$(redis-server --version 2>/dev/null | sed -nE 's/.* v=([0-9.]+).*/\1/p')
  if dpkg --compare-versions "${version:-7}" ge 6.2; then echo "127.0.0.1 -::1"; else echo "127.0.0.1 ::1"; fi
}

dropin() {
  echo "# Written by Alert Threader's setup-redis.sh, which would write it again: settings for a store of record."
  echo "# Other settings belong in redis.conf."
  settings
}

# -- 2. install ------------------------------------------------------------------------------------------------

install_redis() {
  if ! is_installed; then
    say "installing redis-server"
    apt update
    apt install --yes --no-install-recommends redis-server
    [[ ! -f $conf ]] || conf=$(readlink -f "$conf")
  fi
  systemctl --quiet enable "$UNIT" 2>/dev/null || die "systemd refuses to enable $UNIT: see systemctl status $UNIT"
  systemctl start "$UNIT" 2>/dev/null || die "Redis does not start: see journalctl -u $UNIT"
  wait_until_ready || die "Redis does not answer on 127.0.0.1:$port: see journalctl -u $UNIT"
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$@" \
    </dev/null >"$scratch/apt" 2>&1 || die "apt-get $1 failed: $(grep -m 1 '^E:' "$scratch/apt" || tail -n 1 "$scratch/apt")"
}

# -- 3. into the append-only file ------------------------------------------------------------------------------

# With appendonly in redis.conf alone, the next start would look for an append-only file, find none, and begin empty.
write_into_aof() {
  local left=$SECONDS_TO_REWRITE state
  write_probe 3600
  state=$(setting appendonly)
  [[ $state != yes ]] || return 0
  say "writing what Redis holds into its append-only file"
  redis CONFIG SET appendonly yes >/dev/null
  while true; do
    state=$(redis INFO persistence)
    if grep -q '^aof_last_bgrewrite_status:err' <<<"$state"; then
      redis CONFIG SET appendonly no >/dev/null
      die "Redis cannot write its append-only file: make room, see journalctl -u $UNIT"
    fi
    grep -q '^aof_rewrite_in_progress:0' <<<"$state" && grep -q '^aof_rewrite_scheduled:0' <<<"$state" && break
    ((left-- > 0)) || die "Redis is still writing its append-only file: run this again later"
    sleep 1
  done
}

# -- 4. configure ----------------------------------------------------------------------------------------------

configure() {
  say "writing $DROPIN, included at the end of $conf"
  cp -p "$conf" "$scratch/redis.conf"
  [[ ! -f $DROPIN ]] || cp -p "$DROPIN" "$scratch/dropin"
  dropin >"$DROPIN.new"
  chown root:redis "$DROPIN.new"
  chmod 640 "$DROPIN.new"
  mv "$DROPIN.new" "$DROPIN"
  if ! is_included; then
    cp -p "$conf" "$conf.new" # for the owner and the mode
    { grep -vxF -e "$INCLUDE" -e "$NOTE" "$scratch/redis.conf" || true; printf '%s\n' "$NOTE" "$INCLUDE"; } >"$conf.new"
    mv "$conf.new" "$conf"
  fi
}

# -- 5. restart ------------------------------------------------------------------------------------------------

restart() {
  say "restarting Redis"
  if ! systemctl restart "$UNIT" 2>/dev/null || ! wait_until_ready; then
    cp -p "$scratch/redis.conf" "$conf"
    if [[ -f $scratch/dropin ]]; then cp -p "$scratch/dropin" "$DROPIN"; else rm -f "$DROPIN"; fi
    systemctl reset-failed "$UNIT" || true
    systemctl restart "$UNIT" 2>/dev/null || true
    die "Redis did not start with these settings, the old ones are back: see journalctl -u $UNIT"
  fi
}

wait_until_ready() {
  local left=$SECONDS_TO_START answer
  while ((left-- > 0)); do
    answer=$(redis-cli -p "$port" PING 2>&1) || true
    # A refused login is an answer too; the next question deals with it.
    if [[ $answer == *PONG || $answer == *AUTH* ]]; then return 0; fi
    sleep 1
  done
  return 1
}

# -- 6. test ---------------------------------------------------------------------------------------------------

test_restart() {
  local name value now
  now=$(redis GET "$PROBE")
  [[ $now == "$PROBE" ]] || die "a write did not survive the restart: see journalctl -u $UNIT"
  redis DEL "$PROBE" >/dev/null
  while read -r name value; do
    now=$(setting "$name")
    [[ $now == "$value" ]] || die "$name is $now and not $value: something overrides $DROPIN, see systemctl cat $UNIT"
  done < <(settings)
  say "a write survived the restart, all settings are in effect"
}

test_write() {
  write_probe 60
  redis DEL "$PROBE" >/dev/null
  say "a write is taken"
}

check() {
  local failed=0 name value now
  is_installed || die "redis-server is not installed: run this without --check"
  systemctl --quiet is-active "$UNIT" || die "Redis does not run: systemctl start $UNIT"
  while read -r name value; do
    now=$(setting "$name")
    if [[ $now == "$value" ]]; then
      echo "ok    $name $now"
    else
      echo "FAIL  $name is $now, and should be $value: run this without --check"
      failed=1
    fi
  done < <(settings)
  if ! is_included || ! cmp --quiet "$DROPIN" <(dropin); then
    echo "note  $DROPIN is not in place: what is in effect now may not be after a restart"
  fi
  test_write
  return "$failed"
}

print_url() {
  local login=
  [[ -z ${REDISCLI_AUTH:-} ]] || login=":PASSWORD@"
  echo "The settings for Alert Threader:"
  echo "THREAD_STORE=redis"
  echo "REDIS_URL=redis://${login}127.0.0.1:$port/0"
}

# -- asking Redis ----------------------------------------------------------------------------------------------

# redis-cli, but a refusal is a failure.
redis() {
  local answer
  answer=$(redis-cli -p "$port" "$@" 2>&1) || die "Redis does not answer on 127.0.0.1:$port: ${answer%%$'\n'*}"
  case $answer in
    *"AUTH failed"* | WRONGPASS*) die "Redis refuses the password in REDISCLI_AUTH: correct it, or leave it out" ;;
    NOAUTH*) die "Redis asks for a password: give it in REDISCLI_AUTH" ;;
    ERR* | NOPERM* | MISCONF* | OOM* | READONLY* | LOADING*) die "Redis refuses $1: ${answer%%$'\n'*}" ;;
  esac
  printf '%s\n' "$answer"
}

setting() {
  redis CONFIG GET "$1" | sed -n 2p
}

# A key that holds its own name, and goes by itself after so many seconds.
write_probe() {
  redis SET "$PROBE" "$PROBE" EX "$1" >/dev/null
}

say() {
  printf '%s\n' "$*"
}

die() {
  printf 'setup-redis.sh: %s\n' "$*" >&2
  exit 1
}

main "$@"
