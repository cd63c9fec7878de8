#!/usr/bin/env bash
# Makes what TestTodaysProgramServesWhatAnEarlierOneStored opens: a data directory that an
# earlier program wrote, and what that program told of it. Needs curl and tar.
#
#   git worktree add --detach /tmp/earlier a778905
#   (cd /tmp/earlier && go build -o tocsin ./server/cmd/tocsin)
#   server/e2e/testdata/earlier/make.sh /tmp/earlier/tocsin a778905
#
# It leaves data.tar.gz and told/ beside itself.
set -euo pipefail
tocsin=$1 commit=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
pid=
trap 'kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
printf %s 'a secret of these tests, 32 bytes and more' >"$work/secret"
chmod 600 "$work/secret"
url=http://127.0.0.1:18765

serve() {
	"$tocsin" serve --data "$work/data" --http 127.0.0.1:18765 --ops '' --fold 0 --device-time trust \
		--jwt-hs256-file "$work/secret" --drain 0s --retention 0 >"$work/log" 2>&1 &
	pid=$!
	until grep -q serving "$work/log"; do kill -0 "$pid"; done
}
stop() { kill "$pid"; wait "$pid" || true; }
token() { "$tocsin" token --jwt-hs256-file "$work/secret" --sub "$1" --scope "$2" --ttl 1h; }
call() { # who, method, path, body
	curl -fsS -X "$2" -H "Authorization: Bearer ${tokens[$1]}" ${4+-H 'Content-Type: application/json' -d "$4"} "$url$3"
}
tell() { call "$1" GET "$2" >"$here/told/$3.json"; } # who, path, name

declare -A tokens
tokens[root]=$(token root 'inbox publish admin')
tokens[anna]=$(token anna inbox)
tokens[bob]=$(token bob inbox)
rm -rf "$here/told" && mkdir "$here/told"

serve
for n in 1 2 3 4 5 6; do call root PUT "/v1/devices/pump-$n" "{\"groups\":[\"fleet-$((n % 2))\"]}"; done
call root PUT /v1/devices/pump-7 '{"groups":["fleet-0","fleet-1","night"]}'
call root PUT /v1/users/anna '{"groups":["fleet-0","night"]}'
call root PUT /v1/users/bob '{"groups":["fleet-1"]}'
call root PUT '/v1/devices/a%2Fb%20%C3%A4' '{"groups":["fleet-0"]}'
severities=(critical major minor warning indeterminate)
for n in $(seq 1 40); do
	call root POST /v1/alarms "{\"device\":\"pump-$((n % 7 + 1))\",\"type\":\"type.$((n % 3))\",\"qualifier\":\"$((n % 4))\",\"severity\":\"${severities[$((n % 5))]}\",\"message\":\"message $n, ä漢\",\"attrs\":{\"n\":\"$n\",\"of\":\"40\"},\"id\":\"event-$n\",\"time\":\"2026-11-21T02:00:$(printf %02d "$n").000Z\"}"
done >/dev/null
call root POST /v1/alarms '{"device":"a/b ä","type":"odd","severity":"strange","kind":"momentary","time":"2026-11-21T02:01:00Z"}'
tell anna '/v1/inbox?cursor=earliest&limit=10' page-of-ten
call root POST /v1/alarms '[{"device":"pump-1","type":"type.0","qualifier":"3","state":"cleared","time":"2026-11-21T02:02:00Z"},{"device":"pump-2","type":"type.1","qualifier":"1","state":"cleared","time":"2026-11-21T02:02:00Z"},{"device":"pump-3","type":"type.2","qualifier":"2","state":"cleared","time":"2026-11-21T02:02:00Z"}]'
stop
serve # a second epoch
call root PUT /v1/devices/pump-4 '{"groups":["fleet-1"]}' # its alarms move
ids=($(call anna GET '/v1/alarms?state=all&limit=1000' | grep -o '"id":"[^"]*"' | cut -d'"' -f4))
call anna POST "/v1/alarms/${ids[0]}/ack" '{"note":"on my way"}'
call anna POST "/v1/alarms/${ids[1]}/comment" '{"note":"called him"}'
call anna POST "/v1/alarms/${ids[2]}/ack" '{}'
call anna POST "/v1/alarms/${ids[2]}/unack" '{}'
call anna POST "/v1/alarms/${ids[3]}/clear" '{"note":"the sensor is broken"}'
call root POST /v1/notices '{"to":"everyone","title":"Maintenance","body":"at three","id":"m1"}'
call root POST /v1/notices '{"to":{"users":["anna","bob"]},"title":"To two","data":{"k":[1,null]},"id":"m2"}'
call root POST /v1/notices '{"to":{"groups":["night"]},"title":"To the night","id":"m3"}'
call anna POST /v1/inbox/read '{"upto":"latest"}'
call root POST /v1/alarms '{"device":"pump-6","type":"after","severity":"critical","time":"2026-11-21T02:03:00Z"}'
call bob POST /v1/inbox/read "{\"ids\":[\"$(call bob GET '/v1/alarms?limit=1' | grep -o '"id":"[^"]*"' | head -1 | cut -d'"' -f4)\"]}"
call root DELETE /v1/devices/pump-5
for who in anna bob; do
	at=earliest
	for page in 1 2 3 4; do
		tell "$who" "/v1/inbox?cursor=$at&limit=1000" "inbox-of-$who-$page"
		at=$(grep -o '"cursor":"[^"]*","more"' "$here/told/inbox-of-$who-$page.json" | cut -d'"' -f4)
	done
	tell "$who" '/v1/alarms?state=all&limit=1000' "alarms-of-$who"
	tell "$who" /v1/counts "counts-of-$who"
done
for n in 0 1 2 3; do tell anna "/v1/alarms/${ids[$n]}/history?limit=1000" "history-$n"; done
printf '%s\n' "${ids[@]:0:4}" >"$here/told/ids"
tell root '/v1/users/anna' user-anna
tell root '/v1/users/bob' user-bob
for n in 1 4 7; do tell root "/v1/devices/pump-$n" "device-$n"; done
call anna POST /v1/ticket '' | grep -o '"ticket":"[^"]*"' | cut -d'"' -f4 >"$here/told/ticket"
stop
"$tocsin" config sample >"$here/told/tocsin.yml"
echo "$commit" >"$here/told/commit"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -czf "$here/data.tar.gz" data
