#!/usr/bin/env bash
# Runs the steps of docker/Dockerfile without a container engine: builds as it says,
# puts the image's files into an empty root, and serves from there as the image's user,
# with a root that cannot be written, in namespaces of its own. Then it asks what a
# container's health check asks, publishes, reads, stops it, and serves again from the
# same data.
#
#   docker/try.sh
#
# It wants root, for it changes the root and the user. Where even root may not make
# namespaces (in most containers), the program still has an empty root of root's, which
# its user cannot write, and an empty environment; the network is this machine's then,
# and the ports 8080 and 8081 must be free.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "try: $*" >&2; }
die() { say "$*"; exit 1; }

[ "$(id -u)" -eq 0 ] || die "run this as root: the program is put into a root of its own, as a user of its own"
for tool in chroot curl go; do
	command -v "$tool" >/dev/null || die "$tool is needed, .ci/setup says how to get it"
done

# ---- What the Dockerfile says ------------------------------------------------

# instructions prints them one a line, without comments, continued lines joined.
instructions() { sed -e '/^[[:space:]]*#/d' -e '/^[[:space:]]*$/d' docker/Dockerfile | sed -e ':a' -e '/\\$/N; s/\\\n//; ta'; }

# words prints the elements of an instruction's JSON array, one a line.
words() { grep -o '"[^"]*"' <<<"$1" | tr -d '"'; }

work=$(mktemp -d)
root=$work/root
stage= environment=() user= directory=/ health= entrypoint= command=
mkdir "$root"
chmod 755 "$work" "$root"
inner=
cleanup() {
	[ -z "$inner" ] || kill "$inner" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

# here is a path of the build stage, on this machine.
here() { case $1 in /out | /out/*) echo "$work$1" ;; *) echo "$1" ;; esac; }

# build does one instruction of the build stage. Its files are this checkout, and its
# output, /out, lies in the working directory.
build() {
	case $1 in
	FROM | WORKDIR | COPY) ;; # Go and the sources are here
	ARG) eval "export $2" ;;
	RUN) say "RUN $2" && bash -euc "${2//\/out/$work/out}" ;;
	*) die "the build stage has an instruction that is not understood: $1" ;;
	esac
}

# image does one instruction of the image.
image() {
	local owner=0:0 from to
	case $1 in
	COPY)
		# shellcheck disable=SC2086 # words are meant
		set -- $2
		while [[ $1 == --* ]]; do
			case $1 in --chown=*) owner=${1#--chown=} ;; --from=build) ;; *) die "COPY $1 is not understood" ;; esac
			shift
		done
		from=$(here "$1") to=$root$2
		mkdir -p "$(dirname "$to")"
		if [ -d "$from" ]; then mkdir -p "$to" && cp -R "$from/." "$to/"; else cp -L "$from" "$to"; fi
		chown -R "$owner" "$to"
		;;
	ENV) read -ra environment <<<"$2" ;;
	USER) user=$2 ;;
	WORKDIR) directory=$2 ;;
	HEALTHCHECK) health=$(words "${2##*CMD}") ;;
	ENTRYPOINT) entrypoint=$(words "$2") ;;
	CMD) command=$(words "$2") ;;
	EXPOSE | VOLUME | STOPSIGNAL) ;;
	*) die "the image has an instruction that is not understood: $1" ;;
	esac
}

while read -r name rest; do
	if [ "$name" = FROM ]; then
		case $rest in *" AS build") stage=build ;; scratch) stage=image ;; *) die "FROM $rest is not understood" ;; esac
	fi
	[ "$name $rest" = "FROM scratch" ] || "$stage" "$name" "$rest"
done < <(instructions)
[ -n "$entrypoint" ] && [ -n "$health" ] && [ -n "$user" ] || die "the image lacks an ENTRYPOINT, a HEALTHCHECK or a USER"
[ "${user%%:*}" != 0 ] || die "the image's user is root"
say "the image is $(du -sk "$root" | cut -f1) KiB: $(cd "$root" && find . -type f -printf '%P ')"

# ---- Serve from it -------------------------------------------------------------

"$root/tocsin" secret "$work/secret" >/dev/null
token=$("$root/tocsin" token --jwt-hs256-file "$work/secret" --sub anna --groups g --scope "inbox publish" --ttl 10m)
environment+=("TOCSIN_JWT_HS256=$(cat "$work/secret")" "TOCSIN_DRAIN=1s")
isolated=no
if unshare --mount --net --pid --fork true 2>/dev/null && command -v ip >/dev/null; then
	isolated=yes
else
	say "no namespaces here: the root is only not the program's to write"
fi
export work root user directory health entrypoint command token isolated
printf '%s\0' "${environment[@]}" >"$work/environment"

# The rest runs inside the namespaces.
cat >"$work/inside.sh" <<'INSIDE'
set -euo pipefail
die() { echo "try: $*" >&2; [ ! -s "$work/log" ] || sed 's/^/try:   /' "$work/log" >&2; exit 1; }
if [ "$isolated" = yes ]; then
	ip link set lo up
	mount --make-rprivate /
	mount --bind "$root" "$root"
	mount --bind "$root/data" "$root/data"
	mount -o remount,ro,bind "$root"
	! touch "$root/written" 2>/dev/null || die "the root can be written"
fi
mapfile -d '' -t environment <"$work/environment"
mapfile -t serve <<<"$entrypoint"$'\n'"$command"
mapfile -t check <<<"$health"
chroot=$(command -v chroot) # the program finds no path
# in_root becomes a program of the image, as a container engine would run it.
in_root() { cd "$root$directory" && exec env -i "${environment[@]}" "$chroot" --userspec="$user" --groups= "$root" "$@"; }
healthy() { (in_root "${check[@]}") >/dev/null 2>&1; }
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT

begin() {
	(in_root "${serve[@]}") >>"$work/log" 2>&1 &
	server=$!
	for _ in $(seq 300); do
		kill -0 "$server" 2>/dev/null || die "it ended"
		if healthy; then return; fi
		sleep 0.1
	done
	die "it is not healthy after 30 s: $( (in_root "${check[@]}") 2>&1)"
}
end() {
	kill -TERM "$server"
	wait "$server" || die "it ended with exit code $?"
	server=
	! healthy || die "what has ended is healthy"
}
ask() { curl -fsS --noproxy '*' --max-time 10 -H "Authorization: Bearer $token" "$@"; }

begin
who=$(stat -c %u:%g "/proc/$server")
[ "$who" = "$user" ] || die "it runs as $who, not as $user"
# What it wrote is its own, and all of it lies in /data.
ask http://127.0.0.1:8080/v1/alarms -H 'Content-Type: application/json' \
	-d '{"device":"d","type":"t","severity":"major"}' | grep -q '"status":"raised"' || die "it did not take an alarm"
end
begin
[ "$(curl -fsS --noproxy '*' http://127.0.0.1:8081/metrics | sed -n 's/^tocsin_view_open_alarms{severity="major"} //p')" = 1 ] ||
	die "the alarm did not outlive the container"
end
strangers=$(find "$root" -newer "$work/environment" -not -path "$root/data*" -type f)
[ -z "$strangers" ] || die "it wrote outside of /data: $strangers"
INSIDE

if [ "$isolated" = yes ]; then
	unshare --mount --net --pid --fork --kill-child --mount-proc bash "$work/inside.sh" &
else
	bash "$work/inside.sh" &
fi
inner=$!
wait "$inner" || die "it does not work in its image"
inner=
say "it works in its image (namespaces: $isolated)"
